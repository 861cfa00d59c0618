//! Query keys of `tcp://` URLs.

use std::time::Duration;

use due_core::units;
use serde::{Deserialize, Deserializer, de::Error};

/// How a listening address behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Listen {
    /// Clients that the system queues; it may cut the number (Linux: `net.core.somaxconn`).
    pub(crate) backlog: u32,
    /// One listening socket a shard.
    pub(crate) reuseport: bool,
    #[serde(deserialize_with = "always")]
    pub(crate) nodelay: (),
}

impl Default for Listen {
    fn default() -> Self {
        Self { backlog: 4096, reuseport: false, nodelay: () }
    }
}

/// How a client connects.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Dial {
    #[serde(with = "units::serde_duration")]
    pub(crate) connect_timeout: Duration,
    #[serde(deserialize_with = "always")]
    pub(crate) nodelay: (),
}

impl Default for Dial {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(3), nodelay: () }
    }
}

/// Reads a key that has only one value, so that an old setting file keeps working and a wrong hope is refused.
pub(crate) fn always<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
    if bool::deserialize(from)? {
        return Ok(());
    }
    Err(D::Error::custom("nodelay=off is not offered: shards batch what they write, a delay only adds to it"))
}
