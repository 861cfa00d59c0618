//! What the locator keeps, and what its operations take and give.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Place, Subject};
use crate::id::{Epoch, Owner, SessionId};

/// A held place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// Which life of which instance holds it.
    pub owner: Owner,
    /// For which session; an actor's host makes one up per activation.
    pub session: SessionId,
    /// Since which epoch.
    pub epoch: Epoch,
}

/// All that is known of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The highest epoch given to the subject, or 0.
    pub last: Epoch,
    /// Where the user is connected.
    pub gate: Option<Slot>,
    /// Who serves the subject, by node name.
    pub node: BTreeMap<Arc<str>, Slot>,
    /// Places that were held and are not any more, each with the epoch at which that is known.
    pub unbound: BTreeMap<Place, Epoch>,
}

impl Record {
    /// Who holds the place.
    pub fn slot(&self, place: &Place) -> Option<&Slot> {
        match place {
            Place::Gate => self.gate.as_ref(),
            Place::Node(name) => self.node.get(name),
        }
    }

    /// At which epoch the place is, held or unbound; 0 if it is unknown.
    pub fn epoch(&self, place: &Place) -> Epoch {
        let unbound = || self.unbound.get(place).copied().unwrap_or_default();
        self.slot(place).map_or_else(unbound, |slot| slot.epoch)
    }
}

/// Who wants a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which life of which instance.
    pub owner: Owner,
    /// For which session.
    pub session: SessionId,
    /// The highest epoch the claimant has ever seen for the subject: the new one is above it.
    pub floor: Epoch,
}

/// What a successful claim got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The epoch of the new slot.
    pub epoch: Epoch,
    /// Who held the place before; a repeated claim learns it again.
    pub previous: Option<Slot>,
    /// The record with the new slot in it: no second look-up is needed.
    pub record: Record,
}

/// What a conditional claim got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempt {
    /// The place.
    Won(Taken),
    /// Nothing: the record says why.
    Refused(Record),
}

impl Attempt {
    /// What was won.
    pub fn won(self) -> Option<Taken> {
        match self {
            Self::Won(taken) => Some(taken),
            Self::Refused(_) => None,
        }
    }
}

/// A slot that somebody believes to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// Of whom.
    pub subject: Subject,
    /// Where.
    pub place: Place,
    /// The slot as it was given.
    pub slot: Slot,
}

/// How a [`Binding`] stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// As believed.
    Current,
    /// The store knows nothing above it, and nobody holds the place by this epoch: reassert it.
    Missing,
    /// The store has another session with this very epoch: the one with the smaller session id takes anew, the other
    /// closes.
    Tie(Slot),
    /// It is over: the place is at this higher epoch, or the owner is fenced.
    Fenced(Epoch),
}
