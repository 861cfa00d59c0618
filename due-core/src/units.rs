//! Durations and sizes as people write them in settings and URLs: `10s`, `1m30s`, `64KiB`.

use std::time::Duration;

use crate::error::{Error, Result};

const SPANS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
];

/// Reads `250ms`, `10s`, `1m30s`; `off` and `0` are zero. A bare number other than 0 is refused: it has no unit.
pub fn duration(text: &str) -> Result<Duration> {
    let wrong = || Error::config(format!("{text:?} is not a duration: write it as 250ms, 10s or 1m30s, or off"));
    if matches!(text, "off" | "0") {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(wrong)?;
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        let scale = SPANS.iter().find(|s| s.0 == unit).ok_or_else(wrong)?.1;
        nanos = number.checked_mul(scale).and_then(|n| nanos.checked_add(n)).ok_or_else(wrong)?;
        rest = next;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Reads `65536`, `64KiB`, `1MiB` as bytes; `K`, `M`, `G` count in 1024.
pub fn size(text: &str) -> Result<usize> {
    let wrong = || Error::config(format!("{text:?} is not a size: write it as 65536, 64KiB or 1MiB"));
    let (number, unit) = split_number(text.trim()).ok_or_else(wrong)?;
    let unit = unit.trim().to_ascii_lowercase();
    let scale = SIZES.iter().find(|s| s.0 == unit).ok_or_else(wrong)?.1;
    number.checked_mul(scale).and_then(|n| usize::try_from(n).ok()).ok_or_else(wrong)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

/// For settings: `#[serde(with = "due_core::units::serde_duration")]`.
pub mod serde_duration {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::{borrow::Cow, time::Duration};

    /// Reads a text by [`super::duration`].
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        super::duration(&text).map_err(D::Error::custom)
    }

    /// Writes the shortest exact form.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::show(*value))
    }
}

/// For settings: `#[serde(with = "due_core::units::serde_size")]`.
pub mod serde_size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::borrow::Cow;

    /// Reads a text by [`super::size`].
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        super::size(&text).map_err(D::Error::custom)
    }

    /// Writes plain bytes.
    pub fn serialize<S: Serializer>(value: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }
}

/// The shortest exact form of a duration that [`duration`] reads back.
pub fn show(value: Duration) -> String {
    let nanos = value.as_nanos() as u64;
    if nanos == 0 {
        return "off".to_owned();
    }
    let (unit, scale) = SPANS.iter().rev().find(|s| nanos.is_multiple_of(s.1)).unwrap_or(&("ns", 1));
    format!("{}{unit}", nanos / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_show() {
        for (text, nanos) in
            [("10s", 10_000_000_000), ("1m30s", 90_000_000_000), ("250ms", 250_000_000), ("off", 0), ("5ns", 5)]
        {
            assert_eq!(duration(text).unwrap().as_nanos(), nanos, "{text}");
        }
        assert_eq!(show(Duration::from_secs(90)), "90s");
        for wrong in ["", "10", "s", "10x", "99999999999999999999s", "1s2"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_read() {
        assert_eq!(size("64KiB").unwrap(), 65_536);
        assert_eq!(size("5000").unwrap(), 5_000);
        assert!(size("12 parsecs").is_err());
        assert!(size("99999999999GiB").is_err());
    }
}
