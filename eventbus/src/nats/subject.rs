//! Topics as NATS writes them.

/// The subject of `topic` under `root`. A subject has no empty words, a topic may: `=` stands for one, which no topic has.
pub(super) fn subject(root: &str, topic: &str) -> String {
    let mut out = String::with_capacity(root.len() + 1 + topic.len());
    out.push_str(root);
    for word in topic.split('.') {
        out.push('.');
        out.push_str(if word.is_empty() { "=" } else { word });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_no_empty_words_and_differ() {
        for (topic, expected) in
            [("a", "r.a"), ("a.b:c", "r.a.b:c"), ("a..b", "r.a.=.b"), (".a.", "r.=.a.="), (".", "r.=.=")]
        {
            assert_eq!(subject("r", topic), expected);
        }
    }
}
