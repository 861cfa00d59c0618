//! An instance in the metadata of a service: at most 64 pairs, values of at most 512 bytes.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use due_core::{Incarnation, registry::Value};

/// Largest instance in bytes of its JSON form. In the worst case each piece lacks 3 bytes to a whole character.
pub(super) const LARGEST: usize = 24 * 1024;
const PIECE: usize = 512;
/// 24 KiB in pieces of at least 509 bytes.
const PIECES: usize = LARGEST.div_ceil(PIECE - 3);

/// The pair that says which instance it is: [`plain`].
pub(super) const ID: &str = "id";
const INCARNATION: &str = "incarnation";
const SUM: &str = "sum";

pub(super) type Meta = BTreeMap<String, String>;

/// Packs an instance. `None` if it is too large, or no text.
pub(super) fn pack(id: &str, value: &Value) -> Option<Meta> {
    let mut rest = std::str::from_utf8(&value.bytes).ok()?;
    let mut meta = Meta::from([
        (ID.to_owned(), plain(id)),
        (INCARNATION.to_owned(), format!("{:016x}", value.incarnation.0)),
        (SUM.to_owned(), sum(&value.bytes)),
    ]);
    for n in 0..PIECES {
        let (piece, next) = rest.split_at_checked(rest.floor_char_boundary(PIECE))?;
        if !piece.is_empty() {
            meta.insert(format!("json-{n}"), piece.to_owned());
        }
        rest = next;
    }
    (rest.is_empty() && value.bytes.len() <= LARGEST).then_some(meta)
}

/// Reads what [`pack`] wrote. `None` if anything of it is missing or changed.
pub(super) fn unpack(meta: &Meta) -> Option<Value> {
    let pieces = (0..PIECES).map_while(|n| meta.get(&format!("json-{n}")));
    let bytes = Bytes::from(pieces.map(String::as_str).collect::<String>());
    let incarnation = u64::from_str_radix(meta.get(INCARNATION)?, 16).ok()?;
    (meta.get(SUM)? == &sum(&bytes)).then_some(Value { incarnation: Incarnation(incarnation), bytes })
}

/// An id in letters, digits, `-`, `_` and `.`; others as `~` and two digits. Fit for URLs, filters and names.
pub(super) fn plain(id: &str) -> String {
    id.bytes().fold(String::with_capacity(id.len()), |mut plain, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            plain.push(char::from(byte));
        } else {
            let _ = write!(plain, "~{byte:02x}");
        }
        plain
    })
}

/// What [`plain`] was made of.
pub(super) fn id(plain: &str) -> Option<String> {
    let mut parts = plain.split('~');
    let mut id = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        id.push(u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii_graphic)?.into());
        id.push_str(rest);
    }
    Some(id)
}

/// Length and FNV-1a: finds a lost piece, not a forger.
fn sum(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    format!("{}-{hash:016x}", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: String) -> Value {
        Value { incarnation: Incarnation(u64::MAX), bytes: text.into() }
    }

    #[test]
    fn an_instance_fits_into_the_limits_of_consul() {
        for text in ["{}".to_owned(), "x".repeat(LARGEST), "ü\u{1f600}".repeat(LARGEST / 6), "x".repeat(PIECE)] {
            let value = value(text);
            let meta = pack("n/1", &value).unwrap();
            assert!(meta.len() <= 64 && meta.values().all(|v| v.len() <= 512), "{}", meta.len());
            assert_eq!(unpack(&meta), Some(value));
        }
        assert_eq!(pack("n", &value("x".repeat(LARGEST + 1))), None);
        assert_eq!(pack("n", &Value { bytes: Bytes::from_static(&[0xff]), ..value(String::new()) }), None);
    }

    #[test]
    fn what_is_not_whole_is_no_instance() {
        let good = pack("n1", &value("x".repeat(2000))).unwrap();
        for key in good.keys().filter(|key| *key != ID) {
            let mut less = good.clone();
            less.remove(key);
            assert_eq!(unpack(&less), None, "{key}");
            let changed = BTreeMap::from_iter(
                good.clone().into_iter().map(|(k, v)| if k == *key { (k, format!("{v}?")) } else { (k, v) }),
            );
            assert_eq!(unpack(&changed), None, "{key}");
        }
        assert_eq!(unpack(&Meta::new()), None);
    }

    #[test]
    fn ids_become_plain_and_back() {
        for (text, wanted) in [("game-1", "game-1"), ("a\"b\\`~", "a~22b~5c~60~7e"), ("", "")] {
            assert_eq!(plain(text), wanted);
            assert_eq!(id(wanted).as_deref(), Some(text));
        }
        for wrong in ["~", "~4", "~zz", "~0a", "~é"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
