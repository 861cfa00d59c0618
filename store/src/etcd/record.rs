//! A record as it stands in etcd: one JSON value per subject.

use std::{collections::BTreeMap, sync::Arc};

use due_core::{
    Epoch, Incarnation, InstanceId, Owner, SessionId,
    locate::{Claim, Place, Record, Slot, Subject},
};
use serde::{Deserialize, Serialize};

/// The form below. Another one is not read: it counts as an unknown subject.
const FORM: u32 = 1;

/// Most places of one subject: a transaction compares the fences of all their owners.
pub(super) const MOST_PLACES: usize = 64;

/// All that is kept of a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    form: u32,
    /// Whose it is, for those who watch.
    pub(super) subject: Subject,
    /// Which cell the last write changed, for those who watch.
    pub(super) changed: Place,
    /// The highest epoch given.
    pub(super) last: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gate: Option<Cell>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    node: BTreeMap<Arc<str>, Cell>,
}

/// A place: held, or unbound with the epoch at which that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cell {
    epoch: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Holder>,
    /// Who was displaced: the claimant may ask again after a lost answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<(Holder, Epoch)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Holder {
    id: InstanceId,
    #[serde(with = "hex64")]
    incarnation: u64,
    #[serde(with = "hex128")]
    session: u128,
}

impl Kept {
    pub(super) fn new(subject: Subject) -> Self {
        let (last, gate, node) = (Epoch(0), None, BTreeMap::new());
        Self { form: FORM, subject, changed: Place::Gate, last, gate, node }
    }

    /// The record in these bytes; `None` if they are none, or one of another subject.
    pub(super) fn read(bytes: &[u8], subject: Option<&Subject>) -> Option<Self> {
        let kept: Self = serde_json::from_slice(bytes).ok()?;
        let good = kept.form == FORM && kept.node.len() <= MOST_PLACES && kept.subject.check().is_ok();
        (good && subject.is_none_or(|s| *s == kept.subject)).then_some(kept)
    }

    pub(super) fn bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    pub(super) fn cell(&self, place: &Place) -> Option<&Cell> {
        match place {
            Place::Gate => self.gate.as_ref(),
            Place::Node(name) => self.node.get(name),
        }
    }

    pub(super) fn set(&mut self, place: &Place, cell: Cell) {
        self.last = self.last.max(cell.epoch);
        self.changed = place.clone();
        match place {
            Place::Gate => self.gate = Some(cell),
            Place::Node(name) => drop(self.node.insert(name.clone(), cell)),
        }
    }

    pub(super) fn is_full(&self, place: &Place) -> bool {
        *place != Place::Gate && self.cell(place).is_none() && self.node.len() >= MOST_PLACES - 1
    }

    /// Nobody holds anything: only tombstones are left.
    pub(super) fn is_over(&self) -> bool {
        self.cells().all(|(_, cell)| cell.by.is_none())
    }

    /// Whoever holds a place, each once.
    pub(super) fn owners(&self) -> Vec<Owner> {
        let mut owners: Vec<_> = self.cells().filter_map(|(_, cell)| Some(cell.slot()?.owner)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// The record for others; slots of fenced owners count as unbound.
    pub(super) fn show(&self, fenced: impl Fn(&Owner) -> bool) -> Record {
        let mut record = Record { last: self.last, ..Record::default() };
        for (place, cell) in self.cells() {
            match (&place, cell.slot().filter(|slot| !fenced(&slot.owner))) {
                (Place::Gate, Some(slot)) => record.gate = Some(slot),
                (Place::Node(name), Some(slot)) => drop(record.node.insert(name.clone(), slot)),
                (_, None) => drop(record.unbound.insert(place, cell.epoch)),
            }
        }
        record
    }

    fn cells(&self) -> impl Iterator<Item = (Place, &Cell)> {
        let gate = self.gate.iter().map(|cell| (Place::Gate, cell));
        gate.chain(self.node.iter().map(|(name, cell)| (Place::Node(name.clone()), cell)))
    }
}

impl Cell {
    pub(super) fn held(slot: &Slot, previous: Option<&Slot>) -> Self {
        let previous = previous.map(|slot| (Holder::of(slot), slot.epoch));
        Self { epoch: slot.epoch, by: Some(Holder::of(slot)), previous }
    }

    pub(super) fn unbound(epoch: Epoch) -> Self {
        Self { epoch, by: None, previous: None }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        Some(self.by.as_ref()?.at(self.epoch))
    }

    /// What this claim got already, and whom it displaced. A floor at or above it means that the claimant has seen more
    /// since: it claims anew.
    pub(super) fn repeated(&self, claim: &Claim) -> Option<(Epoch, Option<Slot>)> {
        let slot = self.slot()?;
        let same = slot.session == claim.session && slot.owner == claim.owner && slot.epoch > claim.floor;
        let previous = || self.previous.as_ref().map(|(holder, epoch)| holder.at(*epoch));
        same.then(|| (slot.epoch, previous()))
    }
}

impl Holder {
    fn of(slot: &Slot) -> Self {
        Self { id: slot.owner.id.clone(), incarnation: slot.owner.incarnation.0, session: slot.session.0 }
    }

    fn at(&self, epoch: Epoch) -> Slot {
        let owner = Owner { id: self.id.clone(), incarnation: Incarnation(self.incarnation) };
        Slot { owner, session: SessionId(self.session), epoch }
    }
}

/// Numbers over 2^53 as text: not every reader of JSON keeps them exact.
macro_rules! hex {
    ($module:ident, $number:ty, $form:literal) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            pub(super) fn serialize<S: Serializer>(value: &$number, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(&format_args!($form, value))
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$number, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                <$number>::from_str_radix(&text, 16).map_err(D::Error::custom)
            }
        }
    };
}
hex!(hex64, u64, "{:016x}");
hex!(hex128, u128, "{:032x}");

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::Uid;

    fn kept() -> Kept {
        let owner = Owner { id: "gate-1".into(), incarnation: Incarnation(u64::MAX) };
        let slot = Slot { owner, session: SessionId(u128::MAX), epoch: Epoch(41) };
        let mut kept = Kept::new(Uid::from("ä}").into());
        kept.set(&Place::Gate, Cell::held(&slot, Some(&slot)));
        kept.set(&Place::node("game"), Cell::unbound(Epoch(40)));
        kept
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let text = String::from_utf8(kept().bytes().unwrap()).unwrap();
        let wanted = concat!(
            r#"{"form":1,"subject":{"user":"ä}"},"changed":{"node":"game"},"last":41,"gate":{"epoch":41,"#,
            r#""by":{"id":"gate-1","incarnation":"ffffffffffffffff","session":"ffffffffffffffffffffffffffffffff"},"#,
            r#""previous":[{"id":"gate-1","incarnation":"ffffffffffffffff","#,
            r#""session":"ffffffffffffffffffffffffffffffff"},41]},"node":{"game":{"epoch":40}}}"#
        );
        assert_eq!(text, wanted);
        assert_eq!(Kept::read(text.as_bytes(), Some(&kept().subject)), Some(kept()));
    }

    #[test] // B125
    fn what_another_version_or_hand_wrote_is_not_read() {
        let text = String::from_utf8(kept().bytes().unwrap()).unwrap();
        for odd in [
            "",
            "gate-1",
            "{}",
            &text.replace(r#""form":1"#, r#""form":2"#),
            &text.replace("ffffffffffffffff\"", "x\""),
            &text.replace(r#""user":"ä}""#, r#""user":0"#),
            &text.replace("41", "-41"),
        ] {
            assert_eq!(Kept::read(odd.as_bytes(), None), None, "{odd}");
        }
        assert_eq!(Kept::read(text.as_bytes(), Some(&Uid::from(1).into())), None, "of another subject");
    }
}
