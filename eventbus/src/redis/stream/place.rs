//! Where an entry stands in its stream, and what is missing before it.

use std::sync::Arc;

use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    bus::{Cause, Gap, Position},
};
use redis::Value;

use crate::redis::target::bytes;

/// The id of an entry: milliseconds and a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u64, pub(super) u64);

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (time, number) = text.split_once('-')?;
        Some(Self(time.parse().ok()?, number.parse().ok()?))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// How many events a life of the topic has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Empty: whichever comes.
    pub(super) life: Arc<str>,
    pub(super) events: u64,
}

impl Place {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (life, events) = text.rsplit_once('-')?;
        let plain = life.len() <= 20 && life.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| events.parse().ok()).flatten().map(|events| Self { life: life.into(), events })
    }

    /// What is missing between this place and the entry.
    pub(super) fn missing(&self, entry: &Entry) -> Option<Gap> {
        let next = entry.place.as_ref()?;
        if !self.life.is_empty() && self.life != next.life {
            return Some(Gap { cause: Cause::Trimmed, lost: None });
        }
        let lost = next.events.saturating_sub(entry.events()).saturating_sub(self.events);
        (lost > 0).then_some(Gap { cause: Cause::Trimmed, lost: Some(lost) })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.life, self.events)
    }
}

/// One entry of a stream.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: Id,
    /// None if another program added it.
    pub(super) place: Option<Place>,
    pub(super) body: Bytes,
}

impl Entry {
    /// Reads `[id, [field, value, ..]]`; `None` for one that was deleted.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let mut parts = parts.into_iter();
        let id = Id::parse(std::str::from_utf8(bytes(&parts.next()?)?).ok()?)?;
        let Value::Array(fields) = parts.next()? else { return None };
        let mut entry = Self { id, place: None, body: Bytes::new() };
        let mut fields = fields.into_iter();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            match (bytes(&field), value) {
                (Some(b"p"), value) => {
                    entry.place = bytes(&value).and_then(|p| std::str::from_utf8(p).ok()).and_then(Place::parse);
                }
                (Some(b"b"), Value::BulkString(body)) => entry.body = body.into(),
                _ => {}
            }
        }
        Some(entry)
    }

    /// Reads a list of them.
    pub(super) fn list(value: Value) -> Vec<Self> {
        match value {
            Value::Array(entries) => entries.into_iter().filter_map(Self::read).collect(),
            _ => Vec::new(),
        }
    }

    /// 0 for a beacon, else 1.
    pub(super) fn events(&self) -> u64 {
        events(&self.body)
    }

    /// What people may come back with.
    pub(super) fn position(&self) -> Position {
        match &self.place {
            Some(place) => Position(format!("{}/{place}", self.id).into()),
            None => Position(self.id.to_string().into()),
        }
    }
}

/// Envelopes of format 1 and kind 2 are beacons, which are no events.
pub(super) fn events(body: &[u8]) -> u64 {
    u64::from(!body.starts_with(&[1, 2]))
}

/// Reads what [`Entry::position`] wrote.
pub(super) fn read_position(position: &Position) -> Result<(Id, Option<Place>)> {
    let read = || match position.0.split_once('/') {
        Some((id, place)) => Some((Id::parse(id)?, Some(Place::parse(place)?))),
        None => Some((Id::parse(&position.0)?, None)),
    };
    let text = format!("{position} is no position of a redis stream");
    read().ok_or_else(|| Error::new(Kind::BadRequest, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(place: &str, body: &'static [u8]) -> Entry {
        Entry { id: Id(1, 0), place: Place::parse(place), body: Bytes::from_static(body) }
    }

    #[test]
    fn what_is_missing_is_counted_in_events() {
        let at = Place::parse("7-3").unwrap();
        let lost = |place, body| at.missing(&entry(place, body)).map(|gap| gap.lost);
        assert_eq!(lost("7-4", b"\x01\x00"), None);
        assert_eq!(lost("7-3", b"\x01\x02"), None, "a beacon is no event");
        assert_eq!(lost("7-6", b"\x01\x00"), Some(Some(2)));
        assert_eq!(lost("7-6", b"\x01\x02"), Some(Some(3)));
        assert_eq!(lost("7-2", b"\x01\x00"), None, "it comes again");
        assert_eq!(lost("8-1", b"\x01\x00"), Some(None), "another life");
        assert_eq!(lost("x", b"\x01\x00"), None, "of another program");
        let any = Place::parse("-0").unwrap();
        assert_eq!(any.missing(&entry("9-3", b"")).map(|gap| gap.lost), Some(Some(2)));
    }

    #[test]
    fn positions_read_back() {
        for text in ["5-0/7-3", "5-1"] {
            let (id, place) = read_position(&Position(text.into())).unwrap();
            let entry = Entry { id, place, body: Bytes::new() };
            assert_eq!(&*entry.position().0, text);
        }
        for odd in ["", "nonsense", "5", "5-", "5-0/", "5-0/x", "-1-0", "5-0/7-x", "99999999999999999999-0"] {
            assert!(read_position(&Position(odd.into())).is_err(), "{odd:?}");
        }
    }
}
