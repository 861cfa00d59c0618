//! The entries and what they do when a fault is on. No clock, no waiting: time comes as an argument.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::{
    error::{Error, Kind, Result, Retry},
    id::Incarnation,
    registry::{Entry, Expect, Listing, Put, Renew, Value},
};

#[derive(Default)]
pub(super) struct State {
    entries: BTreeMap<String, Held>,
    /// Rises with every change; starts again after a wipe, as real ones do.
    revision: u64,
    /// What waiters may know of: stays behind `revision` while changes are hidden from them.
    shown: u64,
    pub(super) hides_changes: bool,
    pub(super) down: bool,
    pub(super) hung: bool,
    /// What every list answers while old lists are played.
    pub(super) old: Option<BTreeMap<String, Listing>>,
}

struct Held {
    value: Value,
    created: u64,
    expires: Instant,
}

impl State {
    pub(super) fn refuse(&self) -> Result<()> {
        match self.down {
            true => Err(Error::new(Kind::Unavailable, "the registry is down").retry_as(Retry::Safe)),
            false => Ok(()),
        }
    }

    pub(super) fn put(&mut self, key: &str, value: Value, expires: Instant, expect: Expect) -> Put {
        let holder = self.entries.get(key).map(|h| h.value.incarnation);
        let free = match (holder, expect) {
            (None, _) => true,
            (Some(_), Expect::Absent) => false,
            (Some(x), Expect::Mine) => x == value.incarnation,
            (Some(x), Expect::Incarnation(y)) => x == y || x == value.incarnation,
        };
        if let (false, Some(held)) = (free, self.entries.get(key)) {
            return Put::Held(held.value.clone());
        }
        self.touch();
        let created = match self.entries.get(key) {
            Some(held) if held.value.incarnation == value.incarnation => held.created,
            _ => self.revision,
        };
        self.entries.insert(key.to_owned(), Held { value, created, expires });
        Put::Ok
    }

    pub(super) fn renew(&mut self, key: &str, incarnation: Incarnation, expires: Instant) -> Renew {
        match self.entries.get_mut(key) {
            None => Renew::Lost,
            Some(held) if held.value.incarnation != incarnation => Renew::Held(held.value.clone()),
            Some(held) => {
                held.expires = expires;
                Renew::Ok
            }
        }
    }

    pub(super) fn delete(&mut self, key: &str, incarnation: Incarnation) {
        if self.entries.get(key).is_some_and(|h| h.value.incarnation == incarnation) {
            self.remove(key);
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.touch();
        }
    }

    pub(super) fn wipe(&mut self) {
        self.entries.clear();
        (self.revision, self.shown) = (0, 0);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let before = self.entries.len();
        self.entries.retain(|_, held| held.expires > now);
        if self.entries.len() < before {
            self.touch();
        }
    }

    pub(super) fn list(&self, prefix: &str) -> Listing {
        match &self.old {
            Some(old) => old.get(prefix).cloned().unwrap_or_default(),
            None => self.list_now(prefix),
        }
    }

    fn list_now(&self, prefix: &str) -> Listing {
        let of = |(key, held): (&String, &Held)| Entry {
            key: key.clone(),
            bytes: held.value.bytes.clone(),
            created: held.created,
        };
        let entries = self.entries.iter().filter(|(key, _)| key.starts_with(prefix)).map(of).collect();
        Listing { entries, cursor: self.revision }
    }

    /// From now on lists answer what is true at this moment.
    pub(super) fn freeze_lists(&mut self) {
        let prefixes = self.entries.keys().filter_map(|key| Some(key.split_inclusive('/').next()?.to_owned()));
        let old = prefixes.map(|prefix| (prefix.clone(), self.list_now(&prefix))).collect();
        self.old = Some(old);
    }

    pub(super) fn seen(&self) -> u64 {
        self.shown
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.entries.values().map(|held| held.expires).min()
    }

    fn touch(&mut self) {
        self.revision += 1;
        if !self.hides_changes {
            self.shown = self.revision;
        }
    }
}
