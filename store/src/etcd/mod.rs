//! The locator in etcd (3.4 or newer).
//!
//! `etcd://10.0.0.1:2379,10.0.0.2:2379/game?user=due&password=..`
//!
//! Any host of the cluster may be named; a port that is left out is 2379. The path is the namespace, `due` if it is left
//! out. All of a subject is one JSON value under `/<namespace>/locator/s/<subject>`; a fenced owner has a mark under
//! `/<namespace>/locator/fence/`.
//!
//! | key | default | what |
//! |---|---|---|
//! | `user`, `password` | none | the login; `user:password@` before the hosts does the same |
//!
//! Each operation is one look and one transaction that compares the record and the fences of all owners in it, again
//! when somebody came between; with a look alone where nobody is bound. A read is linearizable. No acknowledged write is
//! lost as long as etcd keeps its data; after a wipe or a restore, epochs rise by the floors of the callers alone.
//!
//! Tombstones and fences are forgotten after 48 h, by leases that many of them share. A record that still has a slot
//! stays: a slot whose owner's fence is forgotten shows again, but that owner has left the registry two days before.
//!
//! The feed is a watch. After every break it goes on from now, behind one gap; it learns of a connection that has gone
//! silent within 9 s.

mod client;
mod feed;
mod locator;
mod record;
mod rules;
mod tombs;

use std::sync::Arc;

use due_core::{Result, Url, locate::Locator};

pub use locator::Bindings;

/// Opens `etcd://`.
pub async fn open(url: Url) -> Result<Arc<dyn Locator>> {
    Ok(Arc::new(Bindings::open(&url).await?))
}
