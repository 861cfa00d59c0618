//! The leases by which tombstones and fences are forgotten. Many share one: etcd is slow with very many leases, and
//! stands still while it ends one with very many keys.

use std::time::Duration;

use due_core::Result;
use tokio::{sync::Mutex, time::Instant};

use super::client::{Effect, Etcd};

/// How long a tombstone stays at least.
const KEPT: Duration = Duration::from_secs(48 * 3600);

/// How long one lease is given to new keys; they stay so much longer.
const SHARED: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct Tombs {
    current: Mutex<Option<(i64, Instant)>>,
}

impl Tombs {
    /// A lease that lasts 48 h and up to ten minutes more.
    pub(super) async fn lease(&self, etcd: &Etcd) -> Result<i64> {
        let mut current = self.current.lock().await;
        if let Some((lease, granted)) = *current
            && granted.elapsed() < SHARED
        {
            return Ok(lease);
        }
        let seconds = i64::try_from((KEPT + SHARED).as_secs()).unwrap_or(i64::MAX);
        let asked = Instant::now();
        let grant = |mut client: etcd_client::Client| async move { client.lease_grant(seconds, None).await };
        let lease = etcd.ask(Effect::Reads, grant).await?.id();
        *current = Some((lease, asked));
        Ok(lease)
    }

    /// The server does not know this lease any more: it was wiped.
    pub(super) async fn lost(&self, lease: i64) {
        let mut current = self.current.lock().await;
        if current.is_some_and(|(id, _)| id == lease) {
            *current = None;
        }
    }
}
