//! Query keys of `nats://` URLs.

use std::time::Duration;

use due_core::{Error, Result, Url, units};
use serde::Deserialize;

use crate::queue::Limit;

/// What the URL says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) prefix: String,
    pub(super) name: String,
    pub(super) tls: bool,
    #[serde(with = "units::serde_duration")]
    pub(super) timeout: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) connect_timeout: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) ping: Duration,
    pub(super) receipt: Receipts,
    pub(super) queue: usize,
    #[serde(with = "units::serde_size")]
    pub(super) queue_bytes: usize,
    pub(super) create: bool,
    pub(super) storage: Storage,
    pub(super) replicas: usize,
    #[serde(with = "units::serde_duration")]
    pub(super) max_age: Duration,
    #[serde(with = "units::serde_size")]
    pub(super) max_bytes: usize,
    #[serde(with = "units::serde_duration")]
    pub(super) ack_wait: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) idle: Duration,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Core,
    Jetstream,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Receipts {
    Sent,
    Accepted,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Storage {
    File,
    Memory,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Core,
            prefix: "due".to_owned(),
            name: "due".to_owned(),
            tls: false,
            timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            ping: Duration::from_secs(2),
            receipt: Receipts::Accepted,
            queue: 1024,
            queue_bytes: 8 * 1024 * 1024,
            create: true,
            storage: Storage::File,
            replicas: 1,
            max_age: Duration::from_secs(3600),
            max_bytes: 1024 * 1024 * 1024,
            ack_wait: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}

impl Settings {
    pub(super) fn read(url: &Url) -> Result<Self> {
        let settings: Self = url.query()?;
        let wrong = |text: String| Err(Error::config(format!("{text} in {url}")));
        if url.hosts().is_empty() {
            return wrong("no host: write nats://host:4222".to_owned());
        }
        if !matches!(url.path(), "" | "/") {
            return wrong(format!("the path {:?}: nats has no paths, topics get `prefix=..`", url.path()));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if settings.prefix.is_empty() || settings.prefix.len() > 32 || !settings.prefix.bytes().all(plain) {
            return wrong(format!("prefix={:?}: write 1 to 32 letters, digits, `_` or `-`", settings.prefix));
        }
        if !(1..=65_536).contains(&settings.queue) || settings.queue_bytes == 0 {
            return wrong("queue is 1 to 65536 messages and queue-bytes at least 1".to_owned());
        }
        let spans = [settings.timeout, settings.connect_timeout, settings.ping, settings.ack_wait, settings.idle];
        if spans.iter().any(|s| *s < Duration::from_millis(100) || *s > Duration::from_secs(3600)) {
            return wrong("timeout, connect-timeout, ping, ack-wait and idle are 100ms to 1h".to_owned());
        }
        if !(1..=5).contains(&settings.replicas) || settings.max_bytes == 0 || settings.max_age.is_zero() {
            return wrong("replicas is 1 to 5, max-bytes and max-age at least 1".to_owned());
        }
        if settings.mode == Mode::Core {
            refuse_stream_keys(url)?;
        } else if url.value("receipt").is_some() {
            return wrong("receipt is a key of mode=core; JetStream answers what it has stored".to_owned());
        }
        Ok(settings)
    }

    pub(super) fn limit(&self) -> Limit {
        Limit { count: self.queue, bytes: self.queue_bytes }
    }
}

/// A key that has no effect is a wrong hope.
fn refuse_stream_keys(url: &Url) -> Result<()> {
    const STREAM: [&str; 7] = ["create", "storage", "replicas", "max-age", "max-bytes", "ack-wait", "idle"];
    match STREAM.iter().find(|key| url.value(key).is_some()) {
        Some(key) => Err(Error::config(format!("{key} is a key of mode=jetstream in {url}: add mode=jetstream"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        Settings::read(&Url::parse(text)?)
    }

    #[test]
    fn keys_are_read() {
        let s = read("nats://a:1,b:2?mode=jetstream&prefix=game&storage=memory&max-age=5m&max-bytes=1MiB").unwrap();
        assert_eq!((s.mode, s.storage, &*s.prefix, s.max_bytes), (Mode::Jetstream, Storage::Memory, "game", 1 << 20));
        assert_eq!(read("nats://a?receipt=sent").unwrap().receipt, Receipts::Sent);
    }

    #[test]
    fn wrong_settings_name_key_url_and_fix() {
        for (url, says) in [
            ("nats://", "no host"),
            ("nats://a/b", "the path"),
            ("nats://a?prefix=a.b", "prefix="),
            ("nats://a?queue=0", "queue is"),
            ("nats://a?timeout=1ms", "timeout"),
            ("nats://a?storage=memory", "mode=jetstream"),
            ("nats://a?mode=jetstream&receipt=sent", "receipt"),
            ("nats://a?mode=streams", "streams"),
            ("nats://a?colour=red", "colour"),
        ] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("nats://"), "{url}: {error}");
        }
    }
}
