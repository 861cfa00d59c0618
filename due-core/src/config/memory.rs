//! Settings inside one process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Capability, Cas, ConfigSource, Entry, Expect, Feed, Version, Watch, Write, check_key, feed};
use crate::{
    error::{Error, Kind, Result},
    sync::locked,
};

/// The settings of one process; clones are the same settings.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    live: BTreeMap<Arc<str>, Entry>,
    revision: u64,
    watchers: Vec<Watcher>,
    down: bool,
}

struct Watcher {
    prefix: String,
    feed: Feed,
}

/// What [`Memory::backup`] remembers.
#[derive(Clone, Debug)]
pub struct Backup {
    live: BTreeMap<Arc<str>, Entry>,
    revision: u64,
}

impl Memory {
    /// From now on every call fails with `Unavailable` and watches are silent, as if the server were gone; with `false`
    /// it is back, and watches begin with the full set again.
    pub fn set_down(&self, down: bool) {
        let mut state = locked(&self.0);
        state.down = down;
        if !down {
            state.tell_all();
        }
    }

    /// Remembers everything.
    pub fn backup(&self) -> Backup {
        let state = locked(&self.0);
        Backup { live: state.live.clone(), revision: state.revision }
    }

    /// Goes back to what a backup remembers, versions too; watches see the full set.
    pub fn restore(&self, backup: &Backup) {
        let mut state = locked(&self.0);
        state.live = backup.live.clone();
        state.revision = backup.revision;
        state.tell_all();
    }
}

#[async_trait]
impl ConfigSource for Memory {
    fn capability(&self) -> Capability {
        Capability { cas: Cas::Atomic, writable: true }
    }

    async fn load(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        Ok(locked(&self.0).up()?.live.get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, Entry>> {
        Ok(locked(&self.0).up()?.under(prefix))
    }

    async fn watch(&self, prefix: &str) -> Result<Watch> {
        let mut state = locked(&self.0);
        let state = state.up()?;
        let (feed, watch) = feed();
        feed.all(state.under(prefix));
        state.watchers.push(Watcher { prefix: prefix.to_owned(), feed });
        // A source that is dropped ends its watches; a watch does not keep the source alive.
        Ok(watch)
    }

    async fn store(&self, key: &str, value: Bytes, expect: Expect) -> Result<Version> {
        self.write_together(vec![Write { key: key.into(), value: Some(value), expect }]).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<Version> {
        self.write_together(vec![Write { key: key.into(), value: None, expect }]).await
    }

    async fn write_together(&self, writes: Vec<Write>) -> Result<Version> {
        writes.iter().try_for_each(Write::check)?;
        let mut state = locked(&self.0);
        let state = state.up()?;
        writes.iter().try_for_each(|w| w.expect.check(state.live.get(&w.key).map(|e| &e.version)))?;
        Ok(state.write(writes))
    }
}

impl State {
    fn up(&mut self) -> Result<&mut Self> {
        if self.down {
            return Err(Error::new(Kind::Unavailable, "the config source is down"));
        }
        Ok(self)
    }

    fn under(&self, prefix: &str) -> BTreeMap<Arc<str>, Entry> {
        self.live.iter().filter(|(k, _)| k.starts_with(prefix)).map(|(k, e)| (k.clone(), e.clone())).collect()
    }

    fn write(&mut self, writes: Vec<Write>) -> Version {
        self.revision += 1;
        let version = Version::Number(self.revision);
        self.watchers.retain(|w| !w.feed.is_unwatched());
        for Write { key, value, .. } in writes {
            let entry = value.map(|value| Entry { value, version: version.clone() });
            match &entry {
                Some(entry) => drop(self.live.insert(key.clone(), entry.clone())),
                None => drop(self.live.remove(&key)),
            }
            for watcher in self.watchers.iter().filter(|w| key.starts_with(&w.prefix)) {
                watcher.feed.key(key.clone(), entry.clone());
            }
        }
        version
    }

    fn tell_all(&mut self) {
        self.watchers.retain(|w| !w.feed.is_unwatched());
        for watcher in &self.watchers {
            watcher.feed.all(self.under(&watcher.prefix));
        }
    }
}
