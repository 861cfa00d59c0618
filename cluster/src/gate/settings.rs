//! Settings of a listener, read from its URL.

use std::time::Duration;

use due_core::{Error, Result, Url, units};
use due_protocol::due::Dialect;
use serde::Deserialize;

/// Who sends heartbeats first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// The client; the gate answers.
    #[default]
    Resp,
    /// The gate, once an interval; it answers none.
    Tick,
}

/// What to do with an old client that cannot be told of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Untold {
    /// Close its connection gracefully.
    #[default]
    Close,
    /// Go on in silence, as due does.
    Silent,
}

/// How a listener treats its clients. All keys may stand in the listener's URL.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct ListenerSettings {
    /// A client that sent nothing for two intervals is closed within the third; `off` never closes. 10s.
    #[serde(with = "units::serde_duration")]
    pub heartbeat: Duration,
    /// Who sends heartbeats first: `resp` or `tick`.
    pub heartbeat_mechanism: Mechanism,
    /// A connection without a user is closed after this time; `off` (default) never closes.
    #[serde(with = "units::serde_duration")]
    pub authorize: Duration,
    /// Connections of this listener at once; one more is accepted and closed. 65536.
    pub max_connections: usize,
    /// A client over its outbox mark that took no byte for this long is closed. 2s.
    #[serde(with = "units::serde_duration")]
    pub slow_after: Duration,
    /// Bytes in an outbox from which on pushes are refused and the client is not read. 256KiB.
    #[serde(with = "units::serde_size")]
    pub outbox: usize,
    /// A handler's error that an old client cannot be told: `close` or `silent`.
    pub on_error: Untold,
    /// A lost message that an old client cannot be told: `close` or `silent`.
    pub on_lost: Untold,
    /// A request head must be complete, and a frame once begun, within this time. 10s.
    #[serde(with = "units::serde_duration")]
    pub open_frame: Duration,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            heartbeat_mechanism: Mechanism::Resp,
            authorize: Duration::ZERO,
            max_connections: 65_536,
            slow_after: Duration::from_secs(2),
            outbox: 256 * 1024,
            on_error: Untold::Close,
            on_lost: Untold::Close,
            open_frame: Duration::from_secs(10),
        }
    }
}

const OWN_KEYS: &[&str] = &[
    "heartbeat",
    "heartbeat-mechanism",
    "authorize",
    "max-connections",
    "slow-after",
    "outbox",
    "on-error",
    "on-lost",
    "open-frame",
];

impl ListenerSettings {
    /// Splits a listener's URL: the gate's settings, the dialect, and the address for the network.
    pub(crate) fn read(url: &Url) -> Result<(Self, Dialect, Url)> {
        let settings: Self = url.only(OWN_KEYS).query()?;
        let (dialect, network) = Dialect::from_url(&url.without(OWN_KEYS))?;
        if settings.max_connections == 0 {
            return Err(Error::config(format!("max-connections=0 in {url}: a listener takes 1 or more")));
        }
        Ok((settings, dialect, network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_three_ways() {
        let url = Url::parse("ws://127.0.0.1:0/play?heartbeat=5s&route-bytes=4&origins=*&outbox=1MiB").unwrap();
        let (settings, dialect, network) = ListenerSettings::read(&url).unwrap();
        assert_eq!((settings.heartbeat, settings.outbox), (Duration::from_secs(5), 1 << 20));
        assert_eq!(dialect.settings().route_bytes, 4);
        assert_eq!(network.to_string(), "ws://127.0.0.1:0/play?origins=*");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key() {
        for wrong in ["tcp://a:1?heartbeat=soon", "tcp://a:1?max-connections=0", "tcp://a:1?route-bytes=3"] {
            assert!(ListenerSettings::read(&Url::parse(wrong).unwrap()).is_err(), "{wrong}");
        }
    }
}
