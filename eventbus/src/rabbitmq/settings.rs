//! Query keys of `amqp://` URLs.

use std::time::Duration;

use due_core::{Error, Result, Url, units};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use serde::Deserialize;

use crate::queue::Limit;

const PORT: u16 = 5672;

/// What the URL says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    pub(super) exchange: String,
    pub(super) name: String,
    #[serde(with = "units::serde_duration")]
    pub(super) timeout: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) connect_timeout: Duration,
    #[serde(with = "units::serde_duration")]
    heartbeat: Duration,
    queue: u16,
    #[serde(with = "units::serde_size")]
    queue_bytes: usize,
    pub(super) prefetch: u16,
    #[serde(with = "units::serde_duration")]
    pub(super) idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            exchange: "due".to_owned(),
            name: "due".to_owned(),
            timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            heartbeat: Duration::from_secs(2),
            queue: 1024,
            queue_bytes: 8 * 1024 * 1024,
            prefetch: 32,
            idle: Duration::from_secs(30),
        }
    }
}

impl Settings {
    pub(super) fn read(url: &Url) -> Result<Self> {
        let settings: Self = url.query()?;
        let wrong = |text: &str| Err(Error::config(format!("{text} in {url}")));
        if url.hosts().is_empty() {
            return wrong("no host: write amqp://host:5672");
        }
        if url.user().is_some() && url.password().is_none() {
            return wrong("a user without a password: write amqp://user:password@host");
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=64).contains(&settings.exchange.len()) || !settings.exchange.bytes().all(plain) {
            return wrong("exchange is 1 to 64 letters, digits, `.`, `_` or `-`");
        }
        let spans = [settings.timeout, settings.connect_timeout, settings.idle];
        if spans.iter().any(|s| *s < Duration::from_millis(100) || *s > Duration::from_secs(3600)) {
            return wrong("timeout, connect-timeout and idle are 100ms to 1h");
        }
        if settings.heartbeat.subsec_nanos() != 0 || !(1..=60).contains(&settings.heartbeat.as_secs()) {
            return wrong("heartbeat is 1s to 60s, in whole seconds");
        }
        if settings.queue == 0 || settings.prefetch == 0 || settings.queue_bytes == 0 {
            return wrong("queue, prefetch and queue-bytes are at least 1");
        }
        settings.servers(url)?;
        Ok(settings)
    }

    pub(super) fn limit(&self) -> Limit {
        Limit { count: self.queue.into(), bytes: self.queue_bytes }
    }

    /// Messages of a plain subscription on their way to its queue.
    pub(super) fn window(&self) -> u16 {
        self.queue
    }

    /// The servers as the client wants them.
    pub(super) fn servers(&self, url: &Url) -> Result<Vec<AMQPUri>> {
        url.hosts().iter().map(|host| self.server(url, host)).collect()
    }

    fn server(&self, url: &Url, address: &str) -> Result<AMQPUri> {
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (address, Some(PORT)),
        };
        let wrong = || Error::config(format!("{address:?} is no host:port in {url}"));
        let userinfo = AMQPUserInfo {
            username: url.user().unwrap_or("guest").to_owned(),
            password: url.password().unwrap_or("guest").to_owned(),
        };
        let vhost = match url.path() {
            "" | "/" => "/".to_owned(),
            path => path.strip_prefix('/').unwrap_or(path).to_owned(),
        };
        let heartbeat = u16::try_from(self.heartbeat.as_secs()).ok();
        Ok(AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority { userinfo, host: host.to_owned(), port: port.ok_or_else(wrong)? },
            vhost,
            query: AMQPQueryString { heartbeat, ..AMQPQueryString::default() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        Settings::read(&Url::parse(text)?)
    }

    #[test]
    fn servers_are_read() {
        let url = Url::parse("amqp://u:p@a:1,b/my%20host?heartbeat=5s").unwrap();
        let servers = Settings::read(&url).unwrap().servers(&url).unwrap();
        let seen: Vec<_> = servers.iter().map(|s| (&*s.authority.host, s.authority.port)).collect();
        assert_eq!(seen, [("a", 1), ("b", PORT)]);
        let first = &servers[0];
        assert_eq!((&*first.vhost, &*first.authority.userinfo.password), ("my host", "p"));
        assert_eq!(first.query.heartbeat, Some(5));
    }

    #[test]
    fn a_path_names_a_virtual_host() {
        for (path, host) in [("", "/"), ("/", "/"), ("/%2f", "/"), ("/game", "game"), ("/a/b", "a/b")] {
            let url = Url::parse(&format!("amqp://a{path}")).unwrap();
            assert_eq!(Settings::read(&url).unwrap().servers(&url).unwrap()[0].vhost, host, "{path}");
        }
    }

    #[test]
    fn wrong_settings_name_key_url_and_fix() {
        for (url, says) in [
            ("amqp://", "no host"),
            ("amqp://a:b", "host:port"),
            ("amqp://alice@a", "password"),
            ("amqp://a?exchange=a/b", "exchange"),
            ("amqp://a?heartbeat=1500ms", "heartbeat"),
            ("amqp://a?queue=0", "queue"),
            ("amqp://a?queue=70000", "70000"),
            ("amqp://a?idle=2h", "idle"),
            ("amqp://a?colour=red", "colour"),
        ] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("amqp://"), "{url}: {error}");
        }
    }
}
