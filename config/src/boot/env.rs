//! The variables that are settings.

use std::ffi::OsString;

use due_core::{Error, Result};

use super::check::{APP, Place};

/// The variable that names the file.
pub(super) const FILE: &str = "DUE_CONFIG_FILE";

/// Variables of other parts of due.
const OTHERS: [&str; 2] = ["TEST_", "SERVERS_DIR"];

/// A variable that sets a key.
pub(super) struct Set {
    pub(super) path: String,
    pub(super) value: String,
    pub(super) place: Place,
}

/// The variables that set keys, whether these exist or not.
pub(super) fn settings(variables: &[(OsString, OsString)]) -> Result<Vec<Set>> {
    let mut all = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("DUE_")) else { continue };
        if name.to_str() == Some(FILE) || OTHERS.iter().any(|other| rest.starts_with(other)) || is_service(rest) {
            continue;
        }
        let place = Place::Variable(format!("DUE_{rest}"));
        let value = value.to_str().ok_or_else(|| Error::config(format!("{place} is not UTF-8")))?;
        all.push(Set { path: path(rest), value: value.to_owned(), place });
    }
    Ok(all)
}

/// `NODE__GAME__WEIGHT` is `node.game.weight`, `SHARED_SHARDS` is `shared-shards`, `LOG` is short for the levels. Names of the program's own keys keep
/// their underscores, as fields of a struct have them.
fn path(variable: &str) -> String {
    if variable == "LOG" {
        return "log.levels".to_owned();
    }
    let lower = variable.to_lowercase().replace("__", ".");
    match lower.split_once('.') {
        Some((APP, _)) => lower,
        _ => lower.replace('_', "-"),
    }
}

/// Kubernetes tells each pod of the services beside it; one named `due` or `due-gate` looks like ours.
fn is_service(rest: &str) -> bool {
    let port = |rest: &str| {
        rest == "PORT"
            || rest.ends_with("_PORT")
            || rest.contains("PORT_") && rest.contains(|c: char| c.is_ascii_digit())
    };
    rest.contains("SERVICE_HOST") || rest.contains("SERVICE_PORT") || port(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_keys() {
        for (name, wanted) in [
            ("DUE_REGISTRY", Some("registry")),
            ("DUE_SHARED_SHARDS", Some("shared-shards")),
            ("DUE_NODE__GAME__WEIGHT", Some("node.game.weight")),
            ("DUE_APP__MAX_LEVEL", Some("app.max_level")),
            ("DUE_TEST_REDIS", None),
            ("DUE_LOG", Some("log.levels")),
            ("DUE_LOG__SINKS", Some("log.sinks")),
            ("DUE_CONFIG_FILE", None),
            ("DUE_PORT", None),
            ("DUE_PORT_7000_TCP_ADDR", None),
            ("DUE_GATE_SERVICE_HOST", None),
            ("DUE_GATE_SERVICE_PORT_WS", None),
            ("DUEL", None),
        ] {
            let found = settings(&[(name.into(), "x".into())]).unwrap();
            assert_eq!(found.first().map(|set| set.path.as_str()), wanted, "{name}");
        }
    }
}
