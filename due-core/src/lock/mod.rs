//! Locks over the fleet, with a fencing token.
//!
//! A lock with a time to live can be lost while its holder still works: a pause, a cut, a failover. So every [`Guard`]
//! carries a token that rises with each holder, to be checked by whatever the lock protects, and says when it is lost.
//!
//! A backend author writes the four verbs of [`LockStore`]; [`Kept`] adds waiting, renewal and the guard once.

mod guard;
mod kept;
pub mod memory;

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

pub use guard::Guard;
pub use kept::Kept;

/// Mutual exclusion by name.
#[async_trait]
pub trait Lock: Send + Sync + 'static {
    /// Waits at most `wait` for the lock, then answers `Timeout` (`Safe`: it is not held). The holder keeps it while it
    /// lives; after its death others get it within `ttl` (10 ms or more, else `Config`). No order among those who wait.
    /// Cancel safe: a lock that was taken for a dropped future is released.
    async fn acquire(&self, name: &str, ttl: Duration, wait: Duration) -> Result<Guard>;

    /// Takes the lock if it is free, else answers `None` without waiting.
    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Option<Guard>>;
}

/// One attempt to hold a lock: random, so that no two are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder(pub u128);

/// What taking a lock led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Ours {
        /// Higher than every token given for this name before.
        token: u64,
    },
    /// Somebody else has it.
    Held,
}

/// What renewing a lock led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It is ours for another `ttl`.
    Ours,
    /// It is not ours any more.
    Lost,
}

/// What a backend author writes. Each verb is one atomic step at the server, decides by the holder and not by the
/// connection, and answers or fails within a few seconds.
#[async_trait]
pub trait LockStore: Send + Sync + 'static {
    /// Takes the lock for `ttl` if nobody has it. A repeated call of the same holder is `Ours` with the same token.
    async fn take(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Taken>;

    /// Holds the lock for another `ttl` from now, only if `holder` still has it.
    async fn renew(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Renewed>;

    /// Gives the lock up if `holder` has it; otherwise does nothing.
    async fn release(&self, name: &str, holder: Holder) -> Result<()>;

    /// Returns when the lock may have become free, at the latest after `most`. It may return early for no reason.
    async fn freed(&self, name: &str, most: Duration) {
        let _ = name;
        tokio::time::sleep(most.min(Duration::from_millis(rand::random_range(20..60)))).await;
    }
}
