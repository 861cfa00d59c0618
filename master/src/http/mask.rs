//! Secrets in the values of settings, hidden from those who may look and not change.

use serde_json::Value;

/// Parts of names that tell of a secret.
const TELLING: [&str; 6] = ["password", "passwd", "secret", "token", "private", "credential"];
const HIDDEN: &str = "***";

/// The text with the values of telling names hidden: JSON by its tree, everything else line by line.
pub(super) fn masked(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut tree @ (Value::Object(_) | Value::Array(_))) => {
            hide(&mut tree);
            serde_json::to_string_pretty(&tree).unwrap_or_else(|_| HIDDEN.to_owned())
        }
        _ => text.split_inclusive('\n').map(line).collect(),
    }
}

fn tells(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

fn hide(tree: &mut Value) {
    match tree {
        Value::Object(all) => {
            for (name, value) in all.iter_mut() {
                match tells(name) {
                    true => *value = Value::from(HIDDEN),
                    false => hide(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(hide),
        Value::String(text) if text.contains("://") && text.contains('@') => *text = HIDDEN.to_owned(),
        _ => {}
    }
}

/// `name = value` and `name: value`; also a URL with a user in it.
fn line(line: &str) -> String {
    let end = if line.ends_with('\n') { "\n" } else { "" };
    let at = line.find(['=', ':', '>']);
    match at {
        Some(at) if line.get(..at).is_some_and(tells) => {
            format!("{} {HIDDEN}{end}", line.get(..=at).unwrap_or_default())
        }
        Some(at) if line.contains("://") && line.contains('@') => {
            format!("{} {HIDDEN}{end}", line.get(..=at).unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_telling_names_are_hidden_and_all_others_stand() {
        let toml = "rooms = 5\ndb_password = \"hunter2\"\nurl = \"redis://a:hunter2@h:1\"\n";
        let json =
            r#"{"rooms":5,"auth":{"apiToken":"hunter2","list":[{"secret":["hunter2"]}]},"url":"x://u:hunter2@h"}"#;
        let xml = "<rooms>5</rooms>\n<password>hunter2</password>";
        for text in [toml, json, xml, "token: hunter2"] {
            let hidden = masked(text);
            assert!(!hidden.contains("hunter2") && hidden.contains("***"), "{hidden}");
            assert_eq!(text.contains('5'), hidden.contains('5'), "{hidden}");
        }
        assert_eq!(masked("a = 1\nb = 2"), "a = 1\nb = 2");
    }
}
