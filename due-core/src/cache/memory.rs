//! A cache inside one process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::{CacheStore, Cached, Life, Write};
use crate::{
    error::{Error, Kind, Result},
    sync::locked,
};

/// The cache of one process, of at most 64 MiB.
pub type Memory = Cached<Store>;

impl Default for Memory {
    fn default() -> Self {
        Cached::new(Store::default())
    }
}

/// Bytes by key; beyond its size the longest unused go first.
pub struct Store {
    table: Mutex<Table>,
    size: usize,
    down: AtomicBool,
}

#[derive(Default)]
struct Table {
    entries: HashMap<String, Entry>,
    /// Keys by last use.
    used: BTreeMap<u64, String>,
    clock: u64,
    bytes: usize,
}

struct Entry {
    value: Bytes,
    until: Option<Instant>,
    used: u64,
}

/// What an entry costs beside key and value.
const OVERHEAD: usize = 160;

impl Default for Store {
    fn default() -> Self {
        Self::with_size(64 * 1024 * 1024)
    }
}

impl Store {
    /// A store of at most `bytes`, keys and bookkeeping included.
    pub fn with_size(bytes: usize) -> Self {
        Self { table: Mutex::default(), size: bytes, down: AtomicBool::new(false) }
    }

    /// From now on every verb fails with `Unavailable`, as if the server were gone; `false` ends that.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Release);
    }

    fn table(&self) -> Result<std::sync::MutexGuard<'_, Table>> {
        if self.down.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Unavailable, "the cache is down"));
        }
        Ok(locked(&self.table))
    }
}

#[async_trait]
impl CacheStore for Store {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.table()?.touch(key).map(|e| e.value.clone()))
    }

    async fn put(&self, key: &str, value: Bytes, life: Life, write: Write) -> Result<bool> {
        let mut table = self.table()?;
        let before = table.touch(key).map(|e| e.until);
        if before.is_some() && write == Write::IfAbsent {
            return Ok(false);
        }
        if weight(key, &value) > self.size {
            // Forgotten at once, rather than everything else for it.
            table.remove(key);
            return Ok(true);
        }
        table.insert(key, value, end(life, before.flatten()));
        table.shrink(self.size);
        Ok(true)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let mut table = self.table()?;
        let there = table.touch(key).is_some();
        table.remove(key);
        Ok(there)
    }

    async fn incr(&self, key: &str, by: i64) -> Result<i64> {
        let mut table = self.table()?;
        let (number, until) = match table.touch(key) {
            Some(entry) => (number(&entry.value), entry.until),
            None => (Some(0), None),
        };
        let wrong = || Error::new(Kind::BadRequest, "the value is no number, or would overflow").context("key", key);
        let sum = number.and_then(|n: i64| n.checked_add(by)).ok_or_else(wrong)?;
        table.insert(key, sum.to_string().into(), until);
        table.shrink(self.size);
        Ok(sum)
    }
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn end(life: Life, before: Option<Instant>) -> Option<Instant> {
    match life {
        Life::For(time) => Instant::now().checked_add(time.min(Duration::from_secs(u64::from(u32::MAX)))),
        Life::Keep => before,
        Life::Forever => None,
    }
}

impl Table {
    /// The live entry, which becomes the latest used.
    fn touch(&mut self, key: &str) -> Option<&Entry> {
        let now = Instant::now();
        if self.entries.get(key)?.until.is_some_and(|end| end <= now) {
            self.remove(key);
            return None;
        }
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        let key = self.used.remove(&entry.used)?;
        entry.used = self.clock;
        self.used.insert(entry.used, key);
        Some(entry)
    }

    fn insert(&mut self, key: &str, value: Bytes, until: Option<Instant>) {
        self.remove(key);
        self.clock += 1;
        self.bytes += weight(key, &value);
        self.used.insert(self.clock, key.to_owned());
        self.entries.insert(key.to_owned(), Entry { value, until, used: self.clock });
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= weight(key, &entry.value);
            self.used.remove(&entry.used);
        }
    }

    fn shrink(&mut self, size: usize) {
        while self.bytes > size
            && let Some((_, key)) = self.used.first_key_value()
        {
            let key = key.clone();
            self.remove(&key);
        }
    }
}

fn weight(key: &str, value: &Bytes) -> usize {
    2 * key.len() + value.len() + OVERHEAD
}
