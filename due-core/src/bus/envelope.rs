//! What surrounds a payload on its way: who published it, under which number, when.
//!
//! Format 1, big-endian: `1 | kind u8 | publisher u64 | number u64 | id u128 | time_ms u64 | key_len u16 | key | payload`.
//! Kind 0 is an event, 1 the same with a key, 2 a beacon (its number is that of the last event).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    error::{Error, Kind, Result},
    id::Incarnation,
};

const VERSION: u8 = 1;
const EVENT: u8 = 0;
const EVENT_WITH_KEY: u8 = 1;
const BEACON: u8 = 2;
const FIXED: usize = 1 + 1 + 8 + 8 + 16 + 8 + 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) publisher: Incarnation,
    /// Rises by one with each event of this publisher on this topic; the first is 1.
    pub(super) number: u64,
    pub(super) id: u128,
    pub(super) time: SystemTime,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Event { key: Option<Bytes>, payload: Bytes },
    Beacon,
}

impl Envelope {
    /// Longest key in bytes.
    pub(super) const LONGEST_KEY: usize = u16::MAX as usize;

    /// Looks at the kind only.
    pub(super) fn is_beacon(bytes: &[u8]) -> bool {
        bytes.get(1) == Some(&BEACON)
    }

    pub(super) fn encode(&self) -> Bytes {
        let (kind, key, payload): (u8, &[u8], &[u8]) = match &self.content {
            Content::Event { key: Some(key), payload } => (EVENT_WITH_KEY, key, payload),
            Content::Event { key: None, payload } => (EVENT, &[], payload),
            Content::Beacon => (BEACON, &[], &[]),
        };
        let mut out = BytesMut::with_capacity(FIXED + key.len() + payload.len());
        out.put_u8(VERSION);
        out.put_u8(kind);
        out.put_u64(self.publisher.0);
        out.put_u64(self.number);
        out.put_u128(self.id);
        out.put_u64(self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64);
        out.put_u16(key.len() as u16);
        out.extend_from_slice(key);
        out.extend_from_slice(payload);
        out.freeze()
    }

    /// Reads what [`Envelope::encode`] wrote; key and payload are parts of `bytes`.
    pub(super) fn decode(mut bytes: Bytes) -> Result<Self> {
        let wrong = |what: &'static str| Error::new(Kind::Malformed, what);
        if bytes.len() < FIXED {
            return Err(wrong("an event envelope that is too short"));
        }
        if bytes.get_u8() != VERSION {
            return Err(wrong("an event envelope of an unknown version"));
        }
        let kind = bytes.get_u8();
        let publisher = Incarnation(bytes.get_u64());
        let number = bytes.get_u64();
        let id = bytes.get_u128();
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(bytes.get_u64())).ok_or_else(|| wrong("a bad time"))?;
        let key_len = usize::from(bytes.get_u16());
        if bytes.len() < key_len {
            return Err(wrong("an event key that is longer than its envelope"));
        }
        let key = bytes.split_to(key_len);
        let content = match kind {
            EVENT if key.is_empty() => Content::Event { key: None, payload: bytes },
            EVENT_WITH_KEY => Content::Event { key: Some(key), payload: bytes },
            BEACON => Content::Beacon,
            _ => return Err(wrong("an event envelope of an unknown kind")),
        };
        Ok(Self { publisher, number, id, time, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(content: Content) -> Envelope {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        Envelope { publisher: Incarnation(7), number: 9, id: 1 << 100, time, content }
    }

    #[test]
    fn an_envelope_reads_back() {
        for content in [
            Content::Event { key: None, payload: Bytes::from_static(b"hi") },
            Content::Event { key: Some(Bytes::new()), payload: Bytes::new() },
            Content::Event { key: Some(Bytes::from_static(b"room-1")), payload: Bytes::from(vec![0; 3000]) },
            Content::Beacon,
        ] {
            let envelope = envelope(content);
            assert_eq!(Envelope::decode(envelope.encode()).unwrap(), envelope);
        }
    }

    #[test]
    fn an_envelope_has_these_bytes() {
        let bytes = envelope(Content::Event { key: Some("k".into()), payload: "p".into() }).encode();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let (publisher, number, id) = ("0000000000000007", "0000000000000009", "00000010000000000000000000000000");
        assert_eq!(hex, format!("0101{publisher}{number}{id}0000018bcfe5687b00016b70"));
    }

    #[test]
    fn bytes_that_are_no_envelope_are_refused() {
        // B126: an event without type or of a future version.
        let good = envelope(Content::Event { key: Some("key".into()), payload: Bytes::new() }).encode();
        for cut in 0..good.len() {
            assert!(Envelope::decode(good.slice(..cut)).is_err(), "{cut}");
        }
        for (at, byte) in [(0, 0), (0, 2), (1, 0), (1, 3), (43, 200)] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert!(Envelope::decode(bad.into()).is_err(), "byte {at} = {byte}");
        }
    }
}
