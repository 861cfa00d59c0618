//! What needs two persons: a policy of the master, and not of the code behind its endpoints.

use std::collections::BTreeSet;

use due_core::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What may be guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Sending many users away.
    KickAll,
    /// A word to many.
    Broadcast,
    /// Beginning to empty an instance. Taking that back is free.
    Drain,
    /// Writing a setting, or an earlier value of it.
    Config,
    /// Changing or making a role.
    Roles,
    /// Making and ending tokens.
    Tokens,
}

/// The word of an action, and the endpoints that do it, each with a method.
type Line = (&'static str, Action, &'static [(&'static str, &'static str)]);

const ACTIONS: [Line; 6] = [
    ("kick_all", Action::KickAll, &[("POST", "/api/v1/users/kick")]),
    ("broadcast", Action::Broadcast, &[("POST", "/api/v1/broadcasts")]),
    ("drain", Action::Drain, &[("POST", "/api/v1/nodes/{id}/drain")]),
    ("config", Action::Config, &[("PUT", "/api/v1/config/{key}"), ("POST", "/api/v1/config/{key}/rollback")]),
    ("roles", Action::Roles, &[("PUT", "/api/v1/roles/{name}")]),
    ("tokens", Action::Tokens, &[("POST", "/api/v1/auth/tokens"), ("DELETE", "/api/v1/auth/tokens/{id}")]),
];

/// The action that an endpoint does, if it can be guarded.
pub(crate) fn action(method: &str, path: &str) -> Option<Action> {
    ACTIONS.iter().find(|(.., ways)| ways.contains(&(method, path))).map(|(_, action, _)| *action)
}

impl Action {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        ACTIONS.iter().find(|(_, action, _)| *action == self).map_or("", |(word, ..)| word)
    }

    /// Is it for those who were counted before?
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, Self::KickAll | Self::Broadcast)
    }
}

/// Which actions wait for a second person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy(BTreeSet<Action>);

impl Policy {
    /// Reads `kick_all=approve,drain=approve`; nothing guards nothing. Errors: `Config` with the part that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut guarded = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (word, rule) = part.split_once('=').map_or((part, ""), |(word, rule)| (word.trim(), rule.trim()));
            let found = ACTIONS.iter().find(|(known, ..)| *known == word);
            match (found, rule) {
                (Some((_, action, _)), "approve") => drop(guarded.insert(*action)),
                (Some(_), _) => {
                    return Err(Error::config(format!("the master's guard {part:.64?}: write {word}=approve")));
                }
                (None, _) => {
                    let words = ACTIONS.map(|(word, ..)| word).join(", ");
                    let text = format!("the master's guard {part:.64?}: there is no such action; there are {words}");
                    return Err(Error::config(text));
                }
            }
        }
        Ok(Self(guarded))
    }

    /// Does it wait for a second person?
    pub(crate) fn guards(&self, action: Action) -> bool {
        self.0.contains(&action)
    }

    /// All that do.
    pub(crate) fn actions(&self) -> Vec<Action> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{NEEDS, Need};

    #[test]
    fn a_policy_names_actions_and_whatever_else_is_refused_with_its_name() {
        let both = Policy::parse("kick_all=approve, drain = approve,").unwrap();
        assert_eq!(both.actions(), [Action::KickAll, Action::Drain]);
        assert!(both.guards(Action::Drain) && !both.guards(Action::Config));
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
        for wrong in ["moon=approve", "drain", "drain=", "drain=never", "=approve", "kick_all=approve;drain=approve"] {
            let refused = Policy::parse(wrong).unwrap_err().to_string();
            assert!(refused.contains(wrong.split(';').next().unwrap()), "{wrong}: {refused}");
        }
    }

    #[test]
    fn each_action_is_what_an_endpoint_does_and_some_permission_allows() {
        for (word, known, ways) in ACTIONS {
            assert_eq!(known.as_str(), word);
            for (method, path) in ways {
                let needed = NEEDS.iter().find(|(m, p, ..)| m == method && p == path);
                assert!(matches!(needed, Some((_, _, Need::May(_), _))), "{method} {path}");
                assert_eq!(action(method, path), Some(known));
            }
        }
        assert_eq!(action("DELETE", "/api/v1/nodes/{id}/drain"), None);
    }
}
