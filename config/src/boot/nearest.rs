//! What somebody may have meant.

/// The word that differs least from a wrong one, if it does not differ much.
pub(super) fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong: Vec<char> = wrong.to_lowercase().replace('_', "-").chars().take(64).collect();
    let near = words.map(|word| (distance(&wrong, word), word)).min()?;
    (near.0 <= 1 + wrong.len() / 4).then_some(near.1)
}

/// Letters to add, remove or replace.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (n, letter) in b.chars().enumerate() {
        let mut above_left = n;
        let mut left = n + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(a) {
            let replaced = above_left + usize::from(letter != *other);
            above_left = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = n + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let words = || ["registry", "locator", "eventbus", "shards", "shared-shards"].into_iter();
        for (wrong, near) in [
            ("registri", Some("registry")),
            ("event-bus", Some("eventbus")),
            ("shared_shards", Some("shared-shards")),
            ("shard", Some("shards")),
            ("etcd", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, words()), near, "{wrong}");
        }
        assert_eq!(distance(&['a', 'b', 'c'], "xbcd"), 2);
    }
}
