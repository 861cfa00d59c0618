//! Records in a file, a line of JSON each.

use std::{
    collections::VecDeque,
    fs,
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use due_core::{Error, Kind, Result};

use super::{Query, Record, Sink};

/// How long another writer may take to go.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest line; a record is far shorter.
const LONGEST: usize = 1024 * 1024;

/// Appends to a file and reads it back. One process writes to it: it is locked.
pub struct File {
    path: PathBuf,
    open: Arc<Mutex<Option<fs::File>>>,
}

impl File {
    /// Records go to `path`, which is made if it is not there.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), open: Arc::default() }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, &mut Option<fs::File>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (path, open) = (self.path.clone(), self.open.clone());
        let job = move || work(&path, &mut open.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(job).await;
        done.unwrap_or_else(|e| Err(Error::new(Kind::Internal, "the audit log").because(e)))
    }
}

#[async_trait]
impl Sink for File {
    async fn open(&self) -> Result<Option<Record>> {
        self.work(|path, open| {
            let mut options = fs::OpenOptions::new();
            options.create(true).read(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).map_err(|e| failed(path, "cannot be opened", e))?;
            lock(path, &file)?;
            let last = verify(path, &mut file)?;
            *open = Some(file);
            Ok(last)
        })
        .await
    }

    async fn append(&self, record: &Record) -> Result<bool> {
        let mut line = serde_json::to_vec(record).map_err(|e| Error::new(Kind::Internal, "a record").because(e))?;
        line.push(b'\n');
        if line.len() > LONGEST {
            return Err(Error::new(Kind::TooLarge, "a record of the audit log is at most 1 MiB"));
        }
        self.work(move |path, open| {
            let file = open.as_mut().ok_or_else(|| Error::new(Kind::NotReady, "the audit log is not open"))?;
            let end = file.metadata().map_err(|e| failed(path, "cannot be read", e))?.len();
            let written = file.write_all(&line).and_then(|()| file.sync_data());
            written.map_err(|e| {
                // What was written of the line must not stand before the next one.
                let _ = file.set_len(end);
                failed(path, "cannot be written", e)
            })?;
            Ok(true)
        })
        .await
    }

    async fn read(&self, query: Query) -> Result<Vec<Record>> {
        self.work(move |path, _| {
            let mut last = VecDeque::new();
            let file = fs::File::open(path).map_err(|e| failed(path, "cannot be read", e))?;
            for line in BufReader::new(file).lines() {
                let line = line.map_err(|e| failed(path, "cannot be read", e))?;
                let Ok(record) = serde_json::from_str::<Record>(&line) else { continue };
                if query.takes(&record) {
                    last.push_back(record);
                    if last.len() > query.limit {
                        last.pop_front();
                    }
                }
            }
            Ok(last.into_iter().rev().collect())
        })
        .await
    }
}

/// Takes the lock. It may be held a moment longer than its writer lives: a process that is being started holds what was
/// open until its program begins.
fn lock(path: &Path, file: &fs::File) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(PATIENCE / 20),
            Err(e) => {
                let text =
                    format!("the audit log {} has another writer: give this master one of its own", path.display());
                return Err(Error::config(text).because(io::Error::from(e)));
            }
        }
    }
}

/// Reads it all. A last line that a crash has cut is taken off; anything else that does not follow is an error.
fn verify(path: &Path, file: &mut fs::File) -> Result<Option<Record>> {
    let read = |e| failed(path, "cannot be read", e);
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    let (mut last, mut whole, mut line) = (None::<Record>, 0, Vec::new());
    let mut reader = BufReader::new(&*file);
    for number in 1.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(read)?;
        if length == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            tracing::warn!(path = %path.display(), "the last record of the audit log was cut off; it is left out");
            file.set_len(whole).map_err(|e| failed(path, "cannot be cut", e))?;
            break;
        }
        let record = serde_json::from_slice::<Record>(&line).ok();
        let Some(record) = record.filter(|r| r.follows(last.as_ref())) else {
            let path = path.display();
            return Err(Error::config(format!(
                "the audit log {path} was changed: line {number} does not follow the one before; keep the file and start another"
            )));
        };
        whole += length as u64;
        last = Some(record);
    }
    Ok(last)
}

fn failed(path: &Path, what: &str, e: io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("the audit log {} {what}", path.display())).because(e)
}

#[cfg(test)]
mod tests {
    use super::{super::Audit, *};

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("due-audit-{:016x}", rand::random::<u64>()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("audit.jsonl")
        }

        async fn open(&self) -> Result<Audit> {
            Audit::open(Box::new(File::new(self.file()))).await
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn record(verb: &str) -> Record {
        Record { verb: verb.to_owned(), ..Record::default() }
    }

    #[tokio::test]
    async fn the_chain_goes_on_over_a_restart_and_is_read_newest_first() {
        let folder = Folder::new();
        let audit = folder.open().await.unwrap();
        audit.write(record("a")).await.unwrap();
        audit.write(record("b")).await.unwrap();
        assert!(folder.open().await.err().unwrap().to_string().contains("another writer"));
        drop(audit);
        let audit = folder.open().await.unwrap();
        assert_eq!(audit.write(record("c")).await.unwrap(), 3);
        let read = audit.read(Query { limit: 2, ..Query::default() }).await.unwrap();
        assert_eq!(read.iter().map(|r| (r.seq, r.verb.as_str())).collect::<Vec<_>>(), [(3, "c"), (2, "b")]);
        assert!(read[0].follows(Some(&read[1])));
    }

    #[tokio::test]
    async fn a_changed_a_removed_and_a_moved_line_are_found_and_a_cut_one_is_left_out() {
        let folder = Folder::new();
        let audit = folder.open().await.unwrap();
        for verb in ["one", "two", "three"] {
            audit.write(record(verb)).await.unwrap();
        }
        drop(audit);
        let good = fs::read_to_string(folder.file()).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let (changed, removed) = (good.replace("two", "too"), format!("{}\n{}\n", lines[0], lines[2]));
        let moved = format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2]);
        for (bad, line) in [(changed, "line 2"), (removed, "line 2"), (moved, "line 1")] {
            fs::write(folder.file(), bad).unwrap();
            let text = folder.open().await.err().unwrap().to_string();
            assert!(text.contains(line), "{text}");
        }
        fs::write(folder.file(), &good[..good.len() - 20]).unwrap();
        assert_eq!(folder.open().await.unwrap().write(record("three")).await.unwrap(), 3);
        folder.open().await.unwrap();
    }
}
