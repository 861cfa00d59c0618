//! A registry inside the process, and the faults of real ones.

mod faults;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use super::{Capability, Expect, Kept, Listing, Put, Reads, RegistryStore, Renew, UniqueIds, Value};
use crate::{error::Result, id::Incarnation};
pub use faults::Faults;
use state::State;

/// A registry of its own: all who clone it meet there.
pub fn registry() -> Kept<Memory> {
    Kept::new(Memory::default())
}

/// The key space of a memory registry. Clones share it. A lease ends on tokio's clock.
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

impl Memory {
    /// The handle that plays faults.
    pub fn faults(&self) -> Faults {
        Faults::new(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as every verb finds it: after the faults that concern calls, without dead leases.
    async fn enter(&self) -> Result<MutexGuard<'_, State>> {
        loop {
            let hung = self.shared.changed.notified();
            {
                let mut state = self.lock();
                state.refuse()?;
                if !state.hung {
                    state.expire(Instant::now());
                    return Ok(state);
                }
            }
            hung.await;
        }
    }

    fn wake(&self) {
        self.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl RegistryStore for Memory {
    async fn put(&self, key: &str, value: Value, ttl: Duration, expect: Expect) -> Result<Put> {
        let put = self.enter().await?.put(key, value, Instant::now() + ttl, expect);
        self.wake();
        Ok(put)
    }

    async fn renew(&self, key: &str, incarnation: Incarnation, ttl: Duration) -> Result<Renew> {
        Ok(self.enter().await?.renew(key, incarnation, Instant::now() + ttl))
    }

    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        self.enter().await?.delete(key, incarnation);
        self.wake();
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        Ok(self.enter().await?.list(prefix))
    }

    async fn wait(&self, _prefix: &str, cursor: u64) -> Result<()> {
        loop {
            let changed = self.shared.changed.notified();
            let next = {
                let state = self.enter().await?;
                if state.seen() > cursor {
                    return Ok(());
                }
                state.next_expiry()
            };
            tokio::select! {
                () = changed => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn capability(&self, ttl: Duration) -> Capability {
        Capability {
            unique_ids: UniqueIds::Enforced,
            list: Reads::Linearizable,
            expiry: (Duration::ZERO, ttl),
            max_metadata: 1 << 20,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
