//! Query keys of `redis://` URLs.

use std::{sync::Arc, time::Duration};

use due_core::{Error, Result, Url, units};
use serde::Deserialize;

use crate::queue::Limit;

const NS: usize = 64;

/// What the URL says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) ns: Arc<str>,
    #[serde(with = "units::serde_duration")]
    pub(super) timeout: Duration,
    pub(super) queue: usize,
    #[serde(with = "units::serde_size")]
    pub(super) queue_bytes: usize,
    pub(super) max_len: u64,
    #[serde(with = "units::serde_duration")]
    pub(super) keep: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) ack_wait: Duration,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Pubsub,
    Stream,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Pubsub,
            ns: "due".into(),
            timeout: Duration::from_secs(2),
            queue: 1024,
            queue_bytes: 8 * 1024 * 1024,
            max_len: 10_000,
            keep: Duration::from_secs(7 * 24 * 3600),
            ack_wait: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Reads and checks.
    pub(super) fn read(url: &Url) -> Result<Self> {
        let settings: Self = url.query()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=NS).contains(&settings.ns.len()) || !settings.ns.bytes().all(plain) {
            let ns = &settings.ns;
            return Err(Error::config(format!("ns={ns:?}: give 1 to {NS} letters, digits, `.`, `_` or `-`")));
        }
        between("timeout", settings.timeout, Duration::from_millis(50), Duration::from_secs(60))?;
        between("ack-wait", settings.ack_wait, Duration::from_secs(1), Duration::from_secs(24 * 3600))?;
        if settings.keep != Duration::ZERO {
            between("keep", settings.keep, Duration::from_secs(60), Duration::from_secs(3650 * 24 * 3600))?;
        }
        if !(1..=65_536).contains(&settings.queue) {
            return Err(Error::config(format!("queue={}: give 1 to 65536", settings.queue)));
        }
        if !(1..=100_000_000).contains(&settings.max_len) {
            return Err(Error::config(format!("max-len={}: give 1 to 100000000", settings.max_len)));
        }
        Ok(settings)
    }

    pub(super) fn limit(&self) -> Limit {
        Limit { count: self.queue, bytes: self.queue_bytes }
    }
}

fn between(key: &str, value: Duration, low: Duration, high: Duration) -> Result<()> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(Error::config(format!("{key}={value:?}: give {low:?} to {high:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_defaults_and_limits() {
        let read = |query: &str| Settings::read(&Url::parse(&format!("redis://a{query}")).unwrap());
        let settings = read("").unwrap();
        assert_eq!((settings.mode, &*settings.ns, settings.max_len), (Mode::Pubsub, "due", 10_000));
        let settings = read("?mode=stream&ns=a.b&max-len=5&keep=off&ack-wait=1s").unwrap();
        assert_eq!((settings.mode, settings.keep, settings.max_len), (Mode::Stream, Duration::ZERO, 5));
        for wrong in [
            "?mode=list",
            "?ns=",
            "?ns=a%7db",
            "?timeout=1ms",
            "?queue=0",
            "?max-len=0",
            "?keep=1s",
            "?ack-wait=1ms",
            "?n=1",
        ] {
            let error = read(wrong).err().unwrap();
            assert_eq!(error.kind(), due_core::Kind::Config, "{wrong}: {error}");
        }
    }
}
