//! What one watch has been told, and what it is told next. No disk, no clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use due_core::config::{Entry, Feed};
use tokio::time::Instant;

use super::disk::Listing;

/// How long a directory that was emptied at once counts as away.
const HELD: Duration = Duration::from_secs(30);

/// One watch.
pub(super) struct Told {
    pub(super) prefix: String,
    pub(super) feed: Feed,
    known: BTreeMap<Arc<str>, Entry>,
    /// The source was away: the full set comes next.
    broken: bool,
    emptied: Option<Instant>,
}

impl Told {
    /// Tells a new watch its first full set.
    pub(super) fn new(prefix: String, feed: Feed, first: BTreeMap<Arc<str>, Entry>) -> Self {
        feed.all(first.clone());
        Self { prefix, feed, known: first, broken: false, emptied: None }
    }

    /// The source is away, or was for a moment.
    pub(super) fn break_off(&mut self) {
        self.broken = true;
    }

    /// Would this list change what the watch knows?
    pub(super) fn differs(&mut self, list: &Listing, now: Instant) -> bool {
        if self.held(list, now) {
            return false;
        }
        let usable = list.entries.iter().any(|(key, entry)| self.known.get(key) != Some(entry));
        let gone = self.known.keys().any(|key| !list.entries.contains_key(key) && !list.bad.contains_key(key));
        self.broken || usable || gone
    }

    /// Tells what two lists in a row agree on; `false` if they differ in something that is new.
    pub(super) fn tell(&mut self, first: &Listing, second: &Listing, now: Instant) -> bool {
        if self.held(first, now) || self.held(second, now) {
            return true;
        }
        let steady = first.entries == second.entries && first.bad.keys().eq(second.bad.keys());
        if self.broken {
            if steady {
                self.tell_all(second);
            }
            return steady;
        }
        for (key, entry) in &second.entries {
            if first.entries.get(key) == Some(entry) && self.known.get(key) != Some(entry) {
                self.feed.key(key.clone(), Some(entry.clone()));
                self.known.insert(key.clone(), entry.clone());
            }
        }
        let in_either =
            |key: &Arc<str>| [first, second].iter().any(|l| l.entries.contains_key(key) || l.bad.contains_key(key));
        let gone: Vec<_> = self.known.keys().filter(|key| !in_either(key)).cloned().collect();
        for key in gone {
            self.known.remove(&key);
            self.feed.key(key, None);
        }
        steady
    }

    /// The full set, with the last good value of what cannot be read now.
    fn tell_all(&mut self, list: &Listing) {
        let mut all = list.entries.clone();
        for key in list.bad.keys() {
            if let Some(last) = self.known.get(key) {
                all.insert(key.clone(), last.clone());
            }
        }
        self.broken = false;
        self.known = all.clone();
        self.feed.all(all);
    }

    fn held(&mut self, list: &Listing, now: Instant) -> bool {
        if !list.emptied || self.known.is_empty() {
            self.emptied = None;
            return false;
        }
        now < *self.emptied.get_or_insert(now) + HELD
    }
}
