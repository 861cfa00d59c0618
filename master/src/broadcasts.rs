//! The broadcasts of this master: those under way, and the last that were sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{clock, fanout::Failed};

/// Most broadcasts that are kept; the oldest go.
const KEPT: usize = 500;

/// Whom a broadcast reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Audience {
    /// Every connection.
    Everyone,
    /// Every connection with a user.
    Bound,
    /// The subscribers of a channel.
    Channel,
}

/// Where a broadcast is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Gates are told.
    Running,
    /// All gates have answered, or have had their time.
    Finished,
    /// It was broken off: nobody knows which gates were told.
    Broken,
}

/// What a gate has done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AtGate {
    /// The gate.
    pub(crate) gate: String,
    /// Stands in so many outboxes.
    pub(crate) queued: u64,
    /// Refused or dropped by so many full ones.
    pub(crate) full: u64,
    /// Of so many the listener cannot carry the route.
    pub(crate) unknown: u64,
}

/// A broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Broadcast {
    /// Its id, as in the audit log: `broadcast/ID`.
    pub(crate) id: String,
    /// When it was asked for, in milliseconds since 1970.
    time_ms: u64,
    /// Who has asked, by the name of the token.
    by: String,
    /// Why.
    reason: String,
    /// Whom it reaches.
    to: Audience,
    /// The channel, for `channel`.
    channel: Option<String>,
    /// The number of the push.
    route: i32,
    /// Bytes of the message.
    bytes: u64,
    /// So many connections it reaches, as counted before.
    pub(crate) count: u64,
    /// Where it is.
    pub(crate) stage: Stage,
    /// What each gate has done.
    pub(crate) items: Vec<AtGate>,
    /// Has somebody not answered?
    pub(crate) partial: bool,
    /// Who has not.
    pub(crate) failed: Vec<Failed>,
}

impl Broadcast {
    /// One that begins: who and why, to whom, and the route, the bytes and the connections.
    pub(crate) fn begun(
        id: String,
        (by, reason): (&str, &str),
        (to, channel): (Audience, Option<String>),
        (route, bytes, count): (i32, u64, u64),
    ) -> Self {
        let time_ms = clock::millis();
        let (by, reason, stage) = (by.to_owned(), reason.trim().to_owned(), Stage::Running);
        let (items, partial, failed) = (Vec::new(), false, Vec::new());
        Self { id, time_ms, by, reason, to, channel, route, bytes, count, stage, items, partial, failed }
    }
}

/// All that are kept. Clones have the same ones.
#[derive(Clone, Default)]
pub(crate) struct Broadcasts(Arc<Mutex<VecDeque<Arc<Broadcast>>>>);

/// One under way; dropped unfinished, it is broken.
pub(crate) struct Running {
    all: Broadcasts,
    broadcast: Broadcast,
}

impl Broadcasts {
    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Broadcast>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one that begins.
    pub(crate) fn begin(&self, broadcast: Broadcast) -> Running {
        let mut all = self.all();
        if all.len() >= KEPT {
            all.pop_front();
        }
        all.push_back(Arc::new(broadcast.clone()));
        drop(all);
        Running { all: self.clone(), broadcast }
    }

    /// The one of this id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Broadcast>> {
        self.all().iter().find(|b| b.id == id).cloned()
    }

    /// At most `limit`, newest first, from behind one on; are there more? Behind one that is not kept there are none.
    pub(crate) fn page(&self, after: Option<&str>, limit: usize) -> (Vec<Arc<Broadcast>>, bool) {
        let all = self.all();
        let mut rest = all.iter().rev();
        if let Some(after) = after {
            let _ = rest.by_ref().find(|b| b.id == after);
        }
        let items = rest.by_ref().take(limit).cloned().collect();
        (items, rest.next().is_some())
    }

    fn replace(&self, broadcast: Broadcast) {
        // One that has gone meanwhile stays away.
        if let Some(kept) = self.all().iter_mut().find(|b| b.id == broadcast.id) {
            *kept = Arc::new(broadcast);
        }
    }
}

impl Running {
    /// It is over; this came of it.
    pub(crate) fn finish(mut self, items: Vec<AtGate>, failed: Vec<Failed>) -> Broadcast {
        let partial = !failed.is_empty();
        self.broadcast = Broadcast { stage: Stage::Finished, partial, items, failed, ..self.broadcast.clone() };
        self.broadcast.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stage = if self.broadcast.stage == Stage::Finished { Stage::Finished } else { Stage::Broken };
        self.all.replace(Broadcast { stage, ..self.broadcast.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(id: usize) -> Broadcast {
        Broadcast::begun(format!("b{id}"), ("ann", "a test"), (Audience::Everyone, None), (1, 2, 3))
    }

    #[test]
    fn the_last_ones_are_kept_and_paged_newest_first() {
        let all = Broadcasts::default();
        for id in 0..=KEPT {
            all.begin(begun(id)).finish(Vec::new(), Vec::new());
        }
        assert!(all.find("b0").is_none() && all.find("b1").is_some());
        let ids = |page: &[Arc<Broadcast>]| page.iter().map(|b| b.id.clone()).collect::<Vec<_>>();
        let (page, more) = all.page(None, 2);
        assert_eq!((ids(&page), more), (vec!["b500".to_owned(), "b499".to_owned()], true));
        let (page, more) = all.page(Some("b3"), 5);
        assert_eq!((ids(&page), more), (vec!["b2".to_owned(), "b1".to_owned()], false));
        assert_eq!(all.page(Some("b0"), 5), (Vec::new(), false));
    }

    #[test]
    fn one_that_is_dropped_unfinished_is_broken() {
        let all = Broadcasts::default();
        let running = all.begin(begun(1));
        assert_eq!(all.find("b1").unwrap().stage, Stage::Running);
        drop(running);
        assert_eq!(all.find("b1").unwrap().stage, Stage::Broken);
        all.begin(begun(2)).finish(Vec::new(), vec![Failed { node: "g".to_owned(), error: "timeout".to_owned() }]);
        let done = all.find("b2").unwrap();
        assert_eq!((done.stage, done.partial), (Stage::Finished, true));
    }
}
