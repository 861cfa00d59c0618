//! How much is logged, by target.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};
use tracing::level_filters::LevelFilter;

use super::Form;
use crate::error::{Error, Result};

/// A level for everything, and others for targets: `info,due_cluster=debug,h2=off`.
///
/// A rule counts for every target that begins with its name: `due` stands for all crates of due. Of two that fit, the
/// longer one counts. What fits none has the level without a name, `info` if there is none.
#[derive(Clone, PartialEq, Eq)]
pub struct LogLevels(Vec<(String, LevelFilter)>);

impl LogLevels {
    /// Most rules.
    pub const MOST: usize = 128;
    /// Longest name of a target, in bytes.
    pub const LONGEST: usize = 256;

    /// Reads rules with commas between them. Errors: `Config`, with what is wrong; also a name twice.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::config(format!("{why}: {}", Form::Levels.accepts()));
        let mut rules = Vec::new();
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let (target, word) = rule.split_once('=').map_or(("", rule), |(t, w)| (t.trim(), w.trim()));
            let level = level(word).ok_or_else(|| wrong(&format!("{:?} is no level", shortened(word))))?;
            if !target.is_empty() || rule.contains('=') {
                check_target(target)?;
            }
            if rules.len() == Self::MOST {
                return Err(wrong(&format!("more than {} rules", Self::MOST)));
            }
            if rules.iter().any(|(known, _)| known == target) {
                return Err(wrong(&format!("two levels for {target:?}")));
            }
            rules.push((target.to_owned(), level));
        }
        match rules.is_empty() {
            true => Err(wrong("no level")),
            false => Ok(Self(rules)),
        }
    }

    /// The rules as they were written: the beginning of targets, `""` for all of them, with the level.
    pub fn rules(&self) -> &[(String, LevelFilter)] {
        &self.0
    }
}

/// A level by its name: `off`, `error`, `warn`, `info`, `debug`, `trace`.
fn level(word: &str) -> Option<LevelFilter> {
    // Numbers and the empty word, which the parser takes too, say nothing to a reader.
    word.bytes().all(|b| b.is_ascii_alphabetic()).then(|| word.parse().ok()).flatten().filter(|_| !word.is_empty())
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Refuses what can be the beginning of no target: letters, digits and `:_-.` make one. Errors: `Config`.
pub fn check_target(target: &str) -> Result<()> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b":_-.".contains(&b);
    match (1..=LogLevels::LONGEST).contains(&target.len()) && target.bytes().all(fits) {
        true => Ok(()),
        false => Err(Error::config(format!(
            "{:?} is no target: write a crate or module, as due_cluster or due_cluster::gate",
            shortened(target)
        ))),
    }
}

impl Default for LogLevels {
    /// `info`.
    fn default() -> Self {
        Self(vec![(String::new(), LevelFilter::INFO)])
    }
}

impl FromStr for LogLevels {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (target, level)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let is = if target.is_empty() { "" } else { "=" };
            write!(f, "{comma}{target}{is}{level}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de> Deserialize<'de> for LogLevels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_shown() {
        for (text, shown) in [
            ("info", "info"),
            (" warn , due_cluster = DEBUG,h2=off", "warn,due_cluster=debug,h2=off"),
            ("due=trace", "due=trace"),
        ] {
            assert_eq!(LogLevels::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(LogLevels::default().to_string(), "info");
    }

    #[test]
    fn what_is_no_level_is_refused_with_the_accepted_ones() {
        let many: String = (0..200).map(|n| format!("t{n}=info,")).collect();
        for wrong in ["", "loud", "due", "due=", "=info", "3", "info,warn", "a b=info", "a=info,a=warn", &many] {
            let why = LogLevels::parse(wrong).unwrap_err().to_string();
            assert!(why.contains("error, warn, info") || why.contains("is no target"), "{wrong:?}: {why}");
        }
    }
}
