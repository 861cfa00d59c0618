//! Planted bugs in a registry backend: the suite finds each, and core makes up for a poor `wait`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{
    Error, Incarnation, Kind, Result,
    registry::{Capability, Expect, Kept, Listing, Put, RegistryStore, Renew, Value, memory::Memory},
};
use due_testkit::registry::{self, Bench};

#[derive(Clone, Copy, Debug)]
enum Planted {
    PutOverwrites,
    PutForgets,
    RenewHidesLoss,
    RenewDoesNothing,
    DeleteAsksNobody,
    DeleteDoesNothing,
    ListIsEmptyWhenDown,
    WaitNeverReturns,
    WaitReturnsAtOnce,
    WaitFails,
}

struct Store {
    inner: Memory,
    planted: Planted,
}

#[async_trait]
impl RegistryStore for Store {
    async fn put(&self, key: &str, value: Value, ttl: Duration, expect: Expect) -> Result<Put> {
        let put = match self.planted {
            Planted::PutForgets => Put::Ok,
            _ => self.inner.put(key, value.clone(), ttl, expect).await?,
        };
        match (self.planted, put) {
            (Planted::PutOverwrites, Put::Held(other)) => {
                self.inner.put(key, value, ttl, Expect::Incarnation(other.incarnation)).await
            }
            (_, put) => Ok(put),
        }
    }

    async fn renew(&self, key: &str, incarnation: Incarnation, ttl: Duration) -> Result<Renew> {
        match self.planted {
            Planted::RenewDoesNothing => Ok(Renew::Ok),
            Planted::RenewHidesLoss => self.inner.renew(key, incarnation, ttl).await.map(|_| Renew::Ok),
            _ => self.inner.renew(key, incarnation, ttl).await,
        }
    }

    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        match self.planted {
            Planted::DeleteDoesNothing => Ok(()),
            Planted::DeleteAsksNobody => {
                self.inner.faults().lose_lease(key);
                Ok(())
            }
            _ => self.inner.delete(key, incarnation).await,
        }
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        let listing = self.inner.list(prefix).await;
        match self.planted {
            Planted::ListIsEmptyWhenDown => Ok(listing.unwrap_or_default()),
            _ => listing,
        }
    }

    async fn wait(&self, prefix: &str, cursor: u64) -> Result<()> {
        match self.planted {
            Planted::WaitNeverReturns => std::future::pending().await,
            Planted::WaitReturnsAtOnce => Ok(()),
            Planted::WaitFails => Err(Error::new(Kind::Unavailable, "no watches here")),
            _ => self.inner.wait(prefix, cursor).await,
        }
    }

    fn capability(&self, ttl: Duration) -> Capability {
        self.inner.capability(ttl)
    }
}

fn bench(planted: Planted) -> Bench {
    let inner = Memory::default();
    let kept =
        |seed| Arc::new(Kept::with(Store { inner: inner.clone(), planted }, Duration::from_secs(10), Some(seed)));
    Bench { a: kept(1), b: kept(2), faults: Arc::new(inner.faults()) }
}

/// Runs the suite in a task of its own, where a failed assertion ends the task only.
async fn passes(planted: Planted) -> bool {
    let suite = tokio::spawn(registry::suite(move || async move { bench(planted) }));
    matches!(suite.await, Ok(Ok(_)))
}

#[tokio::test(start_paused = true)]
async fn the_suite_finds_each_planted_bug() {
    for planted in [
        Planted::PutOverwrites,
        Planted::PutForgets,
        Planted::RenewHidesLoss,
        Planted::RenewDoesNothing,
        Planted::DeleteAsksNobody,
        Planted::DeleteDoesNothing,
        Planted::ListIsEmptyWhenDown,
    ] {
        assert!(!passes(planted).await, "{planted:?} was not found");
    }
}

// proves P12: no watch is trusted to bring everything.
#[tokio::test(start_paused = true)]
async fn a_poor_wait_costs_time_only() {
    for planted in [Planted::WaitNeverReturns, Planted::WaitReturnsAtOnce, Planted::WaitFails] {
        assert!(passes(planted).await, "{planted:?}");
    }
}
