//! The way from a source to a watcher: bounded by the number of keys, however slow the watcher is.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::{Entry, Update};
use crate::sync::locked;

/// The source's end of a [`Watch`].
pub struct Feed(Arc<Shared>);

/// Updates of the keys under a prefix. Dropping it ends it.
pub struct Watch {
    shared: Arc<Shared>,
    /// Whatever must live as long as the watch.
    guard: Option<Box<dyn std::any::Any + Send + Sync>>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    told: Notify,
    unwatched: Notify,
}

#[derive(Default)]
struct Pending {
    /// Comes before the changes below; changes that follow are put into it while it waits.
    all: Option<BTreeMap<Arc<str>, Entry>>,
    order: VecDeque<Arc<str>>,
    changes: BTreeMap<Arc<str>, Option<Entry>>,
    ended: bool,
    unwatched: bool,
}

/// A new watch and the end to feed it. Only the newest state of each key waits.
pub fn feed() -> (Feed, Watch) {
    let shared = Arc::new(Shared::default());
    (Feed(shared.clone()), Watch { shared, guard: None })
}

impl Feed {
    /// Tells the full set; what waited before it is forgotten.
    pub fn all(&self, entries: BTreeMap<Arc<str>, Entry>) {
        let mut pending = locked(&self.0.pending);
        pending.order.clear();
        pending.changes.clear();
        pending.all = Some(entries);
        drop(pending);
        self.0.told.notify_one();
    }

    /// Tells the new state of one key.
    pub fn key(&self, key: Arc<str>, entry: Option<Entry>) {
        let mut pending = locked(&self.0.pending);
        match (&mut pending.all, entry) {
            (Some(all), Some(entry)) => drop(all.insert(key, entry)),
            (Some(all), None) => drop(all.remove(&key)),
            (None, entry) => {
                if pending.changes.insert(key.clone(), entry).is_none() {
                    pending.order.push_back(key);
                }
            }
        }
        drop(pending);
        self.0.told.notify_one();
    }

    /// Returns when nobody watches any more. Cancel safe.
    pub async fn unwatched(&self) {
        loop {
            let woken = self.0.unwatched.notified();
            if self.is_unwatched() {
                return;
            }
            woken.await;
        }
    }

    /// Does nobody watch any more?
    pub fn is_unwatched(&self) -> bool {
        locked(&self.0.pending).unwatched
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        locked(&self.0.pending).ended = true;
        self.0.told.notify_one();
    }
}

impl Watch {
    /// Keeps `guard` alive as long as the watch.
    #[must_use]
    pub fn with(mut self, guard: impl std::any::Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// The next update; `None` when the source is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            {
                let mut pending = locked(&self.shared.pending);
                if let Some(update) = pending.take() {
                    return Some(update);
                }
                if pending.ended {
                    return None;
                }
            }
            self.shared.told.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        locked(&self.shared.pending).unwatched = true;
        self.shared.unwatched.notify_waiters();
    }
}

impl Pending {
    fn take(&mut self) -> Option<Update> {
        if let Some(all) = self.all.take() {
            return Some(Update::All(all));
        }
        let key = self.order.pop_front()?;
        let entry = self.changes.remove(&key)?;
        Some(Update::Key(key, entry))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::Version;

    fn entry(n: u64) -> Entry {
        Entry { value: Bytes::from(n.to_string()), version: Version::Number(n) }
    }

    #[tokio::test]
    async fn only_the_newest_state_of_a_key_waits() {
        let (feed, mut watch) = feed();
        feed.all(BTreeMap::from([("a".into(), entry(1)), ("b".into(), entry(1))]));
        feed.key("a".into(), Some(entry(2)));
        feed.key("b".into(), None);
        assert_eq!(watch.next().await, Some(Update::All(BTreeMap::from([("a".into(), entry(2))]))));
        for n in 3..1000 {
            feed.key("a".into(), Some(entry(n)));
            feed.key("c".into(), Some(entry(n)));
        }
        assert_eq!(watch.next().await, Some(Update::Key("a".into(), Some(entry(999)))));
        assert_eq!(watch.next().await, Some(Update::Key("c".into(), Some(entry(999)))));
        feed.key("a".into(), Some(entry(1000)));
        feed.all(BTreeMap::new());
        assert_eq!(watch.next().await, Some(Update::All(BTreeMap::new())));
        drop(feed);
        assert_eq!(watch.next().await, None, "what the full set replaced does not come after it");
    }

    #[tokio::test]
    async fn the_source_learns_that_nobody_watches() {
        let (feed, watch) = feed();
        assert!(!feed.is_unwatched());
        tokio::join!(feed.unwatched(), async { drop(watch) });
        assert!(feed.is_unwatched());
    }
}
