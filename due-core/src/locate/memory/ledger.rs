//! The records and the rules of their epochs. No clock, no waiting: time comes as an argument.

mod cell;
mod history;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::{
    Attempt, Binding, Change, Claim, Epoch, Error, Kind, Owner, Place, Record, Result, SessionId, Subject, Taken,
    Verdict,
};
use crate::locate::{MAX_EPOCH, Slot};
use cell::{Cell, Entry};
use history::{History, KEPT, Step};

/// When a claim holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum If {
    Always,
    Absent,
    Epoch(Epoch),
}

#[derive(Default)]
pub(super) struct Ledger {
    entries: BTreeMap<Subject, Entry>,
    fenced: BTreeSet<Owner>,
    /// The highest epoch of a record that was forgotten with its last tombstone.
    forgotten: Epoch,
    history: History,
}

impl Ledger {
    pub(super) fn claim(
        &mut self,
        subject: Subject,
        place: Place,
        claim: Claim,
        when: If,
    ) -> Result<(Attempt, Option<Change>)> {
        if self.fenced.contains(&claim.owner) {
            return Err(Error::new(Kind::Stale, "this owner is fenced").context("owner", &claim.owner));
        }
        let cell = self.cell(&subject, &place);
        if let Some((slot, previous)) = cell.and_then(|c| c.repeated(&claim)) {
            let taken = Taken { epoch: slot.epoch, previous: previous.clone(), record: self.record(&subject) };
            return Ok((Attempt::Won(taken), None));
        }
        let holder = cell.and_then(Cell::slot).filter(|s| !self.fenced.contains(&s.owner)).cloned();
        let holds = match when {
            If::Always => true,
            If::Absent => holder.is_none(),
            If::Epoch(seen) => cell.map_or(Epoch(0), Cell::epoch) == seen,
        };
        if !holds {
            return Ok((Attempt::Refused(self.record(&subject)), None));
        }
        let epoch = self.next(&subject, claim.floor)?;
        let slot = Slot { owner: claim.owner, session: claim.session, epoch };
        self.set(&subject, &place, Cell::Held { slot: slot.clone(), previous: holder.clone() });
        let taken = Taken { epoch, previous: holder, record: self.record(&subject) };
        Ok((Attempt::Won(taken), Some(Change { subject, place, slot: Some(slot), epoch })))
    }

    pub(super) fn reassert(&mut self, binding: Binding) -> (Verdict, Option<Change>) {
        let verdict = self.verdict(&binding);
        if verdict != Verdict::Missing {
            return (verdict, None);
        }
        let Binding { subject, place, slot } = binding;
        self.set(&subject, &place, Cell::Held { slot: slot.clone(), previous: None });
        let epoch = slot.epoch;
        (Verdict::Current, Some(Change { subject, place, slot: Some(slot), epoch }))
    }

    pub(super) fn unbind(
        &mut self,
        subject: Subject,
        place: Place,
        of: (SessionId, Epoch),
        now: Instant,
    ) -> Result<(Option<Epoch>, Option<Change>)> {
        let (session, mine) = of;
        let epoch = Epoch(mine.0.saturating_add(1));
        if epoch > MAX_EPOCH {
            return Err(over_limit(mine));
        }
        match self.cell(&subject, &place) {
            Some(Cell::Unbound { epoch: done, .. }) if *done == epoch => return Ok((Some(epoch), None)),
            Some(cell) if cell.epoch() > mine => return Ok((None, None)),
            Some(Cell::Held { slot, .. }) if slot.epoch == mine && slot.session != session => return Ok((None, None)),
            _ => {}
        }
        self.set(&subject, &place, Cell::Unbound { epoch, since: now });
        self.expire_later(&subject, now);
        Ok((Some(epoch), Some(Change { subject, place, slot: None, epoch })))
    }

    pub(super) fn record(&self, subject: &Subject) -> Record {
        self.entries.get(subject).map_or_else(Record::default, |entry| entry.show(|owner| self.fenced.contains(owner)))
    }

    pub(super) fn verdict(&self, binding: &Binding) -> Verdict {
        let (mine, cell) = (&binding.slot, self.cell(&binding.subject, &binding.place));
        let epoch = cell.map_or(Epoch(0), Cell::epoch);
        if self.fenced.contains(&mine.owner) || epoch > mine.epoch {
            return Verdict::Fenced(epoch);
        }
        match cell.and_then(Cell::slot).filter(|slot| slot.epoch == mine.epoch && !self.fenced.contains(&slot.owner)) {
            Some(slot) if slot.session == mine.session && slot.owner == mine.owner => Verdict::Current,
            Some(slot) => Verdict::Tie(slot.clone()),
            None => Verdict::Missing,
        }
    }

    pub(super) fn fence(&mut self, owner: Owner, now: Instant) {
        if self.fenced.insert(owner.clone()) {
            self.history.wrote_fence(owner.clone());
            self.history.expire_later(Step::Fence(owner), now);
        }
    }

    /// Forgets what is older than 48 h (at most twice that): tombstones nobody wrote over, and fences with the slots they
    /// cover.
    pub(super) fn forget(&mut self, now: Instant) {
        while let Some(step) = self.history.due(now) {
            match step {
                Step::Tombstones(subject) => self.forget_tombstones(subject, now),
                Step::Fence(owner) => self.forget_fence(&owner, now),
            }
        }
    }

    /// As if the last writes had never been.
    pub(super) fn undo(&mut self, writes: usize) {
        for undo in self.history.take_last(writes) {
            match undo {
                history::Undo::Entry(subject, Some(entry)) => drop(self.entries.insert(subject, entry)),
                history::Undo::Entry(subject, None) => drop(self.entries.remove(&subject)),
                history::Undo::Fence(owner) => drop(self.fenced.remove(&owner)),
            }
        }
    }

    fn cell(&self, subject: &Subject, place: &Place) -> Option<&Cell> {
        self.entries.get(subject)?.cells.get(place)
    }

    /// An epoch above all that the subject has had and the caller has seen.
    fn next(&self, subject: &Subject, floor: Epoch) -> Result<Epoch> {
        let last = self.entries.get(subject).map_or(self.forgotten, |entry| entry.last);
        let next = Epoch(last.max(floor).0.saturating_add(1));
        match next <= MAX_EPOCH {
            true => Ok(next),
            false => Err(over_limit(floor)),
        }
    }

    fn set(&mut self, subject: &Subject, place: &Place, cell: Cell) {
        let before = self.entries.get(subject).cloned();
        let entry = self.entries.entry(subject.clone()).or_insert_with(|| Entry::new(self.forgotten));
        entry.last = entry.last.max(cell.epoch());
        entry.cells.insert(place.clone(), cell);
        self.history.wrote(subject.clone(), before);
    }

    /// One step in the queue per subject, however often it comes and goes.
    fn expire_later(&mut self, subject: &Subject, now: Instant) {
        let Some(entry) = self.entries.get_mut(subject) else { return };
        if !std::mem::replace(&mut entry.expiring, true) {
            self.history.expire_later(Step::Tombstones(subject.clone()), now);
        }
    }

    fn forget_tombstones(&mut self, subject: Subject, now: Instant) {
        let Some(entry) = self.entries.get_mut(&subject) else { return };
        entry.expiring = false;
        entry.cells.retain(|_, cell| !cell.is_older(now, KEPT));
        if entry.cells.is_empty() {
            self.forgotten = self.forgotten.max(entry.last);
            self.entries.remove(&subject);
        } else if entry.cells.values().any(|cell| cell.slot().is_none()) {
            self.expire_later(&subject, now);
        }
    }

    /// Its slots become tombstones of their own, so that the owner is not missed.
    fn forget_fence(&mut self, owner: &Owner, now: Instant) {
        let mut touched = Vec::new();
        for (subject, entry) in &mut self.entries {
            for cell in entry.cells.values_mut().filter(|cell| cell.slot().is_some_and(|slot| slot.owner == *owner)) {
                *cell = Cell::Unbound { epoch: cell.epoch(), since: now };
                touched.push(subject.clone());
            }
        }
        for subject in touched {
            self.expire_later(&subject, now);
        }
        self.fenced.remove(owner);
    }
}

fn over_limit(epoch: Epoch) -> Error {
    Error::new(Kind::BadRequest, format!("the epoch {epoch} is over the limit"))
}

#[cfg(test)]
mod tests;
