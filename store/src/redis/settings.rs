//! Query keys of `redis://` URLs.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use due_core::{Error, Result, Url, units};
use serde::Deserialize;

const NS: usize = 64;
const REPLICAS: u32 = 16;
const SHORTEST: Duration = Duration::from_millis(50);

/// What every store of this server reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// What separates this application from others on the same database.
    pub(super) ns: Arc<str>,
    /// Replicas that must have a write before it is acknowledged.
    pub(super) wait_replicas: u32,
    /// For one operation, with all its round trips.
    #[serde(with = "units::serde_duration")]
    pub(super) timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ns: "due".into(), wait_replicas: 0, timeout: Duration::from_millis(900) }
    }
}

impl Settings {
    /// Reads and checks; `longest` is what the contract allows one operation.
    pub(super) fn read(url: &Url, longest: Duration) -> Result<Self> {
        let settings: Self = url.query()?;
        check_ns(&settings.ns)?;
        check_timeout(settings.timeout, SHORTEST..=longest)?;
        if settings.wait_replicas > REPLICAS {
            let asked = settings.wait_replicas;
            return Err(Error::config(format!("wait-replicas={asked}: give 0 to {REPLICAS}")));
        }
        Ok(settings)
    }

    /// A key in a slot of its own.
    pub(super) fn key(&self, name: &str) -> String {
        format!("due:{{{}:{name}}}", self.ns)
    }

    /// A channel or a key that the whole namespace shares.
    pub(super) fn shared(&self, what: &str) -> String {
        format!("due:{{{}}}:{what}", self.ns)
    }
}

fn check_ns(ns: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match (1..=NS).contains(&ns.len()) && ns.bytes().all(plain) {
        true => Ok(()),
        false => Err(Error::config(format!("ns={ns:?}: give 1 to {NS} letters, digits, `.`, `_` or `-`"))),
    }
}

fn check_timeout(timeout: Duration, allowed: RangeInclusive<Duration>) -> Result<()> {
    match allowed.contains(&timeout) {
        true => Ok(()),
        false => {
            let (low, high) = (allowed.start(), allowed.end());
            Err(Error::config(format!("timeout={timeout:?}: give {low:?} to {high:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Settings> {
        Settings::read(&Url::parse(&format!("redis://a{query}")).unwrap(), Duration::from_secs(1))
    }

    #[test]
    fn keys_have_defaults_and_limits() {
        let settings = read("").unwrap();
        assert_eq!((&*settings.ns, settings.wait_replicas, settings.timeout.as_millis()), ("due", 0, 900));
        let settings = read("?ns=a.b&wait-replicas=1&timeout=1s").unwrap();
        assert_eq!((&*settings.ns, settings.wait_replicas, settings.timeout.as_millis()), ("a.b", 1, 1000));
        for wrong in ["?ns=", "?ns=a%7db", "?ns=a:b", "?timeout=2s", "?timeout=1ms", "?wait-replicas=99", "?n=1"] {
            let error = read(wrong).err().unwrap();
            assert_eq!(error.kind(), due_core::Kind::Config, "{wrong}: {error}");
        }
    }

    #[test]
    fn a_key_has_one_hash_tag() {
        let settings = read("?ns=a").unwrap();
        assert_eq!(settings.key("u:i7"), "due:{a:u:i7}");
        assert_eq!(settings.shared("feed"), "due:{a}:feed");
    }
}
