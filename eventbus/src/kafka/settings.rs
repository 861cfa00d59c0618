//! Query keys of `kafka://` URLs.

use std::time::Duration;

use due_core::{Error, Result, Url, units};
use serde::Deserialize;

/// The largest event and what is around it must fit.
const LEAST_BYTES: usize = 2 * 1024 * 1024;

/// What the URL says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    pub(super) prefix: String,
    pub(super) create: bool,
    pub(super) partitions: i32,
    pub(super) replicas: i32,
    pub(super) name: String,
    #[serde(with = "units::serde_duration")]
    pub(super) timeout: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) refresh: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) session: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) ack_wait: Duration,
    pub(super) queue: usize,
    #[serde(with = "units::serde_size")]
    pub(super) queue_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "due.".to_owned(),
            create: true,
            partitions: 4,
            replicas: 1,
            name: "due".to_owned(),
            timeout: Duration::from_secs(5),
            refresh: Duration::from_secs(10),
            session: Duration::from_secs(10),
            ack_wait: Duration::from_secs(30),
            queue: 1024,
            queue_bytes: 8 * 1024 * 1024,
        }
    }
}

impl Settings {
    pub(super) fn read(url: &Url) -> Result<Self> {
        let s: Self = url.query()?;
        let wrong = |text: &str| Err(Error::config(format!("{text} in {url}")));
        if url.hosts().is_empty() {
            return wrong("no host: write kafka://host:9092");
        }
        if url.user().is_some() {
            return wrong("a login, which this build cannot use: it has no SASL; take a plain listener");
        }
        if !matches!(url.path(), "" | "/") {
            return wrong("a path, which kafka does not have: topics get prefix=..");
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
        if !(1..=32).contains(&s.prefix.len()) || !s.prefix.bytes().all(plain) {
            return wrong("prefix is 1 to 32 letters, digits, `.` or `-`");
        }
        if !(1..=1000).contains(&s.partitions) || !(1..=9).contains(&s.replicas) {
            return wrong("partitions is 1 to 1000 and replicas 1 to 9");
        }
        let spans = [s.timeout, s.refresh, s.session, s.ack_wait];
        if spans.iter().any(|t| *t < Duration::from_secs(1) || *t > Duration::from_secs(3600)) {
            return wrong("timeout, refresh, session and ack-wait are 1s to 1h");
        }
        if !(1..=65_536).contains(&s.queue) || !(LEAST_BYTES..=1 << 30).contains(&s.queue_bytes) {
            return wrong("queue is 1 to 65536 events and queue-bytes 2MiB to 1GiB");
        }
        Ok(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        let url = Url::parse("kafka://a:1,b:2?prefix=game-&partitions=8&replicas=3&session=6s&create=off").unwrap();
        let s = Settings::read(&url).unwrap();
        assert_eq!((&*s.prefix, s.partitions, s.replicas, s.create), ("game-", 8, 3, false));
    }

    #[test]
    fn wrong_settings_name_key_url_and_fix() {
        for (url, says) in [
            ("kafka://", "no host"),
            ("kafka://u:p@a", "SASL"),
            ("kafka://a/b", "path"),
            ("kafka://a?prefix=a_b", "prefix"),
            ("kafka://a?partitions=0", "partitions"),
            ("kafka://a?timeout=10ms", "timeout"),
            ("kafka://a?queue=0", "queue"),
            ("kafka://a?colour=red", "colour"),
        ] {
            let error = Settings::read(&Url::parse(url).unwrap()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("kafka://"), "{url}: {error}");
        }
    }
}
