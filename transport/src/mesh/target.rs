//! What a channel is asked to reach.

use std::{net::SocketAddr, time::Duration};

use due_core::{Error, Kind, Result, Url, units};
use serde::Deserialize;

/// A target, read.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As written.
    pub(crate) url: Url,
    pub(crate) place: Place,
    pub(crate) keys: Keys,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// All instances of this name, or that list this service.
    Named(String),
    /// These addresses.
    At(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// How long a call may wait for somebody to call.
    #[serde(with = "units::serde_duration")]
    pub(crate) wait: Duration,
    /// Dial off loopback without TLS.
    pub(crate) insecure: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), insecure: false }
    }
}

impl Target {
    /// Reads `discovery://name` or `direct://host:port,..`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text)?;
        let place = match (url.scheme(), url.hosts()) {
            ("discovery", [name]) => Place::Named(name.clone()),
            ("direct", [_, ..]) => Place::At(url.hosts().to_vec()),
            _ => {
                return Err(Error::config(format!(
                    "{url} is no target: write discovery://name or direct://host:port,host:port"
                )));
            }
        };
        let keys = url.query()?;
        Ok(Self { url, place, keys })
    }
}

/// The socket addresses of `host:port`. Off loopback they are refused unless `insecure`: the bytes travel in the open.
pub(crate) async fn addresses(host: &str, insecure: bool, what: &Url) -> Result<Vec<SocketAddr>> {
    let resolved = tokio::net::lookup_host(host).await.map_err(|e| {
        Error::new(Kind::Unavailable, "the host is unknown").context("host", host).context("url", what).because(e)
    })?;
    let found: Vec<_> = resolved.collect();
    match found.iter().find(|a| !insecure && !a.ip().to_canonical().is_loopback()) {
        Some(open) => Err(Error::config(format!(
            "{what} reaches {open}, which is off loopback, and the bytes would travel in the open: add `insecure=on` \
             to the URL if the network is trusted"
        ))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_names_or_addresses() {
        let named = Target::parse("discovery://match.Match?wait=2s").unwrap();
        assert_eq!((named.place, named.keys.wait), (Place::Named("match.Match".into()), Duration::from_secs(2)));
        let direct = Target::parse("direct://a:1,b:2").unwrap();
        assert_eq!(direct.place, Place::At(vec!["a:1".into(), "b:2".into()]));
    }

    #[test]
    fn what_is_no_target_names_the_fix() {
        for wrong in ["http://a:1", "discovery://", "discovery://a,b", "direct://", "discovery://a?retry=on", "match"] {
            assert_eq!(Target::parse(wrong).unwrap_err().kind(), Kind::Config, "{wrong}");
        }
    }

    #[tokio::test]
    async fn off_loopback_needs_a_word() {
        let url = Url::parse("direct://192.0.2.1:1").unwrap();
        let refused = addresses("192.0.2.1:1", false, &url).await.unwrap_err();
        assert!(refused.kind() == Kind::Config && refused.to_string().contains("insecure=on"), "{refused}");
        assert!(addresses("192.0.2.1:1", true, &url).await.is_ok());
        assert!(addresses("[::ffff:127.0.0.1]:1", false, &url).await.is_ok());
    }
}
