//! Names at a broker: what people call a group becomes what every broker allows.

/// The name of a group of `topic`: readable, at most 120 bytes, and different for different topics or names.
pub(crate) fn group(role: &str, topic: &str, name: &str) -> String {
    let hash = fnv([topic.as_bytes(), &[0], name.as_bytes()]);
    format!("{role}-{}-{}-{hash:032x}", plain(topic), plain(name))
}

fn plain(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// FNV-1a over 128 bits.
fn fnv<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let step =
        |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    parts.iter().flat_map(|p| p.iter()).fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_short_and_different() {
        let odd = group("d", "a.b:c", "my group/*>");
        assert!(odd.starts_with("d-a_b_c-my_group___-"), "{odd}");
        assert!(odd.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert_ne!(group("d", "a.b", "x"), group("d", "a_b", "x"));
        assert_ne!(group("d", "a", "bc"), group("d", "ab", "c"));
        assert!(group("d", &"t".repeat(200), &"n".repeat(500)).len() <= 120);
    }

    #[test]
    fn a_name_stays_what_it_is() {
        assert_eq!(group("g", "t", "n"), "g-t-n-a68d9e20de8b5822836dbc7990763f05");
    }
}
