//! What the home process itself uses: its memory, and the address for the others, which stays open as long.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Epoch, Incarnation, Result, SessionId,
    bus::{self, Broker, Confirm, Options, Source},
    config::{self, ConfigSource, Entry, Version, Watch, Write},
    locate::{self, Attempt, Binding, Claim, Feed, Locator, Place, Record, Subject, Taken, Verdict},
    registry::{self, Expect, Listing, Put, RegistryStore, Renew, Value},
};

use super::Seat;

/// A contract that keeps the home open.
pub(super) struct Held<T> {
    contract: T,
    _home: Arc<Seat>,
}

impl<T> Held<T> {
    pub(super) fn new(contract: T, home: &Arc<Seat>) -> Self {
        Self { contract, _home: home.clone() }
    }
}

#[async_trait]
impl RegistryStore for Held<registry::memory::Memory> {
    async fn put(&self, key: &str, value: Value, ttl: Duration, expect: Expect) -> Result<Put> {
        self.contract.put(key, value, ttl, expect).await
    }

    async fn renew(&self, key: &str, incarnation: Incarnation, ttl: Duration) -> Result<Renew> {
        self.contract.renew(key, incarnation, ttl).await
    }

    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        self.contract.delete(key, incarnation).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        self.contract.list(prefix).await
    }

    async fn wait(&self, prefix: &str, cursor: u64) -> Result<()> {
        self.contract.wait(prefix, cursor).await
    }

    fn capability(&self, ttl: Duration) -> registry::Capability {
        self.contract.capability(ttl)
    }
}

#[async_trait]
impl Locator for Held<Arc<locate::memory::Memory>> {
    fn capability(&self) -> locate::Capability {
        self.contract.capability()
    }

    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        self.contract.take(subject, place, claim).await
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.contract.if_absent(subject, place, claim).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.contract.if_epoch(subject, place, seen, claim).await
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        self.contract.reassert(binding).await
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        self.contract.unbind(subject, place, session, epoch).await
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        self.contract.locate(subject).await
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        self.contract.check(bindings).await
    }

    async fn fence(&self, owner: due_core::Owner) -> Result<()> {
        self.contract.fence(owner).await
    }

    async fn watch(&self) -> Result<Feed> {
        self.contract.watch().await
    }
}

#[async_trait]
impl Broker for Held<Arc<bus::memory::Broker>> {
    fn capability(&self) -> bus::Capability {
        self.contract.capability()
    }

    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm> {
        self.contract.send(topic, key, body).await
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        self.contract.open(topic, options).await
    }
}

#[async_trait]
impl ConfigSource for Held<Arc<config::memory::Memory>> {
    fn capability(&self) -> config::Capability {
        self.contract.capability()
    }

    async fn load(&self, key: &str) -> Result<Option<Entry>> {
        self.contract.load(key).await
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, Entry>> {
        self.contract.list(prefix).await
    }

    async fn watch(&self, prefix: &str) -> Result<Watch> {
        self.contract.watch(prefix).await
    }

    async fn store(&self, key: &str, value: Bytes, expect: config::Expect) -> Result<Version> {
        self.contract.store(key, value, expect).await
    }

    async fn delete(&self, key: &str, expect: config::Expect) -> Result<Version> {
        self.contract.delete(key, expect).await
    }

    async fn write_together(&self, writes: Vec<Write>) -> Result<Version> {
        self.contract.write_together(writes).await
    }
}
