//! A file that is rotated.

use std::{
    collections::VecDeque,
    fs::{self, Metadata, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use due_core::{Error, Result};

use super::{
    Sink,
    outbox::Outbox,
    rotate::{Names, Rotation},
};
use crate::{format::Format, record::Record};

/// After a rotation that failed, the next try comes after so long, by the time of the lines.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// Lines in a file, which takes turns with others by size and by time ([`Rotation`]).
///
/// A file that is there is continued, and its size counts. A file or folder that was moved or removed is made anew. When
/// the file cannot be rotated, it grows on, and that is told. One process at a time: two would rotate each other's files.
pub struct File {
    path: PathBuf,
    names: Names,
    format: Format,
    rotation: Rotation,
    open: Option<Open>,
    outbox: Outbox,
    line: String,
    trouble: Option<String>,
    /// No rotation until then.
    rest: Option<SystemTime>,
}

/// What is written at present.
struct Open {
    file: fs::File,
    size: u64,
    /// Pipes and devices do not rotate, and are not looked for anew.
    regular: bool,
    identity: Identity,
    /// When the last line was written; `None` before the first one.
    last: Option<SystemTime>,
}

impl File {
    /// A file with this path; folders that are missing are made. A path that is a pipe or a device is opened by the
    /// thread of the sink, as that may take for ever.
    ///
    /// # Errors
    /// `Config`: it cannot be written.
    pub fn new(path: impl Into<PathBuf>, format: Format, rotation: Rotation) -> Result<Self> {
        let path = path.into();
        let failed = |e: io::Error| {
            Error::config(format!("cannot write the log file {}: {e}: name one that can be written", path.display()))
        };
        let kind = fs::metadata(&path).ok().map(|found| found.file_type());
        let open = match kind {
            Some(kind) if kind.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Some(kind) if !kind.is_file() => None,
            _ => Some(Open::new(&path).map_err(failed)?),
        };
        Ok(Self {
            names: Names::of(&path),
            path,
            format,
            rotation: Rotation { keep: rotation.keep.max(1), ..rotation },
            open,
            outbox: Outbox::default(),
            line: String::new(),
            trouble: None,
            rest: None,
        })
    }

    /// Sees that what is open is what the path means.
    fn look(&mut self) -> io::Result<()> {
        let same = match &self.open {
            Some(open) if open.regular => {
                fs::metadata(&self.path).is_ok_and(|found| Identity::of(&found) == open.identity)
            }
            open => open.is_some(),
        };
        if !same {
            self.open = None;
            self.outbox.begin_anew();
            self.open = Some(Open::new(&self.path)?);
        }
        Ok(())
    }

    /// Writes what is collected.
    fn drain(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (written, outcome) = self.outbox.drain(&mut open.file);
        open.size += written as u64;
        outcome
    }

    /// Must another file take the line that was made last?
    fn is_over(&self, time: SystemTime) -> bool {
        let Some(open) = self.open.as_ref().filter(|open| open.regular) else { return false };
        let size = open.size + self.outbox.len() as u64;
        if size == 0 || self.rest.is_some_and(|until| time < until) {
            return false;
        }
        let Rotation { max_size, turn, .. } = self.rotation;
        let too_large = max_size > 0 && size + self.line.len() as u64 > max_size;
        too_large || open.last.is_some_and(|last| turn.period(time) > turn.period(last))
    }

    /// Gives the file another name and begins a new one. When it cannot have another name, it stays.
    fn rotate(&mut self, time: SystemTime) -> io::Result<()> {
        let last = self.open.as_ref().and_then(|open| open.last).unwrap_or(time);
        let moved = self.names.next(last).and_then(|name| fs::rename(&self.path, name));
        if let Err(e) = moved {
            self.rest = time.checked_add(TRY_AGAIN);
            self.trouble = Some(format!("cannot rotate {}: {e}; it grows on", self.path.display()));
            return Ok(());
        }
        self.rest = None;
        self.open = None;
        self.open = Some(Open::new(&self.path)?);
        if let Err(e) = self.names.keep(self.rotation.keep) {
            self.trouble = Some(format!("cannot remove old files of {}: {e}", self.path.display()));
        }
        Ok(())
    }
}

impl Sink for File {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        self.look()?;
        self.drain()?;
        while let Some(record) = batch.front() {
            let time = record.time();
            self.line.clear();
            self.format.write(record, &mut self.line);
            if self.is_over(time) {
                self.drain()?;
                self.rotate(time)?;
            }
            self.outbox.push(&self.line);
            batch.pop_front();
            if let Some(open) = &mut self.open {
                open.last = Some(time);
            }
            if self.outbox.is_full() {
                self.drain()?;
            }
        }
        self.drain()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()
    }

    fn trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let found = file.metadata()?;
        let regular = found.is_file();
        let size = if regular { found.len() } else { 0 };
        let last = found.modified().ok().filter(|_| size > 0);
        Ok(Self { file, size, regular, identity: Identity::of(&found), last })
    }
}

/// Tells a file from another one with its name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(found.dev(), found.ino())
    }

    /// A file that is there is taken for the one that is open.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self(0, 0)
    }
}
