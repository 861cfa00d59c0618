//! Locks inside one process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Guard, Holder, Kept, Lock, LockStore, Renewed, Taken};
use crate::{
    error::{Error, Kind, Result},
    sync::locked,
};

/// Locks of one process; clones are the same locks.
#[derive(Clone)]
pub struct Memory {
    kept: Arc<Kept>,
    table: Arc<Table>,
}

impl Default for Memory {
    fn default() -> Self {
        let table = Arc::new(Table::default());
        Self { kept: Arc::new(Kept::new(Store(table.clone()))), table }
    }
}

impl Memory {
    /// From now on every verb fails with `Unavailable`, as if the server were gone; `false` ends that.
    pub fn set_down(&self, down: bool) {
        self.table.down.store(down, Ordering::Release);
    }

    /// Forgets who holds what, as a wiped server does. Tokens go on rising.
    pub fn wipe(&self) {
        locked(&self.table.held).clear();
        self.table.freed.notify_waiters();
    }
}

#[async_trait]
impl Lock for Memory {
    async fn acquire(&self, name: &str, ttl: Duration, wait: Duration) -> Result<Guard> {
        self.kept.acquire(name, ttl, wait).await
    }

    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Option<Guard>> {
        self.kept.try_acquire(name, ttl).await
    }
}

#[derive(Default)]
struct Table {
    held: Mutex<HashMap<String, Held>>,
    last_token: Mutex<u64>,
    freed: Notify,
    down: AtomicBool,
}

struct Held {
    holder: Holder,
    token: u64,
    until: Instant,
}

struct Store(Arc<Table>);

impl Store {
    fn up(&self) -> Result<()> {
        if self.0.down.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Unavailable, "the lock server is down"));
        }
        Ok(())
    }
}

#[async_trait]
impl LockStore for Store {
    async fn take(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Taken> {
        self.up()?;
        let now = Instant::now();
        let mut held = locked(&self.0.held);
        match held.get(name) {
            Some(h) if h.holder == holder && now < h.until => return Ok(Taken::Ours { token: h.token }),
            Some(h) if now < h.until => return Ok(Taken::Held),
            _ => {}
        }
        let mut last = locked(&self.0.last_token);
        *last += 1;
        held.insert(name.to_owned(), Held { holder, token: *last, until: now + ttl });
        Ok(Taken::Ours { token: *last })
    }

    async fn renew(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Renewed> {
        self.up()?;
        let now = Instant::now();
        match locked(&self.0.held).get_mut(name) {
            Some(h) if h.holder == holder && now < h.until => {
                h.until = now + ttl;
                Ok(Renewed::Ours)
            }
            _ => Ok(Renewed::Lost),
        }
    }

    async fn release(&self, name: &str, holder: Holder) -> Result<()> {
        self.up()?;
        let mut held = locked(&self.0.held);
        if held.get(name).is_some_and(|h| h.holder == holder) {
            held.remove(name);
            self.0.freed.notify_waiters();
        }
        Ok(())
    }

    async fn freed(&self, name: &str, most: Duration) {
        let freed = self.0.freed.notified();
        let expires = match locked(&self.0.held).get(name) {
            Some(h) => h.until.saturating_duration_since(Instant::now()),
            None => return,
        };
        // An elapsed wait is as good as a hint: the caller looks again.
        let _ = timeout(most.min(expires), freed).await;
    }
}
