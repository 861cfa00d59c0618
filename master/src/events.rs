//! What has happened in the fleet, as this master has seen it: the last of it, in memory.
//!
//! Nobody has a queue of his own: whoever follows has a place in the ring, and reads on from there. A follower that is too
//! slow finds that the ring has gone on, and is told by how much.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use utoipa::ToSchema;

use crate::{auth::Permission, clock};

/// Events that are kept; the oldest go.
pub(crate) const KEPT: usize = 4096;
/// Followers at a time.
const FOLLOWERS: usize = 64;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Event {
    /// Its place among the events of this master: a cursor, and the `Last-Event-ID` of a stream.
    pub(crate) id: String,
    /// When this master has seen it, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// What: `instance.joined`, `instance.left`, `instance.restarted`, `instance.state`, `instance.changed`,
    /// `registry.silent`, `registry.back`, `config.changed`, `config.deleted`, `errors.began`, `errors.ended`, `denied`, or
    /// the verb of an act; of those who ask for binds `bind.login` and `bind.logout`.
    pub(crate) kind: String,
    /// To whom or what: `gate/gate-1`, `config/game/rules.json`, `user/7`.
    pub(crate) subject: String,
    /// What there is to say of it, for people.
    pub(crate) text: String,
    /// How many of them: logins, logouts or errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    /// Whose act it was, by the name of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// What came of the act: `done`, `denied`, or the code of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
    /// What one must be permitted to see it.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) need: Permission,
}

impl Event {
    /// One that everybody may see who may look at all.
    pub(crate) fn new(kind: &str, subject: impl Into<String>, text: impl Into<String>) -> Self {
        let (kind, subject, text) = (kind.to_owned(), subject.into(), text.into());
        let (id, time_ms, need) = (String::new(), clock::millis(), "events:read");
        Self { id, time_ms, kind, subject, text, count: None, by: None, outcome: None, need }
    }

    /// One that tells of many; `text` says of what.
    pub(crate) fn counted(kind: &str, subject: &str, count: u64, text: impl Into<String>) -> Self {
        Self { count: Some(count), ..Self::new(kind, subject, format!("{count} {}", text.into())) }
    }
}

/// The events of a master. Clones have the same ones.
#[derive(Clone)]
pub(crate) struct Events(Arc<Shared>);

struct Shared {
    /// Tells this start of this master from all others.
    life: u32,
    ring: Mutex<Ring>,
    /// How many there were.
    count: watch::Sender<u64>,
    followers: Arc<Semaphore>,
}

#[derive(Default)]
struct Ring {
    kept: VecDeque<Event>,
    /// How many went.
    gone: u64,
}

/// What stands behind a place.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Behind {
    pub(crate) events: Vec<Event>,
    /// So many have gone before they were read.
    pub(crate) lost: u64,
    /// The place behind all that was looked at.
    pub(crate) place: u64,
}

impl Default for Events {
    fn default() -> Self {
        let (ring, count) = (Mutex::default(), watch::Sender::new(0));
        Self(Arc::new(Shared { life: rand::random(), ring, count, followers: Arc::new(Semaphore::new(FOLLOWERS)) }))
    }
}

impl Events {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened.
    pub(crate) fn add(&self, mut event: Event) {
        let mut ring = self.ring();
        let number = ring.gone + ring.kept.len() as u64 + 1;
        event.id = self.cursor(number);
        if ring.kept.len() >= KEPT {
            ring.kept.pop_front();
            ring.gone += 1;
        }
        ring.kept.push_back(event);
        self.0.count.send_replace(number);
    }

    /// At most `limit` of the events behind a place that are `wanted`, oldest first.
    pub(crate) fn behind(&self, place: u64, limit: usize, wanted: impl Fn(&Event) -> bool) -> Behind {
        let ring = self.ring();
        let all = ring.gone + ring.kept.len() as u64;
        let from = place.clamp(ring.gone, all);
        let mut behind = Behind { events: Vec::new(), lost: from.saturating_sub(place), place: from };
        for event in ring.kept.iter().skip((from - ring.gone) as usize) {
            if behind.events.len() == limit {
                break;
            }
            behind.place += 1;
            if wanted(event) {
                behind.events.push(event.clone());
            }
        }
        behind
    }

    /// The place before the newest `limit` events that are `wanted`.
    pub(crate) fn newest(&self, limit: usize, wanted: impl Fn(&Event) -> bool) -> u64 {
        let ring = self.ring();
        let mine = ring.kept.iter().enumerate().rev().filter(|(_, event)| wanted(event));
        let first = mine.take(limit).last().map_or(ring.kept.len(), |(at, _)| at);
        ring.gone + first as u64
    }

    /// The place behind all events so far.
    pub(crate) fn end(&self) -> u64 {
        *self.0.count.borrow()
    }

    /// Are all events behind this place still there?
    pub(crate) fn reaches(&self, place: u64) -> bool {
        place >= self.ring().gone
    }

    /// Waits for an event behind a place. Cancel safe.
    pub(crate) async fn past(&self, place: u64) {
        // The sender lives as long as this handle: an error cannot come.
        let _ = self.0.count.subscribe().wait_for(|count| *count > place).await;
    }

    /// A place as text, also for `Last-Event-ID`.
    pub(crate) fn cursor(&self, place: u64) -> String {
        format!("{:08x}-{place}", self.0.life)
    }

    /// Reads a place; nothing if it is that of another master, or of another life of this one.
    pub(crate) fn place(&self, cursor: &str) -> Option<u64> {
        let (life, place) = cursor.split_once('-')?;
        let place = place.parse().ok().filter(|place| *place <= self.end())?;
        (u32::from_str_radix(life, 16).ok()? == self.0.life).then_some(place)
    }

    /// One more follower, until this is dropped; nothing if there are too many.
    pub(crate) fn follow(&self) -> Option<OwnedSemaphorePermit> {
        self.0.followers.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(events: &Events, count: usize) {
        (0..count).for_each(|n| events.add(Event::new("instance.joined", format!("node/{n}"), "")));
    }

    #[test]
    fn the_ring_keeps_the_last_ones_and_tells_how_many_a_slow_reader_has_lost() {
        let events = Events::default();
        some(&events, KEPT + 10);
        let behind = events.behind(3, 2, |_| true);
        let ids: Vec<_> = behind.events.iter().map(|e| e.subject.as_str()).collect();
        assert_eq!((behind.lost, behind.place, ids), (7, 12, vec!["node/10", "node/11"]));
        assert!(!events.reaches(9) && events.reaches(10));
        let rest = events.behind(behind.place, usize::MAX, |_| true);
        assert_eq!((rest.lost, rest.events.len(), rest.place), (0, KEPT - 2, events.end()));
        assert_eq!(events.behind(events.end(), 5, |_| true), Behind { place: events.end(), ..Behind::default() });
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_the_newest_are_counted_without_it() {
        let events = Events::default();
        some(&events, 20);
        let even = |e: &Event| e.subject.ends_with(['0', '2', '4', '6', '8']);
        let behind = events.behind(0, 3, even);
        assert_eq!((behind.events.len(), behind.place), (3, 5));
        let newest = events.behind(events.newest(2, even), 10, even);
        let ids: Vec<_> = newest.events.iter().map(|e| e.subject.as_str()).collect();
        assert_eq!(ids, ["node/16", "node/18"]);
        assert_eq!(events.newest(100, even), 0);
    }

    #[test]
    fn a_cursor_is_of_one_life_of_one_master() {
        let (events, other) = (Events::default(), Events::default());
        some(&events, 3);
        some(&other, 3);
        assert_eq!(events.place(&events.cursor(2)), Some(2));
        let wrong =
            [other.cursor(2), events.cursor(4), "7".to_owned(), String::new(), format!("{}x", events.cursor(1))];
        assert!(wrong.iter().all(|text| events.place(text).is_none()), "{wrong:?}");
    }

    #[tokio::test]
    async fn a_follower_wakes_when_there_is_more_and_there_are_so_many_at_most() {
        let events = Events::default();
        let waits = tokio::spawn({
            let events = events.clone();
            async move { events.past(0).await }
        });
        some(&events, 1);
        waits.await.unwrap();
        let mut all: Vec<_> = (0..FOLLOWERS).map(|_| events.follow().unwrap()).collect();
        assert!(events.follow().is_none());
        all.pop();
        assert!(events.follow().is_some());
    }
}
