//! What each operation makes of a record: no clock, no server, no waiting. What is known of the server comes as [`Seen`].

use std::collections::BTreeSet;

use due_core::{
    Epoch, Error, Kind, Owner, Result, SessionId,
    locate::{Attempt, Binding, Claim, MAX_EPOCH, Place, Record, Slot, Subject, Taken, Verdict},
};

use super::record::{Cell, Kept, MOST_PLACES};

/// What a transaction found, and will compare again.
#[derive(Debug)]
pub(super) struct Seen {
    /// The revision that wrote the record; 0 if there is none.
    pub(super) written: i64,
    /// The server's revision at that moment.
    pub(super) now: i64,
    /// The record; a new one if there is none that can be read.
    pub(super) kept: Kept,
    /// Owners that are fenced. All others of the record are not, or the transaction fails.
    pub(super) fenced: BTreeSet<Owner>,
}

/// An answer, and what must be written for it to be true.
pub(super) struct Plan<T> {
    pub(super) answer: T,
    pub(super) write: Option<Kept>,
}

/// When a claim holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum If {
    Always,
    Absent,
    Epoch(Epoch),
}

impl<T> Plan<T> {
    fn keep(answer: T) -> Result<Self> {
        Ok(Self { answer, write: None })
    }
}

impl Seen {
    pub(super) fn record(&self) -> Record {
        self.kept.show(|owner| self.is_fenced(owner))
    }

    pub(super) fn claim(&self, place: &Place, claim: &Claim, when: If) -> Result<Plan<Attempt>> {
        if self.is_fenced(&claim.owner) {
            return Err(Error::new(Kind::Stale, "this owner is fenced").context("owner", &claim.owner));
        }
        let cell = self.kept.cell(place);
        if let Some((epoch, previous)) = cell.and_then(|c| c.repeated(claim)) {
            return Plan::keep(Attempt::Won(Taken { epoch, previous, record: self.record() }));
        }
        let holder = cell.and_then(Cell::slot).filter(|slot| !self.is_fenced(&slot.owner));
        let holds = match when {
            If::Always => true,
            If::Absent => holder.is_none(),
            If::Epoch(seen) => self.epoch(place) == seen,
        };
        if !holds {
            return Plan::keep(Attempt::Refused(self.record()));
        }
        let epoch = self.next(claim.floor)?;
        let slot = Slot { owner: claim.owner.clone(), session: claim.session, epoch };
        let write = self.with(place, Cell::held(&slot, holder.as_ref()))?;
        let record = write.show(|owner| self.is_fenced(owner));
        Ok(Plan { answer: Attempt::Won(Taken { epoch, previous: holder, record }), write: Some(write) })
    }

    pub(super) fn reassert(&self, binding: &Binding) -> Result<Plan<Verdict>> {
        match self.verdict(binding) {
            Verdict::Missing => {
                let write = Some(self.with(&binding.place, Cell::held(&binding.slot, None))?);
                Ok(Plan { answer: Verdict::Current, write })
            }
            verdict => Plan::keep(verdict),
        }
    }

    pub(super) fn unbind(&self, place: &Place, session: SessionId, mine: Epoch) -> Result<Plan<Option<Epoch>>> {
        let epoch = Epoch(mine.0.saturating_add(1));
        if epoch > MAX_EPOCH {
            return Err(over_limit(mine));
        }
        if let Some(cell) = self.kept.cell(place) {
            match cell.slot() {
                None if cell.epoch() == epoch => return Plan::keep(Some(epoch)),
                _ if cell.epoch() > mine => return Plan::keep(None),
                Some(slot) if slot.epoch == mine && slot.session != session => return Plan::keep(None),
                _ => {}
            }
        }
        Ok(Plan { answer: Some(epoch), write: Some(self.with(place, Cell::unbound(epoch))?) })
    }

    pub(super) fn verdict(&self, binding: &Binding) -> Verdict {
        let (mine, epoch) = (&binding.slot, self.epoch(&binding.place));
        if self.is_fenced(&mine.owner) || epoch > mine.epoch {
            return Verdict::Fenced(epoch);
        }
        let slot = self.kept.cell(&binding.place).and_then(Cell::slot);
        match slot.filter(|slot| slot.epoch == mine.epoch && !self.is_fenced(&slot.owner)) {
            Some(slot) if slot == *mine => Verdict::Current,
            Some(slot) => Verdict::Tie(slot),
            None => Verdict::Missing,
        }
    }

    fn is_fenced(&self, owner: &Owner) -> bool {
        self.fenced.contains(owner)
    }

    fn epoch(&self, place: &Place) -> Epoch {
        self.kept.cell(place).map_or(Epoch(0), Cell::epoch)
    }

    /// Above all that the subject has had and the claimant has seen, and at least the server's revision: a record may be
    /// forgotten once the revision is past it. After a wipe, when revisions begin anew, the floor alone carries it.
    fn next(&self, floor: Epoch) -> Result<Epoch> {
        let counted = self.kept.last.max(floor).0.saturating_add(1);
        let next = Epoch(counted.max(u64::try_from(self.now).unwrap_or_default()));
        if next > MAX_EPOCH { Err(over_limit(floor)) } else { Ok(next) }
    }

    fn with(&self, place: &Place, cell: Cell) -> Result<Kept> {
        if self.kept.is_full(place) {
            let text = format!("a subject has at most {MOST_PLACES} places; this one has no room");
            return Err(Error::new(Kind::TooLarge, text).context("place", place));
        }
        let mut kept = self.kept.clone();
        kept.set(place, cell);
        Ok(kept)
    }
}

/// May this record be forgotten in some time? Only if nobody holds anything, and whoever claims then is above it by the
/// revision alone.
pub(super) fn is_forgettable(kept: &Kept, now: i64) -> bool {
    kept.is_over() && kept.last.0 <= u64::try_from(now).unwrap_or_default()
}

/// Refuses what no slot can be.
pub(super) fn check_epoch(epoch: Epoch) -> Result<()> {
    if (1..=MAX_EPOCH.0).contains(&epoch.0) {
        return Ok(());
    }
    Err(Error::new(Kind::BadRequest, format!("no slot has the epoch {epoch}")))
}

pub(super) fn check_names(subject: &Subject, place: &Place) -> Result<()> {
    subject.check()?;
    place.check()
}

fn over_limit(epoch: Epoch) -> Error {
    Error::new(Kind::BadRequest, format!("the epoch {epoch} is over the limit"))
}

#[cfg(test)]
mod tests {
    use due_core::{Incarnation, Uid};

    use super::*;

    fn seen(kept: Kept, now: i64) -> Seen {
        Seen { written: 1, now, kept, fenced: BTreeSet::new() }
    }

    fn claim(session: u128, floor: u64) -> Claim {
        let owner = Owner { id: "gate-1".into(), incarnation: Incarnation(session as u64) };
        Claim { owner, session: SessionId(session), floor: Epoch(floor) }
    }

    fn new() -> Kept {
        Kept::new(Uid::from(7).into())
    }

    fn take(kept: Kept, now: i64, floor: u64) -> Kept {
        seen(kept, now).claim(&Place::Gate, &claim(1, floor), If::Always).unwrap().write.unwrap()
    }

    #[test]
    fn an_epoch_is_above_the_record_the_floor_and_not_below_the_revision() {
        for (last, now, floor, wanted) in [(0, 0, 0, 1), (0, 90, 0, 90), (95, 90, 0, 96), (95, 90, 200, 201)] {
            let mut kept = new();
            kept.last = Epoch(last);
            assert_eq!(take(kept, now, floor).last, Epoch(wanted), "{last} {now} {floor}");
        }
        for floor in [MAX_EPOCH.0, u64::MAX] {
            assert!(seen(new(), 5).claim(&Place::Gate, &claim(1, floor), If::Always).is_err());
        }
    }

    #[test]
    fn a_record_is_forgotten_only_when_a_new_one_would_be_above_it() {
        let held = take(new(), 90, 0);
        assert!(!is_forgettable(&held, 1000));
        let over = |kept: Kept, now| {
            let mine = kept.last;
            seen(kept, now).unbind(&Place::Gate, SessionId(1), mine).unwrap().write.unwrap()
        };
        let tomb = over(held, 91);
        assert!(is_forgettable(&tomb, 91));
        assert!(take(new(), 92, 0).last > tomb.last);
        assert!(!is_forgettable(&over(take(new(), 90, 5000), 91), 92), "its epoch is from before a wipe");
    }

    #[test]
    fn a_subject_has_a_limited_number_of_places() {
        let mut kept = new();
        for n in 0.. {
            let at = seen(kept.clone(), 0);
            match at.claim(&Place::node(format!("n{n}")), &claim(1, 0), If::Always) {
                Ok(plan) => kept = plan.write.unwrap(),
                Err(e) => {
                    assert_eq!((e.kind(), n), (Kind::TooLarge, MOST_PLACES - 1));
                    break;
                }
            }
        }
        assert!(seen(kept, 0).claim(&Place::node("n0"), &claim(2, 0), If::Always).is_ok());
    }
}
