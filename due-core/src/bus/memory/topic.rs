//! The log of a topic.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};

use super::{durable::Durable, group::Group};
use crate::{
    bus::{Begin, Position, envelope::Envelope},
    sync::locked,
};

/// Events kept of a topic.
const KEPT: usize = 1024;
/// Bytes kept of a topic; the newest event is kept whatever its size.
const KEPT_BYTES: usize = 1024 * 1024;

pub(super) struct Topic {
    log: Mutex<Log>,
    /// Something happened: look again.
    pub(super) news: Notify,
    /// Bytes kept over all topics.
    total: Arc<AtomicUsize>,
}

pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// Where the first entry stands.
    first: Place,
    /// Where the next entry will stand.
    end: Place,
    bytes: usize,
    /// Events that are still to pass by.
    losing: u64,
    /// How often, and at which place last, connections were made again.
    pub(super) reconnects: (u64, u64),
    pub(super) closed: bool,
    used: Instant,
    pub(super) groups: HashMap<Arc<str>, Group>,
    pub(super) durables: HashMap<Arc<str>, Durable>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) key: Bytes,
    pub(super) body: Bytes,
    time: SystemTime,
    /// Passes by subscribers that are not durable.
    pub(super) hidden: bool,
    /// 1 for an event, 0 for a beacon.
    pub(super) events: u64,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Entries before it.
    pub(super) offset: u64,
    /// Events before it.
    pub(super) events: u64,
}

impl Place {
    pub(super) fn position(self) -> Position {
        Position(format!("{}-{}", self.offset, self.events).into())
    }

    fn parse(position: &Position) -> Option<Self> {
        let (offset, events) = position.0.split_once('-')?;
        Some(Self { offset: offset.parse().ok()?, events: events.parse().ok()? })
    }

    /// The place behind the entry that stands here.
    fn behind(self, events: u64) -> Self {
        Self { offset: self.offset + 1, events: self.events + events }
    }
}

impl Entry {
    pub(super) fn next(&self) -> Place {
        self.place.behind(self.events)
    }
}

impl Topic {
    pub(super) fn new(total: Arc<AtomicUsize>) -> Self {
        let log = Log {
            entries: VecDeque::new(),
            first: Place::default(),
            end: Place::default(),
            bytes: 0,
            losing: 0,
            reconnects: (0, 0),
            closed: false,
            used: Instant::now(),
            groups: HashMap::new(),
            durables: HashMap::new(),
        };
        Self { log: Mutex::new(log), news: Notify::new(), total }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        locked(&self.log)
    }

    /// Appends, gives groups their part, wakes subscribers.
    pub(super) fn append(&self, key: Bytes, body: Bytes, cut: bool) -> Position {
        let mut log = self.log();
        let before = log.bytes;
        let entry = log.append(key, body, cut);
        let position = entry.place.position();
        if !entry.hidden {
            log.groups.values_mut().for_each(|g| g.deal(&entry));
        }
        let after = log.bytes;
        drop(log);
        self.total.fetch_add(after, Ordering::Relaxed);
        self.total.fetch_sub(before, Ordering::Relaxed);
        self.news.notify_waiters();
        position
    }

    pub(super) fn lose(&self, count: u64) {
        self.log().losing += count;
    }

    pub(super) fn reconnect(&self) {
        let mut log = self.log();
        log.reconnects = (log.reconnects.0 + 1, log.end.offset);
        log.groups.values_mut().for_each(Group::reconnect);
        drop(log);
        self.news.notify_waiters();
    }

    pub(super) fn close(&self) {
        self.log().closed = true;
        self.news.notify_waiters();
    }

    pub(super) fn has_durable(&self) -> bool {
        !self.log().durables.is_empty()
    }

    pub(super) fn last_used(&self) -> Instant {
        self.log().used
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.total.fetch_sub(self.log().bytes, Ordering::Relaxed);
    }
}

impl Log {
    fn append(&mut self, key: Bytes, body: Bytes, cut: bool) -> Entry {
        let events = u64::from(!Envelope::is_beacon(&body));
        let hidden = cut || self.losing > 0;
        self.losing = self.losing.saturating_sub(events);
        let entry = Entry { place: self.end, key, body, time: SystemTime::now(), hidden, events };
        self.end = entry.next();
        self.bytes += entry.body.len();
        self.used = Instant::now();
        self.entries.push_back(entry.clone());
        while self.entries.len() > KEPT || (self.bytes > KEPT_BYTES && self.entries.len() > 1) {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.body.len();
            self.first = old.next();
        }
        entry
    }

    /// The entry at `place`; `Err` with the first kept place and the events lost if it is gone.
    pub(super) fn at(&self, place: Place) -> Result<Option<&Entry>, (Place, u64)> {
        match place.offset.checked_sub(self.first.offset) {
            Some(index) => Ok(usize::try_from(index).ok().and_then(|i| self.entries.get(i))),
            None => Err((self.first, self.first.events.saturating_sub(place.events))),
        }
    }

    /// Where a subscription begins; `Err` if it asks for a place that this log never had.
    pub(super) fn begin(&self, from: &Begin) -> Result<Place, Place> {
        match from {
            Begin::Now => Ok(self.end),
            Begin::First => Ok(self.first),
            Begin::Time(time) => Ok(self.entries.iter().find(|e| e.time >= *time).map_or(self.end, |e| e.place)),
            Begin::After(position) => match Place::parse(position) {
                // What stood there was an event: only events have positions that people see.
                Some(place) if place < self.end => Ok(place.behind(1)),
                _ => Err(self.first),
            },
        }
    }

    pub(super) fn from(&self, place: Place) -> impl Iterator<Item = &Entry> {
        self.entries.iter().skip_while(move |e| e.place < place)
    }
}
