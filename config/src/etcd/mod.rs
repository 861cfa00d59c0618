//! Live settings in etcd (3.4 or newer).
//!
//! `etcd://10.0.0.1:2379,10.0.0.2:2379/game?user=due&password=..`
//!
//! Any host of the cluster may be named; a port that is left out is 2379. The path is the namespace, `due` if it is left
//! out: the setting `limits.toml` is the value of `/<namespace>/config/limits.toml`, plain bytes that `etcdctl` can read
//! and write too.
//!
//! | key | default | what |
//! |---|---|---|
//! | `user`, `password` | none | the login; `user:password@` before the hosts does the same |
//!
//! Conditional writes are atomic, over several keys too: a setting and the record of its history are one transaction, unless
//! they are over 1.25 MiB together. A version is the revision that wrote the key. Versions fall when etcd is wiped or
//! restored from a backup. A watch lists and goes on from that list, and lists again after every break; it learns of a
//! connection that has gone silent within 9 s.

mod client;
mod follow;
mod list;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Url,
    config::{Capability, Cas, ConfigSource, Entry, Expect, LARGEST, Version, Watch, Write, check_key, feed},
};
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};
use serde::Deserialize;
use tokio::sync::watch;

use client::{Effect, Etcd, Login};
use follow::Follower;

/// Time of one call.
const LIMIT: Duration = Duration::from_secs(3);

/// Entries of one answer to a list: all of them may be of the largest size.
const PAGE: i64 = 32;

/// Bytes of one transaction: etcd takes requests of 1.5 MiB unless told otherwise.
const TOGETHER: usize = LARGEST + (256 << 10);

/// Writes of one transaction; etcd allows 128 unless told otherwise.
const AT_ONCE: usize = 100;

/// Opens `etcd://`.
pub async fn open(url: Url) -> Result<Arc<dyn ConfigSource>> {
    Ok(Arc::new(Source::open(&url).await?))
}

/// The settings of one namespace. Dropping it ends its watches.
pub struct Source {
    etcd: Arc<Etcd>,
    open: watch::Sender<()>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    user: Option<String>,
    password: Option<String>,
}

impl Source {
    async fn open(url: &Url) -> Result<Self> {
        let Settings { user, password } = url.query()?;
        let etcd = Etcd::open(url, Login { user, password }, "config", LIMIT).await?;
        Ok(Self { etcd: Arc::new(etcd), open: watch::Sender::default() })
    }

    fn operation(&self, write: &Write) -> TxnOp {
        let key = self.etcd.key(&write.key);
        match &write.value {
            Some(value) => TxnOp::put(key, value.clone(), None),
            None => TxnOp::delete(key, None::<DeleteOptions>),
        }
    }

    fn comparison(&self, write: &Write) -> Option<Compare> {
        let revision = match &write.expect {
            Expect::Any => return None,
            Expect::Absent => 0,
            Expect::Version(Version::Number(n)) => i64::try_from(*n).unwrap_or(i64::MAX),
            // No version of this source: it never holds, and the answer says what there is instead.
            Expect::Version(Version::Tag(_)) => i64::MAX,
        };
        Some(Compare::mod_revision(self.etcd.key(&write.key), CompareOp::Equal, revision))
    }
}

#[async_trait]
impl ConfigSource for Source {
    fn capability(&self) -> Capability {
        Capability { cas: Cas::Atomic, writable: true }
    }

    async fn load(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        let mut answer = self.etcd.get(&self.etcd.key(key), GetOptions::new()).await?;
        Ok(answer.take_kvs().into_iter().next().map(entry))
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, Entry>> {
        Ok(list(&self.etcd, prefix).await?.0)
    }

    async fn watch(&self, prefix: &str) -> Result<Watch> {
        let first = list(&self.etcd, prefix).await?;
        let (feed, watch) = feed();
        let mut open = self.open.subscribe();
        let follower = Follower::new(self.etcd.clone(), prefix, feed);
        tokio::spawn(async move {
            tokio::select! {
                () = follower.run(first) => {}
                _ = open.changed() => {}
            }
        });
        Ok(watch)
    }

    async fn store(&self, key: &str, value: Bytes, expect: Expect) -> Result<Version> {
        self.write_together(vec![Write { key: key.into(), value: Some(value), expect }]).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<Version> {
        self.write_together(vec![Write { key: key.into(), value: None, expect }]).await
    }

    async fn write_together(&self, writes: Vec<Write>) -> Result<Version> {
        writes.iter().try_for_each(Write::check)?;
        let bytes: usize = writes.iter().filter_map(|w| Some(w.value.as_ref()?.len())).sum();
        if bytes > TOGETHER || writes.len() > AT_ONCE {
            return Err(Error::new(Kind::Unsupported, "too much for one transaction").context("bytes", bytes));
        }
        let compares: Vec<_> = writes.iter().filter_map(|w| self.comparison(w)).collect();
        let acts: Vec<_> = writes.iter().map(|w| self.operation(w)).collect();
        let look = |w: &Write| TxnOp::get(self.etcd.key(&w.key), Some(GetOptions::new().with_keys_only()));
        let looks: Vec<_> = writes.iter().map(look).collect();
        let txn = Txn::new().when(compares).and_then(acts).or_else(looks);
        let answer = self.etcd.txn(&txn, Effect::Writes).await?;
        match answer.succeeded() {
            true => Ok(Version::Number(answer.header().map_or(0, |h| unsigned(h.revision())))),
            false => Err(refused(&writes, &answer)),
        }
    }
}

/// The entries under a prefix, and the revision they are of. Keys that break the rules are not ours.
async fn list(etcd: &Etcd, prefix: &str) -> Result<(BTreeMap<Arc<str>, Entry>, i64)> {
    let (kvs, revision) = etcd.list(&etcd.key(prefix), PAGE).await?;
    let named = |kv: KeyValue| {
        let key = etcd.name(kv.key()).filter(|key| check_key(key).is_ok())?.into();
        Some((key, entry(kv)))
    };
    Ok((kvs.into_iter().filter_map(named).collect(), revision))
}

fn entry(kv: KeyValue) -> Entry {
    let version = Version::Number(unsigned(kv.mod_revision()));
    Entry { value: kv.into_key_value().1.into(), version }
}

/// Which write was not as expected.
fn refused(writes: &[Write], answer: &TxnResponse) -> Error {
    let found = answer.op_responses().into_iter().map(|op| match op {
        TxnOpResponse::Get(get) => get.kvs().first().map(|kv| Version::Number(unsigned(kv.mod_revision()))),
        _ => None,
    });
    let refusals = writes.iter().zip(found);
    let first = refusals.filter_map(|(w, v)| Some(w.expect.check(v.as_ref()).err()?.context("key", &w.key))).next();
    first.unwrap_or_else(|| Error::new(Kind::Stale, "a key has changed"))
}

fn unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or_default()
}
