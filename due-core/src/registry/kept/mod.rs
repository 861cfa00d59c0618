//! A [`Registry`] on any [`RegistryStore`]: the guard, the back-off and the gap-free views, written once.

mod backoff;
mod follow;
mod join;
mod keep;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::oneshot, time};

use super::{
    Answer, Capability, Instance, InstanceKind, Probe, Registration, Registry, RegistryStore, Watch,
    registration::encoded,
};
use crate::error::{Error, Kind, Result};
use backoff::Backoff;

/// Longest time of one call to the store.
const CALL: Duration = Duration::from_secs(3);

/// A list is made at least this often: a wiped server may forget a watcher without telling it.
const RELIST: Duration = Duration::from_secs(4);

/// Gives [`Registry`] to every [`RegistryStore`]. Cheap to clone. Needs a tokio runtime when it is used: each
/// registration and each watch is one task.
pub struct Kept<R> {
    core: Arc<Core<R>>,
}

struct Core<R> {
    store: R,
    ttl: Duration,
    seed: Option<u64>,
    probe: Mutex<Option<Arc<dyn Probe>>>,
}

impl<R> Clone for Kept<R> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone() }
    }
}

impl<R: RegistryStore> Kept<R> {
    /// The lease of [`Kept::new`].
    pub const TTL: Duration = Duration::from_secs(10);

    /// Leases of 10 s.
    pub fn new(store: R) -> Self {
        Self::with(store, Self::TTL, None)
    }

    /// Leases of `ttl` (1 s or more), renewed three times in that time. `seed` makes the jitter of the back-off the same
    /// in every run, for simulations.
    pub fn with(store: R, ttl: Duration, seed: Option<u64>) -> Self {
        let ttl = ttl.max(Duration::from_secs(1));
        Self { core: Arc::new(Core { store, ttl, seed, probe: Mutex::default() }) }
    }

    /// The backend.
    pub fn store(&self) -> &R {
        &self.core.store
    }
}

#[async_trait]
impl<R: RegistryStore> Registry for Kept<R> {
    async fn register(&self, instance: Instance) -> Result<Registration> {
        let limit = self.capability().max_metadata;
        instance.check()?;
        encoded(&instance, limit)?;
        let (guard, duty) = Registration::with_duty(instance, limit);
        let (joined, outcome) = oneshot::channel();
        tokio::spawn(keep::run(self.core.clone(), duty, joined));
        outcome.await.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the runtime is going away")))?;
        Ok(guard)
    }

    async fn watch(&self, kind: InstanceKind) -> Result<Watch> {
        follow::start(self.core.clone(), kind).await
    }

    fn probe_with(&self, probe: Arc<dyn Probe>) {
        *self.core.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe);
    }

    fn capability(&self) -> Capability {
        self.core.store.capability(self.core.ttl)
    }
}

impl<R: RegistryStore> Core<R> {
    async fn ask(&self, other: &Instance) -> Answer {
        let probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(probe) = probe else { return Answer::Silent };
        time::timeout(Duration::from_secs(2), probe.ask(other)).await.unwrap_or(Answer::Silent)
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.seed)
    }
}

/// One call to the store, at most [`CALL`] long.
async fn call<T>(verb: impl Future<Output = Result<T>>) -> Result<T> {
    match time::timeout(CALL, verb).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(Kind::Timeout, "the registry did not answer")),
    }
}
