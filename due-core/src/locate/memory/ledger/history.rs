//! What was written last, for failovers, and what will be forgotten next.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{Entry, Owner, Subject};

/// How long tombstones and fences stay.
pub(super) const KEPT: Duration = Duration::from_secs(48 * 3600);

/// Writes that a failover can lose.
const UNDO: usize = 256;

#[derive(Default)]
pub(super) struct History {
    undo: VecDeque<Undo>,
    /// In the order of their time, because all stay equally long.
    expiring: VecDeque<(Instant, Step)>,
}

/// How to take one write back.
pub(super) enum Undo {
    Entry(Subject, Option<Entry>),
    Fence(Owner),
}

/// Something to forget.
pub(super) enum Step {
    Tombstones(Subject),
    Fence(Owner),
}

impl History {
    pub(super) fn wrote(&mut self, subject: Subject, before: Option<Entry>) {
        self.push(Undo::Entry(subject, before));
    }

    pub(super) fn wrote_fence(&mut self, owner: Owner) {
        self.push(Undo::Fence(owner));
    }

    /// The last writes, the newest first.
    pub(super) fn take_last(&mut self, writes: usize) -> Vec<Undo> {
        let keep = self.undo.len().saturating_sub(writes);
        self.undo.split_off(keep).into_iter().rev().collect()
    }

    pub(super) fn expire_later(&mut self, step: Step, now: Instant) {
        self.expiring.push_back((now + KEPT, step));
    }

    /// The next thing whose time is over.
    pub(super) fn due(&mut self, now: Instant) -> Option<Step> {
        self.expiring.pop_front_if(|(at, _)| *at <= now).map(|(_, step)| step)
    }

    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.expiring.len()
    }

    fn push(&mut self, undo: Undo) {
        if self.undo.len() == UNDO {
            self.undo.pop_front();
        }
        self.undo.push_back(undo);
    }
}
