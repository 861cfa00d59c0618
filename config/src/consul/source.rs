//! The source.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Url,
    config::{Capability, Cas, ConfigSource, Entry, Expect, Version, Watch, check_key},
};
use serde::Deserialize;
use tokio::sync::watch;

use super::{
    client::{Client, Done, Pair, Step},
    watch::follow,
};

/// Consul takes 512 KiB in a transaction, in base64, with the key and the words around it.
const LARGEST: usize = 380 * 1024;

/// Settings in consul.
pub struct Consul {
    store: Arc<Store>,
    read_only: bool,
    /// Ends the watches with their source.
    alive: watch::Sender<()>,
}

/// Where the settings stand.
pub(super) struct Store {
    pub(super) client: Client,
    /// Before each key: `due/config/`.
    folder: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    token: Option<String>,
    read_only: bool,
}

/// Opens what a `consul://` URL names. The agent need not answer yet.
pub async fn open(url: Url) -> Result<Arc<dyn ConfigSource>> {
    Ok(Arc::new(Consul::new(&url)?))
}

impl Consul {
    /// See [`open`]. Errors: `Config`.
    pub fn new(url: &Url) -> Result<Self> {
        let settings: Settings = url.query()?;
        let client = Client::new(url, settings.token.as_deref())?;
        let name = url.path().trim_matches('/');
        check_key(if name.is_empty() { "due" } else { name }).map_err(|_| {
            Error::config(format!("the path of {url} is no namespace: write letters, digits, `-` or `_`"))
        })?;
        let folder = format!("{}/config/", if name.is_empty() { "due" } else { name });
        let store = Arc::new(Store { client, folder });
        Ok(Self { store, read_only: settings.read_only, alive: watch::Sender::new(()) })
    }

    fn may_write(&self, key: &str) -> Result<()> {
        check_key(key)?;
        match self.read_only {
            true => Err(Error::new(Kind::Forbidden, "the URL of the source says read-only").context("key", key)),
            false => Ok(()),
        }
    }

    /// Why a conditional write did nothing.
    async fn refusal(&self, key: &str, expect: &Expect) -> Error {
        let found = match self.load(key).await {
            Ok(found) => found,
            Err(e) => return e,
        };
        // The key may be as expected by now: it was not a moment ago.
        let unlike = expect.check(found.as_ref().map(|e| &e.version)).err();
        let kind = if *expect == Expect::Absent { Kind::Duplicate } else { Kind::Stale };
        unlike.unwrap_or_else(|| Error::new(kind, "the key has changed meanwhile")).context("key", key)
    }
}

impl Store {
    /// Where a key stands.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.folder)
    }

    /// The setting that a pair is; `None` for what is no setting.
    pub(super) fn entry(&self, pair: &Pair) -> Option<(Arc<str>, Entry)> {
        let key = pair.key.strip_prefix(&self.folder)?;
        check_key(key).ok()?;
        Some((key.into(), Entry { value: pair.value()?, version: Version::Number(pair.version) }))
    }

    /// What to ask for to get all keys under a prefix. A last part of dots would be taken for a way up: its folder is
    /// asked for.
    pub(super) fn question(&self, prefix: &str) -> String {
        let (folder, last) = prefix.rsplit_once('/').map_or(("", prefix), |(folder, last)| (folder, last));
        match last {
            "." | ".." if folder.is_empty() => self.folder.clone(),
            "." | ".." => self.path(&format!("{folder}/")),
            _ => self.path(prefix),
        }
    }

    /// The settings under a prefix among pairs.
    pub(super) fn entries(&self, pairs: &[Pair], prefix: &str) -> BTreeMap<Arc<str>, Entry> {
        pairs.iter().filter_map(|pair| self.entry(pair)).filter(|(key, _)| key.starts_with(prefix)).collect()
    }
}

/// Only these can begin a key; they need no escape in a URL.
pub(super) fn is_prefix(prefix: &str) -> bool {
    let folder = prefix.rsplit_once('/').map_or(Ok(()), |(folder, _)| check_key(folder));
    folder.is_ok() && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
}

#[async_trait]
impl ConfigSource for Consul {
    fn capability(&self) -> Capability {
        Capability { cas: Cas::Atomic, writable: !self.read_only }
    }

    async fn load(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        let found = self.store.client.get(&self.store.path(key)).await?;
        Ok(found.pairs.first().and_then(|pair| self.store.entry(pair)).map(|(_, entry)| entry))
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, Entry>> {
        if !is_prefix(prefix) {
            return Ok(BTreeMap::new());
        }
        let found = self.store.client.list(&self.store.question(prefix)).await?;
        Ok(self.store.entries(&found.pairs, prefix))
    }

    async fn watch(&self, prefix: &str) -> Result<Watch> {
        follow(self.store.clone(), prefix, self.alive.subscribe()).await
    }

    async fn store(&self, key: &str, value: Bytes, expect: Expect) -> Result<Version> {
        self.may_write(key)?;
        if value.len() > LARGEST {
            let text = format!("consul takes a setting of {LARGEST} bytes, this one has {}", value.len());
            return Err(Error::new(Kind::TooLarge, text).context("key", key));
        }
        let (path, text) = (self.store.path(key), BASE64_STANDARD.encode(&value));
        let step = match expect {
            Expect::Any => Step::Set { key: &path, value: &text },
            Expect::Absent => Step::Cas { key: &path, value: &text, version: 0 },
            Expect::Version(Version::Number(version)) if version > 0 => Step::Cas { key: &path, value: &text, version },
            Expect::Version(_) => return Err(self.refusal(key, &expect).await),
        };
        match self.store.client.run(&[step]).await? {
            Done::Version(Some(version)) => Ok(Version::Number(version)),
            Done::Version(None) => {
                Err(Error::new(Kind::Internal, "consul wrote and names no version").context("key", key))
            }
            Done::Refused => Err(self.refusal(key, &expect).await),
        }
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<Version> {
        self.may_write(key)?;
        let path = self.store.path(key);
        let delete = Step::Delete { key: &path };
        let steps = match expect {
            Expect::Any => vec![delete],
            Expect::Absent => vec![Step::CheckNotExists { key: &path }],
            Expect::Version(Version::Number(version)) => vec![Step::CheckIndex { key: &path, version }, delete],
            Expect::Version(_) => return Err(self.refusal(key, &expect).await),
        };
        match self.store.client.run(&steps).await? {
            // A deletion has no index of its own; the one of the absence is not lower.
            Done::Version(_) => self.store.client.get(&path).await.map(|found| Version::Number(found.index)),
            Done::Refused => Err(self.refusal(key, &expect).await),
        }
    }
}
