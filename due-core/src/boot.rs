//! What a program is told once at start: by a file, the environment, the command line.
//!
//! Everything is optional: what is not set is as the program says, or as its default is. Reading them is the business
//! of `due-config`; an application takes whatever implements [`Args`].

mod keys;
mod levels;

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    error::{Error, Result},
    units,
    url::Url,
};
use keys::settings;
pub use keys::{Form, KEYS, Key};
pub use levels::{LogLevels, check_target};

/// Whatever can say how a program is to run: a command line, a file, a test.
pub trait Args {
    /// The settings. Errors: `Config`, with the place, the key and the accepted form.
    fn into_settings(self) -> Result<Settings>;
}

impl Args for Settings {
    fn into_settings(self) -> Result<Settings> {
        Ok(self)
    }
}

settings! {
    /// How a program runs.
    Settings: SETTINGS {
        /// The id of this process in the registry, unique there: up to 128 printable characters without `/`.
        /// A part with an id of its own keeps that. Made up at start if not given.
        id "id": String = Form::Id, r#""game-1""#;
        /// Which parts this process runs: kinds (`gate`, `node`, `mesh`) or names of parts. All of them if not given.
        roles "roles": Vec<String> = Form::Words, r#"["gate", "node"]"#;
        /// Who is alive.
        registry "registry": Address = Form::Url, r#""memory://""#;
        /// Who is bound where.
        locator "locator": Address = Form::Url, r#""memory://""#;
        /// Who should hear.
        eventbus "eventbus": Address = Form::Url, r#""memory://""#;
        /// Links between servers.
        transport "transport": Address = Form::Url, r#""memory://""#;
        /// Live settings: the ones that change while the program runs. `--config-source` on the command line.
        config "config": Address = Form::Url, r#""memory://""#;
        /// Locks.
        lock "lock": Address = Form::Url, r#""memory://""#;
        /// Caches.
        cache "cache": Address = Form::Url, r#""memory://""#;
        /// Threads that serve connections and handlers: `per-core`, or a number of 1 to 1024.
        shards "shards": ShardCount = Form::Shards, r#""per-core""#;
        /// Gates and nodes run on the same threads: less delay, but a slow handler holds connections up.
        shared_shards "shared-shards": bool = Form::Switch, "false";
        /// How long a stop may take until what is left is cut off.
        #[serde(deserialize_with = "span")]
        drain "drain": Duration = Form::Span, r#""30s""#;
        /// A port that says without a token how this process is: `/livez`, `/readyz`, `/startupz`. None if not given.
        probes "probes": Address = Form::Url, r#""http://127.0.0.1:8081""#;
    } and {
        /// What is logged, and where to.
        pub log: LogSettings,
        /// Gates by name.
        pub gate: BTreeMap<String, GateSettings>,
        /// Nodes by name.
        pub node: BTreeMap<String, NodeSettings>,
        /// Meshes by name.
        pub mesh: BTreeMap<String, MeshSettings>,
    }
}

settings! {
    /// What a program logs, and where to. Programs hand it to `due::log`; the libraries of due only emit `tracing`.
    LogSettings: LOG {
        /// How much: a level, and others for targets, which are crates and modules, by the beginning of their names.
        /// Levels: off, error, warn, info, debug, trace. Also `--log` on the command line, or the variable `DUE_LOG`.
        levels "levels": LogLevels = Form::Levels, r#""info""#;
        /// Where to, all at once: `stderr://`, `stdout://`, `file:///PATH`; the keys of their URLs are in log.md.
        sinks "sinks": Vec<Address> = Form::Urls, r#"["stderr://"]"#;
        /// How many equal lines of one place a second are written; the further ones are counted. 0 writes all.
        repeats "repeats": u32 = Form::Count, "10";
    } and {}
}

settings! {
    /// How one gate runs, by its name.
    GateSettings: GATE {
        /// Its id in the registry, instead of the one of the process.
        id "id": String = Form::Id, r#""gate-1""#;
        /// Where clients connect, instead of the listeners that the program names.
        listen "listen": Vec<Address> = Form::Urls, r#"["ws://0.0.0.0:3653?heartbeat=10s", "tcp://0.0.0.0:3553"]"#;
        /// How a stateless message finds its node: `sticky`, `random`, `rr` or `wrr`.
        dispatch "dispatch": String = Form::Choice(&["sticky", "random", "rr", "wrr"]), r#""sticky""#;
    } and {}
}

settings! {
    /// How one node runs, by its name.
    NodeSettings: NODE {
        /// Its id in the registry, instead of the one of the process.
        id "id": String = Form::Id, r#""node-1""#;
        /// Its share of stateless work beside others of its name; 0 takes none while others do.
        weight "weight": u32 = Form::Count, "1";
        /// How long a request may take where its route says nothing.
        #[serde(deserialize_with = "span")]
        deadline "deadline": Duration = Form::Span, r#""30s""#;
    } and {}
}

settings! {
    /// How one mesh runs, by its name.
    MeshSettings: MESH {
        /// Its id in the registry, instead of the one of the process.
        id "id": String = Form::Id, r#""mesh-1""#;
        /// Where its services listen, by scheme, instead of the addresses that the program names.
        listen "listen": Vec<Address> = Form::Urls, r#"["grpc://0.0.0.0:7100?insecure=on&advertise=mesh-1.internal"]"#;
        /// Its share of the calls beside others of its name; 0 takes none.
        weight "weight": u32 = Form::Count, "1";
    } and {}
}

/// A URL as it was written, read by [`Url::parse`] once. It prints without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Errors: those of [`Url::parse`].
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        Url::parse(&text)?;
        Ok(Self(text))
    }

    /// The text, with its secrets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Url::parse(&self.0).map_or(Err(fmt::Error), |url| url.fmt(f))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// How many threads serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardCount {
    /// One for each core.
    PerCore,
    /// So many.
    Count(NonZeroUsize),
}

impl ShardCount {
    /// Most threads that can be asked for.
    pub const MOST: usize = 1024;

    /// Reads `per-core` or a number.
    pub fn parse(text: &str) -> Result<Self> {
        let number = || text.parse().ok().filter(|n: &NonZeroUsize| n.get() <= Self::MOST);
        match text {
            "per-core" => Ok(Self::PerCore),
            _ => {
                number().map(Self::Count).ok_or_else(|| Error::config(format!("{text:?}: {}", Form::Shards.accepts())))
            }
        }
    }
}

impl<'de> Deserialize<'de> for ShardCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    units::serde_duration::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_never_print_a_secret() {
        let registry = Address::new("etcd://root:hunter2@a:1?token=hunter2").unwrap();
        let settings = Settings { registry: Some(registry.clone()), ..Settings::default() };
        let printed = format!("{settings:?}");
        assert!(!printed.contains("hunter2") && printed.contains("a:1"), "{printed}");
        assert_eq!(String::from(registry), "etcd://root:hunter2@a:1?token=hunter2");
        assert!(Address::new("etcd").is_err());
    }

    #[test]
    fn the_number_of_shards_is_bounded() {
        assert_eq!(ShardCount::parse("per-core").unwrap(), ShardCount::PerCore);
        assert_eq!(ShardCount::parse("4").unwrap(), ShardCount::Count(NonZeroUsize::new(4).unwrap()));
        for wrong in ["0", "1025", "-1", "many", ""] {
            assert!(ShardCount::parse(wrong).is_err(), "{wrong}");
        }
    }
}
