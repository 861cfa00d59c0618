//! One record as the ledger keeps it.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Claim, Epoch, Owner, Place, Record, Slot};

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) last: Epoch,
    pub(super) cells: BTreeMap<Place, Cell>,
    /// A step in the queue will look at the tombstones.
    pub(super) expiring: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Cell {
    Held {
        slot: Slot,
        /// Who was displaced: the claimant may ask again after a lost answer.
        previous: Option<Slot>,
    },
    Unbound {
        epoch: Epoch,
        since: Instant,
    },
}

impl Cell {
    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Held { slot, .. } => slot.epoch,
            Self::Unbound { epoch, .. } => *epoch,
        }
    }

    pub(super) fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Held { slot, .. } => Some(slot),
            Self::Unbound { .. } => None,
        }
    }

    /// A tombstone of at least that age.
    pub(super) fn is_older(&self, now: Instant, age: Duration) -> bool {
        matches!(self, Self::Unbound { since, .. } if now.duration_since(*since) >= age)
    }

    /// What this claim got already. A floor at or above it means that the claimant has seen more since: it claims anew.
    pub(super) fn repeated(&self, claim: &Claim) -> Option<(&Slot, &Option<Slot>)> {
        match self {
            Self::Held { slot, previous } => {
                let same = slot.session == claim.session && slot.owner == claim.owner && slot.epoch > claim.floor;
                same.then_some((slot, previous))
            }
            Self::Unbound { .. } => None,
        }
    }
}

impl Entry {
    pub(super) fn new(last: Epoch) -> Self {
        Self { last, cells: BTreeMap::new(), expiring: false }
    }

    /// The record for others; slots of fenced owners count as unbound.
    pub(super) fn show(&self, fenced: impl Fn(&Owner) -> bool) -> Record {
        let mut record = Record { last: self.last, ..Record::default() };
        for (place, cell) in &self.cells {
            match (place, cell.slot().filter(|slot| !fenced(&slot.owner)).cloned()) {
                (Place::Gate, Some(slot)) => record.gate = Some(slot),
                (Place::Node(name), Some(slot)) => drop(record.node.insert(name.clone(), slot)),
                (place, None) => drop(record.unbound.insert(place.clone(), cell.epoch())),
            }
        }
        record
    }
}
