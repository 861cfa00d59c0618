//! How a record is written: see `prelude.lua`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use due_core::{
    Epoch, Error, Incarnation, Kind, Owner, Result, SessionId,
    locate::{MAX_EPOCH, Place, Record, Slot},
};
use redis::Value;

use crate::redis::{fault, target::bytes};

const EPOCH: usize = 16;
const SESSION: usize = 32;
const INCARNATION: usize = 16;
const LONGEST_ID: usize = 256;

/// What a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Held(Slot),
    Unbound(Epoch),
}

impl Cell {
    /// `None` for what another version or another program wrote.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (epoch, rest) = (epoch(text.get(1..1 + EPOCH)?)?, text.get(1 + EPOCH..)?);
        match text.get(..1)? {
            "h" => holder(rest, epoch).map(Self::Held),
            "u" if rest.len() == EPOCH => Some(Self::Unbound(epoch)),
            _ => None,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Held(slot) => slot.epoch,
            Self::Unbound(epoch) => *epoch,
        }
    }

    pub(super) fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Held(slot) => Some(slot),
            Self::Unbound(_) => None,
        }
    }
}

/// All cells of a subject, before fences are looked at.
#[derive(Debug, Default)]
pub(super) struct Cells {
    last: Epoch,
    cells: BTreeMap<Place, Cell>,
}

impl Cells {
    /// Reads the answer to HGETALL.
    pub(super) fn read(answer: &Value) -> Result<Self> {
        let mut cells = Self::default();
        let mut note = |field: &Value, value: &Value| {
            let (Some(field), Some(value)) = (bytes(field), bytes(value)) else { return };
            cells.note(field, value);
        };
        match answer {
            Value::Map(pairs) => pairs.iter().for_each(|(field, value)| note(field, value)),
            Value::Array(parts) => parts.chunks_exact(2).for_each(|pair| {
                if let [field, value] = pair {
                    note(field, value);
                }
            }),
            _ => return Err(fault::odd("record")),
        }
        Ok(cells)
    }

    fn note(&mut self, field: &[u8], value: &[u8]) {
        match field {
            b"last" => self.last = std::str::from_utf8(value).ok().and_then(epoch).unwrap_or_default(),
            [b'c', name @ ..] => {
                if let (Some(place), Some(cell)) = (place(name), Cell::parse(value)) {
                    self.cells.insert(place, cell);
                }
            }
            _ => {}
        }
    }

    pub(super) fn at(&self, place: &Place) -> Option<&Cell> {
        self.cells.get(place)
    }

    pub(super) fn owners(&self) -> BTreeSet<Owner> {
        self.cells.values().filter_map(Cell::slot).map(|slot| slot.owner.clone()).collect()
    }

    /// The record for others; slots of fenced owners count as unbound.
    pub(super) fn show(self, fenced: &BTreeSet<Owner>) -> Record {
        let mut record = Record { last: self.last, ..Record::default() };
        for (place, cell) in self.cells {
            let epoch = cell.epoch();
            match (place, cell) {
                (Place::Gate, Cell::Held(slot)) if !fenced.contains(&slot.owner) => record.gate = Some(slot),
                (Place::Node(name), Cell::Held(slot)) if !fenced.contains(&slot.owner) => {
                    record.node.insert(name, slot);
                }
                (place, _) => drop(record.unbound.insert(place, epoch)),
            }
        }
        record
    }
}

/// `g` for the gate, `n<name>` for a node.
pub(super) fn place_field(place: &Place) -> String {
    match place {
        Place::Gate => "g".into(),
        Place::Node(name) => format!("n{name}"),
    }
}

pub(super) fn place(field: &[u8]) -> Option<Place> {
    match field {
        b"g" => Some(Place::Gate),
        [b'n', name @ ..] => Some(Place::Node(std::str::from_utf8(name).ok()?.into())),
        _ => None,
    }
}

/// Sixteen digits, so that texts compare as numbers do.
pub(super) fn digits(epoch: Epoch) -> String {
    format!("{:016}", epoch.0)
}

fn epoch(text: &str) -> Option<Epoch> {
    let plain = text.len() == EPOCH && text.bytes().all(|b| b.is_ascii_digit());
    let epoch = plain.then(|| text.parse().ok()).flatten().map(Epoch)?;
    (epoch <= MAX_EPOCH).then_some(epoch)
}

/// Who holds: session, incarnation and id of the owner.
pub(super) fn holder_text(owner: &Owner, session: SessionId) -> String {
    format!("{session}{:016x}{}", owner.incarnation.0, owner.id)
}

fn holder(text: &str, epoch: Epoch) -> Option<Slot> {
    let session = u128::from_str_radix(text.get(..SESSION)?, 16).ok()?;
    let incarnation = u64::from_str_radix(text.get(SESSION..SESSION + INCARNATION)?, 16).ok()?;
    let id = text.get(SESSION + INCARNATION..).filter(|id| (1..=LONGEST_ID).contains(&id.len()))?;
    let owner = Owner { id: Arc::<str>::from(id).to_string().into(), incarnation: Incarnation(incarnation) };
    Some(Slot { owner, session: SessionId(session), epoch })
}

/// Refuses an owner whose id cannot be written.
pub(super) fn check_owner(owner: &Owner) -> Result<()> {
    match owner.id.0.len() {
        1..=LONGEST_ID => Ok(()),
        n => Err(Error::new(Kind::BadRequest, format!("an instance id has 1 to {LONGEST_ID} bytes, not {n}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(epoch: u64) -> Slot {
        let owner = Owner { id: "gate 1|é".into(), incarnation: Incarnation(u64::MAX - 1) };
        Slot { owner, session: SessionId(7), epoch: Epoch(epoch) }
    }

    #[test]
    fn a_cell_reads_back() {
        let slot = slot(1_795_255_982_659_700);
        let text = format!("h{}{}", digits(slot.epoch), holder_text(&slot.owner, slot.session));
        assert_eq!(Cell::parse(text.as_bytes()), Some(Cell::Held(slot)));
        let tomb = format!("u{}{}", digits(MAX_EPOCH), digits(Epoch(1)));
        assert_eq!(Cell::parse(tomb.as_bytes()), Some(Cell::Unbound(MAX_EPOCH)));
    }

    /// B125: a value of another version is ignored.
    #[test]
    fn what_is_no_cell_is_ignored() {
        let good = format!("h{}{}", digits(Epoch(5)), holder_text(&slot(5).owner, SessionId(7)));
        for cut in 0..good.len() - "gate 1|é".len() + 1 {
            assert_eq!(Cell::parse(&good.as_bytes()[..cut]), None, "{cut}");
        }
        let over = format!("u{}{}", "9".repeat(16), digits(Epoch(1)));
        for odd in ["", "x", "gate-1", "{\"v\":2}", "h00000000000000 5", over.as_str()] {
            assert_eq!(Cell::parse(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(Cell::parse(&[0xff; 80]), None);
    }

    #[test]
    fn epochs_compare_as_their_texts_do() {
        let epochs = [0, 9, 10, 4_294_967_296, (1 << 53) - 1].map(|n| digits(Epoch(n)));
        assert!(epochs.is_sorted() && epochs.iter().all(|text| text.len() == 16));
    }
}
