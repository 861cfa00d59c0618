//! A lock that is held.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{Holder, LockStore};
use crate::error::Result;

/// A lock that is held, renewed in the background until it is dropped or lost. Dropping it releases it soon;
/// [`Guard::release`] waits for that.
pub struct Guard {
    claim: Claim,
    token: u64,
    until: watch::Receiver<Term>,
    renewal: AbortHandle,
}

/// How long a lock is ours for sure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term {
    Until(Instant),
    Lost,
}

impl Guard {
    pub(super) fn new(claim: Claim, token: u64, until: watch::Receiver<Term>, renewal: AbortHandle) -> Self {
        Self { claim, token, until, renewal }
    }

    /// The fencing token: rises with every holder of this name. Give it to whatever the lock protects, which refuses
    /// lower tokens than the highest it has seen.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Is the lock certainly still ours? It counts from when the last renewal that succeeded was sent.
    pub fn is_held(&self) -> bool {
        match *self.until.borrow() {
            Term::Until(end) => Instant::now() < end,
            Term::Lost => false,
        }
    }

    /// Returns when the lock is lost: another holder has it, or no renewal succeeded for its time to live. Cancel safe.
    pub async fn lost(&self) {
        let mut until = self.until.clone();
        loop {
            let Term::Until(end) = *until.borrow_and_update() else { return };
            tokio::select! {
                changed = until.changed() => if changed.is_err() { return sleep_until(end).await },
                () = sleep_until(end) => return,
            }
        }
    }

    /// Gives the lock up and waits for the answer. After an error it goes with its time to live.
    pub async fn release(mut self) -> Result<()> {
        self.renewal.abort();
        self.claim.release().await
    }

    /// Stops renewing without giving the lock up, as the death of this process would: others get it when its time to
    /// live is over.
    pub fn abandon(mut self) {
        self.claim.released = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("name", &self.claim.name).field("token", &self.token).finish_non_exhaustive()
    }
}

/// A lock that may be ours: released in the background when dropped.
pub(super) struct Claim {
    pub(super) store: Arc<dyn LockStore>,
    pub(super) name: Arc<str>,
    pub(super) holder: Holder,
    pub(super) ttl: Duration,
    pub(super) released: bool,
}

impl Claim {
    async fn release(&mut self) -> Result<()> {
        let answer = self.store.release(&self.name, self.holder).await;
        self.released = true;
        answer
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // Without a runtime the lock goes with its time to live.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, name, holder) = (self.store.clone(), self.name.clone(), self.holder);
            runtime.spawn(async move { store.release(&name, holder).await });
        }
    }
}
