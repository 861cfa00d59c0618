//! The five verbs on etcd. Nothing is remembered between calls: who holds a key, and by which lease, stands in etcd.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Incarnation, Kind, Result, Url,
    registry::{Capability, Entry, Expect, Kept, Listing, Put, Reads, RegistryStore, Renew, UniqueIds, Value},
    units,
};
use etcd_client::{Client, Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp};
use serde::Deserialize;

use super::client::{Effect, Etcd, Login};

/// Time of one call. [`Kept`] gives a verb 3 s: this one ends before, and names the server.
const LIMIT: Duration = Duration::from_secs(2);

/// Entries of one answer to a list.
const PAGE: i64 = 512;

/// Largest instance: a page of them is half of the largest answer.
const LARGEST: usize = 64 << 10;

/// Writers of one key that may come between a look and a write.
const ATTEMPTS: usize = 8;

/// The shortest lease etcd gives, with its usual election time-out.
const SHORTEST: Duration = Duration::from_secs(2);

/// Instances in etcd.
pub struct Store {
    etcd: Etcd,
    ttl: Duration,
}

impl Store {
    /// Reads the URL; asks nothing of the server yet.
    pub async fn open(url: &Url) -> Result<Self> {
        let Settings { ttl, user, password } = url.query()?;
        if !(2..=3600).contains(&ttl.as_secs()) || ttl.subsec_nanos() > 0 {
            return Err(Error::config(format!("ttl={} in {url}: write whole seconds from 2s to 1h", units::show(ttl))));
        }
        Ok(Self { etcd: Etcd::open(url, Login { user, password }, "registry", LIMIT).await?, ttl })
    }

    /// The lease that the URL asks for.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Who holds the key; `None` if nobody does.
    async fn look(&self, key: &str) -> Result<Option<Held>> {
        let mut answer = self.etcd.get(&self.etcd.key(key), GetOptions::new()).await?;
        Ok(answer.take_kvs().into_iter().next().map(Held::new))
    }

    /// Writes or removes the key if nobody came between; `false` if somebody did.
    async fn swap(&self, key: &str, seen: i64, act: TxnOp) -> Result<bool> {
        let unchanged = Compare::mod_revision(self.etcd.key(key), CompareOp::Equal, seen);
        let txn = Txn::new().when([unchanged]).and_then([act]);
        Ok(self.etcd.txn(&txn, Effect::Writes).await?.succeeded())
    }

    /// A lease that lasts `ttl` from now: that of the holder, if it still lives.
    async fn lease(&self, mine: Option<&Held>, ttl: Duration) -> Result<i64> {
        if let Some(held) = mine
            && self.prolong(held.lease).await?
        {
            return Ok(held.lease);
        }
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let grant = |mut client: Client| async move { client.lease_grant(seconds, None).await };
        // A lease without a key changes nothing.
        Ok(self.etcd.ask(Effect::Reads, grant).await?.id())
    }

    /// Starts the time of a lease anew; `false` if it is over.
    async fn prolong(&self, lease: i64) -> Result<bool> {
        let keep = |mut client: Client| async move {
            match client.lease_keep_alive(lease).await {
                Ok(_) => Ok(true),
                // The client has read the answer: no such lease.
                Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(false),
                Err(e) => Err(e),
            }
        };
        // A key without a lease was written by hand: its holder writes it anew.
        if lease == 0 { Ok(false) } else { self.etcd.ask(Effect::Writes, keep).await }
    }
}

#[async_trait]
impl RegistryStore for Store {
    async fn put(&self, key: &str, value: Value, ttl: Duration, expect: Expect) -> Result<Put> {
        for _ in 0..ATTEMPTS {
            let held = self.look(key).await?;
            if let Some(held) = &held
                && !held.yields(value.incarnation, expect)
            {
                return Ok(Put::Held(held.value.clone()));
            }
            let mine = held.as_ref().filter(|h| h.value.incarnation == value.incarnation);
            let options = PutOptions::new().with_lease(self.lease(mine, ttl).await?);
            let write = TxnOp::put(self.etcd.key(key), value.bytes.clone(), Some(options));
            match self.swap(key, held.as_ref().map_or(0, |h| h.revision), write).await {
                Ok(true) => return Ok(Put::Ok),
                // Somebody came between, or the lease ended.
                Ok(false) => {}
                Err(e) if e.kind() == Kind::Gone => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::new(Kind::Overloaded, "too many write this key at once").context("key", key))
    }

    async fn renew(&self, key: &str, incarnation: Incarnation, _: Duration) -> Result<Renew> {
        match self.look(key).await? {
            None => Ok(Renew::Lost),
            Some(held) if held.value.incarnation != incarnation => Ok(Renew::Held(held.value)),
            Some(held) if self.prolong(held.lease).await? => Ok(Renew::Ok),
            Some(_) => Ok(Renew::Lost),
        }
    }

    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(held) = self.look(key).await?.filter(|h| h.value.incarnation == incarnation) else {
                return Ok(());
            };
            let remove = TxnOp::delete(self.etcd.key(key), None);
            if self.swap(key, held.revision, remove).await? {
                return Ok(());
            }
        }
        Err(Error::new(Kind::Overloaded, "too many write this key at once").context("key", key))
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        let (kvs, revision) = self.etcd.list(&self.etcd.key(prefix), PAGE).await?;
        let entry = |kv: KeyValue| {
            let key = self.etcd.name(kv.key())?.to_owned();
            let created = unsigned(kv.create_revision());
            Some(Entry { key, created, bytes: kv.into_key_value().1.into() })
        };
        Ok(Listing { entries: kvs.into_iter().filter_map(entry).collect(), cursor: unsigned(revision) })
    }

    async fn wait(&self, prefix: &str, cursor: u64) -> Result<()> {
        let from = i64::try_from(cursor).unwrap_or_default();
        let (mut changes, now) = self.etcd.watch(&self.etcd.key(prefix), from).await?;
        if now < from {
            // A wiped server: it takes the watch and stays silent until it has caught up.
            return Ok(());
        }
        while self.etcd.changes(&mut changes).await?.events().is_empty() {}
        Ok(())
    }

    fn capability(&self, ttl: Duration) -> Capability {
        let lease = ttl.max(SHORTEST);
        Capability {
            unique_ids: UniqueIds::Enforced,
            list: Reads::Linearizable,
            expiry: (lease - lease / 3, lease + Duration::from_secs(2)),
            max_metadata: LARGEST,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    #[serde(with = "units::serde_duration")]
    ttl: Duration,
    user: Option<String>,
    password: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ttl: Kept::<Store>::TTL, user: None, password: None }
    }
}

/// What stands under a key.
struct Held {
    value: Value,
    revision: i64,
    lease: i64,
}

/// The part of an instance that names its holder.
#[derive(Deserialize)]
struct Holder {
    incarnation: Incarnation,
}

impl Held {
    fn new(kv: KeyValue) -> Self {
        let (revision, lease) = (kv.mod_revision(), kv.lease());
        let bytes = Bytes::from(kv.into_key_value().1);
        // What no program of ours wrote is held by nobody who could be asked: it counts as a silent holder.
        let incarnation = serde_json::from_slice(&bytes).map_or(Incarnation(0), |h: Holder| h.incarnation);
        Self { value: Value { incarnation, bytes }, revision, lease }
    }

    fn yields(&self, to: Incarnation, expect: Expect) -> bool {
        let holder = self.value.incarnation;
        match expect {
            Expect::Absent => false,
            Expect::Mine => holder == to,
            Expect::Incarnation(dead) => holder == dead || holder == to,
        }
    }
}

fn unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or_default()
}
