//! Topics as Kafka names them.

use crate::names;

/// Longest name in bytes.
const LONGEST: usize = 249;

/// Kafka's name of `topic`: without `:`, which is not allowed there, and without `_`, which Kafka does not tell from `.`.
/// `-` begins an escape.
pub(super) fn name(prefix: &str, topic: &str) -> String {
    let mut out = prefix.to_owned();
    for c in topic.chars() {
        match c {
            '-' => out.push_str("--"),
            '_' => out.push_str("-u"),
            ':' => out.push_str("-c"),
            c => out.push(c),
        }
    }
    if out.len() <= LONGEST {
        return out;
    }
    let hash = names::group("t", topic, "");
    let hash = hash.rsplit('-').next().unwrap_or_default();
    out.truncate(LONGEST - 2 - hash.len());
    // A cut escape must not begin another.
    let odd = out.bytes().rev().take_while(|b| *b == b'-').count() % 2 == 1;
    if odd {
        out.pop();
    }
    // `-h` stands in no other name.
    format!("{out}-h{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_and_differ() {
        for (topic, expected) in [("a.b", "due.a.b"), ("a-b", "due.a--b"), ("a_b", "due.a-ub"), ("a:b", "due.a-cb")] {
            assert_eq!(name("due.", topic), expected);
        }
        let long: Vec<_> = ["_", ":", "a:"].iter().map(|t| name("due.", &t.repeat(200 / t.len()))).collect();
        for name in &long {
            assert!(name.len() <= LONGEST && name.contains("-h"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)));
        }
        assert!(long[0] != long[1] && long[1] != long[2]);
        assert_eq!(name("due.", &"a".repeat(200)).len(), 204);
    }
}
