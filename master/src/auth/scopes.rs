//! How far a token reaches: to instances with some labels, to settings whose keys begin in some way.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// The code of the problem of whoever asks for what is out of scope.
pub(crate) const OUT_OF_SCOPE: &str = "out_of_scope";
/// Most labels, and most beginnings of keys.
const MOST: usize = 16;
/// Longest label or beginning, in bytes.
const LONGEST: usize = 128;

/// How far a token reaches. What is empty limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Scopes {
    /// Labels: only instances that have all of them are seen and changed. Empty: all instances.
    nodes: BTreeMap<String, String>,
    /// Beginnings of keys: only settings with one of them are seen and changed. Empty: all settings.
    config: Vec<String>,
}

/// How far a new token is to reach. What is left out limits nothing.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewScopes {
    /// 1 to 16 labels that an instance must have, all of them.
    nodes: Option<BTreeMap<String, String>>,
    /// 1 to 16 beginnings of keys of settings: `game/`.
    #[schema(min_items = 1, max_items = 16)]
    config: Option<Vec<String>>,
}

impl NewScopes {
    /// Refuses what is empty, which would be everything, and what could match nothing.
    pub(crate) fn checked(self) -> Result<Scopes, Problem> {
        let nodes = match self.nodes {
            Some(labels) if !(1..=MOST).contains(&labels.len()) => return Err(count("scopes.nodes", "labels")),
            other => other.unwrap_or_default(),
        };
        let mut config = match self.config {
            Some(all) if !(1..=MOST).contains(&all.len()) => return Err(count("scopes.config", "beginnings of keys")),
            other => other.unwrap_or_default(),
        };
        if nodes.iter().any(|(name, value)| !is_plain(name) || !is_plain(value)) {
            return Err(Problem::field("scopes.nodes", "names and values of labels have 1 to 128 bytes of plain text"));
        }
        if let Some(wrong) = config.iter().find(|prefix| !is_prefix(prefix)) {
            let text =
                format!("{wrong:.32?} begins no key: letters, digits, `.`, `_`, `-` and `/`, 1 to 128, no point first");
            return Err(Problem::field("scopes.config", text));
        }
        config.sort_unstable();
        config.dedup();
        Ok(Scopes { nodes, config })
    }
}

fn count(field: &str, what: &str) -> Problem {
    Problem::field(field, format!("name 1 to {MOST} {what}, or leave it out for everything"))
}

fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_prefix(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

impl Scopes {
    /// Do they limit nothing?
    pub(crate) fn is_everything(&self) -> bool {
        self.has_all_nodes() && self.config.is_empty()
    }

    /// Are all instances in scope?
    pub(crate) fn has_all_nodes(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Refuses an instance that has not the labels.
    pub(crate) fn node(&self, id: &str, labels: &BTreeMap<String, String>) -> Result<(), Problem> {
        match self.nodes.iter().find(|(name, value)| labels.get(*name) != Some(*value)) {
            None => Ok(()),
            Some((name, value)) => {
                let text = format!("{id} has not the label {name}={value}: this token is for those that have it");
                Err(out_of_scope(text).with("label", format!("{name}={value}")))
            }
        }
    }

    /// Refuses a setting whose key begins otherwise.
    pub(crate) fn key(&self, key: &str) -> Result<(), Problem> {
        if self.config.is_empty() || self.config.iter().any(|prefix| key.starts_with(prefix)) {
            return Ok(());
        }
        let begins = self.config.join(", ");
        let text = format!("this token is for settings whose keys begin with one of {begins}");
        Err(out_of_scope(text).with("prefix", begins))
    }

    /// Refuses whoever does not see all instances that `other` sees.
    pub(crate) fn covers_nodes(&self, other: &Scopes) -> Result<(), Problem> {
        match self.nodes.iter().find(|(name, value)| other.nodes.get(*name) != Some(*value)) {
            None => Ok(()),
            Some((name, value)) => {
                let text =
                    format!("it is also for instances without the label {name}={value}, which this token is for");
                Err(out_of_scope(text).with("label", format!("{name}={value}")))
            }
        }
    }

    /// Refuses whoever is limited in any way.
    pub(crate) fn whole(&self) -> Result<(), Problem> {
        match self.is_everything() {
            true => Ok(()),
            false => Err(out_of_scope("this is about the whole fleet: it is for tokens without scopes")),
        }
    }

    /// Refuses a change of labels that would carry an instance out of these scopes, into somebody else's.
    pub(crate) fn keeps(&self, labels: &BTreeMap<String, Option<String>>) -> Result<(), Problem> {
        let other =
            |(name, value): &(&String, &String)| labels.get(*name).is_some_and(|new| new.as_ref() != Some(*value));
        match self.nodes.iter().find(other) {
            None => Ok(()),
            Some((name, value)) => {
                let text =
                    format!("this token is for instances with the label {name}={value}: it cannot take that away");
                Err(out_of_scope(text).with("label", format!("{name}={value}")))
            }
        }
    }
}

fn out_of_scope(text: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, OUT_OF_SCOPE, text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn scopes(from: Value) -> Result<Scopes, Problem> {
        serde_json::from_value::<NewScopes>(from).unwrap().checked()
    }

    fn labels(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_instance_has_all_labels_and_the_first_that_it_has_not_is_named() {
        let eu = scopes(json!({ "nodes": { "region": "eu", "zone": "a" } })).unwrap();
        assert!(eu.node("g", &labels(&[("region", "eu"), ("zone", "a"), ("more", "b")])).is_ok());
        for wrong in [&[][..], &[("region", "us"), ("zone", "a")], &[("zone", "a")]] {
            let problem = eu.node("g", &labels(wrong)).unwrap_err();
            assert_eq!((problem.status, problem.code), (403, "out_of_scope"), "{wrong:?}");
            assert!(problem.detail.contains("g has not the label region=eu"), "{}", problem.detail);
        }
        assert!(eu.key("any/key").is_ok() && eu.whole().is_err() && !eu.has_all_nodes());
    }

    #[test]
    fn a_setting_begins_with_one_of_the_prefixes() {
        let game = scopes(json!({ "config": ["game/", "shop/", "game/"] })).unwrap();
        assert!(game.key("game/rules.json").is_ok() && game.key("shop/").is_ok());
        for wrong in ["game", "games/x", "", "x/game/"] {
            assert_eq!(game.key(wrong).unwrap_err().code, "out_of_scope", "{wrong}");
        }
        assert!(game.node("g", &labels(&[])).is_ok() && game.has_all_nodes() && game.whole().is_err());
        assert!(Scopes::default().whole().is_ok() && Scopes::default().key("x").is_ok());
    }

    #[test]
    fn labels_of_the_scope_stay_and_others_may_change() {
        let eu = scopes(json!({ "nodes": { "region": "eu" } })).unwrap();
        let change = |value: Option<&str>| BTreeMap::from([("region".to_owned(), value.map(str::to_owned))]);
        assert!(eu.keeps(&change(Some("eu"))).is_ok() && eu.keeps(&BTreeMap::new()).is_ok());
        assert!(eu.keeps(&BTreeMap::from([("zone".to_owned(), None)])).is_ok());
        assert!(eu.keeps(&change(Some("us"))).is_err() && eu.keeps(&change(None)).is_err());
    }

    #[test]
    fn scopes_that_are_empty_or_match_nothing_are_refused() {
        let many: Vec<String> = (0..=MOST).map(|n| format!("k{n}/")).collect();
        let long = "x".repeat(LONGEST + 1);
        for wrong in [
            json!({ "nodes": {} }),
            json!({ "nodes": { "": "eu" } }),
            json!({ "nodes": { "region": "" } }),
            json!({ "nodes": { "region": long } }),
            json!({ "config": [] }),
            json!({ "config": [""] }),
            json!({ "config": [".master/"] }),
            json!({ "config": ["a b"] }),
            json!({ "config": many }),
        ] {
            assert_eq!(scopes(wrong.clone()).unwrap_err().status, 422, "{wrong}");
        }
        assert!(scopes(json!({})).unwrap().is_everything());
    }
}
