//! Waiting for a lock and keeping it, over any [`LockStore`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Guard, Holder, Lock, LockStore, Renewed, Taken,
    guard::{Claim, Term},
};
use crate::error::{Error, Kind, Result, Retry};

/// The shortest time to live that renewal can keep up with.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest wait for a hint that a lock is free before it is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Waits longer than this are without end for a clock.
const LONGEST: Duration = Duration::from_secs(3600 * 24 * 365);

/// Gives [`Lock`] to every [`LockStore`].
pub struct Kept {
    store: Arc<dyn LockStore>,
}

impl Kept {
    /// Locks kept in `store`.
    pub fn new(store: impl LockStore) -> Self {
        Self { store: Arc::new(store) }
    }

    async fn take(&self, claim: Claim) -> Result<Result<Guard, Claim>> {
        let sent = Instant::now();
        match claim.store.take(&claim.name, claim.holder, claim.ttl).await? {
            Taken::Ours { token } => Ok(Ok(keep(claim, token, sent))),
            Taken::Held => Ok(Err(claim)),
        }
    }

    fn claim(&self, name: &str, ttl: Duration) -> Result<Claim> {
        if ttl < SHORTEST {
            return Err(Error::config(format!("a lock's time to live of {ttl:?}: give {SHORTEST:?} or more")));
        }
        let holder = Holder(rand::random());
        Ok(Claim { store: self.store.clone(), name: name.into(), holder, ttl: ttl.min(LONGEST), released: false })
    }
}

#[async_trait]
impl Lock for Kept {
    async fn acquire(&self, name: &str, ttl: Duration, wait: Duration) -> Result<Guard> {
        let end = Instant::now() + wait.min(LONGEST);
        let late =
            || Error::new(Kind::Timeout, "somebody else holds the lock").retry_as(Retry::Safe).context("name", name);
        let mut claim = self.claim(name, ttl)?;
        loop {
            claim = match self.take(claim).await? {
                Ok(guard) => return Ok(guard),
                Err(claim) => claim,
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                claim.released = true;
                return Err(late());
            }
            self.store.freed(name, left.min(LOOK_AGAIN)).await;
        }
    }

    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Option<Guard>> {
        match self.take(self.claim(name, ttl)?).await? {
            Ok(guard) => Ok(Some(guard)),
            Err(mut claim) => {
                claim.released = true;
                Ok(None)
            }
        }
    }
}

/// Starts the renewal of a lock that was taken by a request sent at `sent`.
fn keep(claim: Claim, token: u64, sent: Instant) -> Guard {
    let (term, until) = watch::channel(Term::Until(sent + claim.ttl));
    let (store, name, holder, ttl) = (claim.store.clone(), claim.name.clone(), claim.holder, claim.ttl);
    let renewal = tokio::spawn(async move {
        let mut end = sent + ttl;
        while let Some(renewed) = renew(&*store, &name, holder, ttl, end).await {
            end = renewed;
            term.send_replace(Term::Until(end));
        }
        tracing::warn!(name = &*name, token, "a lock was lost while it was held");
        term.send_replace(Term::Lost);
    });
    Guard::new(claim, token, until, renewal.abort_handle())
}

/// Renews once, in spite of errors, before `end`; the new end, or `None` when the lock is lost.
async fn renew(store: &dyn LockStore, name: &str, holder: Holder, ttl: Duration, end: Instant) -> Option<Instant> {
    sleep(ttl / 3).await;
    loop {
        let sent = Instant::now();
        match timeout_at(end, store.renew(name, holder, ttl)).await {
            Ok(Ok(Renewed::Ours)) => return Some(sent + ttl),
            Ok(Ok(Renewed::Lost)) | Err(_) => return None,
            Ok(Err(error)) => tracing::debug!(name, %error, "a lock was not renewed; trying again"),
        }
        let pause = (ttl / 20).min(end.saturating_duration_since(Instant::now()));
        if pause.is_zero() {
            return None;
        }
        sleep(pause).await;
    }
}
