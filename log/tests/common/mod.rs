//! What the tests of the log share.
#![allow(dead_code, reason = "not every test program uses all of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use due_log::{Guard, Output, Record, Setup, Sink};
use tracing_subscriber::layer::SubscriberExt;

/// How long anything may take. A limit against hanging, not a measure.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A sink that keeps what it gets.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<(Mutex<Vec<Arc<Record>>>, Condvar)>);

impl Shelf {
    pub(crate) fn output(&self, name: &str) -> Output {
        Output::new(name, self.clone())
    }

    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.0.0.lock().unwrap().clone()
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.records().iter().map(|record| record.message().to_owned()).collect()
    }

    /// How many have a message that contains this.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.records().iter().filter(|record| record.message().contains(text)).count()
    }

    /// Waits until so many lines are there or counted.
    pub(crate) fn wait_for_count(&self, lines: u64) {
        let count = |all: &[Arc<Record>]| all.iter().map(|record| record.repeated().max(1)).sum::<u64>();
        let (records, came) = &*self.0;
        let waited = came.wait_timeout_while(records.lock().unwrap(), LIMIT, |all| count(all) < lines);
        let all = waited.unwrap().0;
        assert_eq!(count(&all), lines, "{all:#?}");
    }

    /// Waits for a record whose message contains this.
    pub(crate) fn wait_for(&self, text: &str) -> Arc<Record> {
        let found = |all: &[Arc<Record>]| all.iter().find(|record| record.message().contains(text)).cloned();
        let (records, came) = &*self.0;
        let waited = came.wait_timeout_while(records.lock().unwrap(), LIMIT, |all| found(all).is_none());
        let all = waited.unwrap().0;
        found(&all).unwrap_or_else(|| panic!("no {text:?} in {all:#?}"))
    }
}

impl Sink for Shelf {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        self.0.0.lock().unwrap().extend(batch.drain(..));
        self.0.1.notify_all();
        Ok(())
    }
}

/// Runs with a log of its own for this thread.
pub(crate) fn with<T>(setup: Setup, run: impl FnOnce(&Guard) -> T) -> (T, Guard) {
    let (layer, guard) = setup.layer().unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    let outcome = tracing::subscriber::with_default(subscriber, || run(&guard));
    (outcome, guard)
}

/// A setup with levels.
pub(crate) fn setup(levels: &str) -> Setup {
    Setup::new().levels(levels.parse().unwrap())
}

/// A folder that is removed.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("log-{}-{n}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The files in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
