//! JSON bodies by serde_json.

use due_core::{Codec, CodecError};
use serde::{Serialize, de::DeserializeOwned};

use crate::{refusal::refusal, unit::unit};

/// Open lists and maps a body may have at one place. serde_json stops at the same depth in what it reads, but not in
/// fields it skips.
const DEPTH_MAX: usize = 127;

/// Bodies as JSON text: readable, and what a browser has at hand.
///
/// A key given twice is an error for a struct, the last one counts for a map. A number that fits no `f64`, like
/// `1e400`, is refused. JSON has no NaN and no infinity: such a float is written as `null`, which a float field refuses
/// to read. `Some(None)` is written as `null` and comes back as `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Serialize + DeserializeOwned + 'static> Codec<T> for Json {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if unit::<T>().is_some() {
            return Ok(());
        }
        serde_json::to_writer(out, value).map_err(|e| refusal("json", e))
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        if let Some(nothing) = unit() {
            return Ok(nothing);
        }
        if too_deep(bytes) {
            return Err(refusal("json", format_args!("more than {DEPTH_MAX} lists and maps inside each other")));
        }
        serde_json::from_slice(bytes).map_err(|e| refusal("json", e))
    }
}

/// Nearly every body has few brackets in all, and counting them costs next to nothing: only the rest are walked.
fn too_deep(bytes: &[u8]) -> bool {
    bytes.iter().filter(|b| opens(**b)).count() > DEPTH_MAX && depth(bytes) > DEPTH_MAX
}

/// `[` and `{` differ in one bit.
fn opens(byte: u8) -> bool {
    byte & !0x20 == b'['
}

/// The greatest number of brackets open at once, those in strings left out. Wrong JSON gives some number, and is
/// refused later.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut deepest, mut quoted) = (0usize, 0, false);
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => _ = rest.next(),
            b'[' | b'{' if !quoted => open += 1,
            b']' | b'}' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::{depth, too_deep};

    #[test]
    fn depth_counts_open_brackets_outside_strings() {
        for (text, expected) in [
            ("", 0),
            ("1", 0),
            ("[]", 1),
            ("[{},[]]", 2),
            (r#"{"a":[{}]}"#, 3),
            (r#"["[[[","\"[[","\\"]"#, 1),
            ("]]]", 0),
        ] {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_wide_body_is_not_deep() {
        assert!(!too_deep("[{}]".repeat(1000).as_bytes()));
        assert!(!too_deep(format!("\"{}\"", "[".repeat(1000)).as_bytes()));
        assert!(!too_deep("[".repeat(127).as_bytes()));
        assert!(too_deep("[".repeat(128).as_bytes()));
    }
}
