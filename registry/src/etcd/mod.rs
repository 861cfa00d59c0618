//! The registry in etcd (3.4 or newer).
//!
//! `etcd://10.0.0.1:2379,10.0.0.2:2379/game?ttl=10s&user=due&password=..`
//!
//! Any host of the cluster may be named; a port that is left out is 2379. The path is the namespace, `due` if it is left
//! out: an instance stands as JSON under `/<namespace>/registry/<kind>/<id>`.
//!
//! | key | unit | default | what |
//! |---|---|---|---|
//! | `ttl` | whole seconds, 2s to 1h | `10s` | the lease of an instance; it is renewed three times in it |
//! | `user`, `password` | | none | the login; `user:password@` before the hosts does the same |
//!
//! An id has one holder, by a transaction. Lists are linearizable. A killed instance goes when its lease is over and etcd
//! has noticed (up to 2 s), or later if etcd itself was away or has just elected a leader: leases start anew then. What is
//! wiped or restored from a backup is written again by those who live, with the same incarnations.
//!
//! A server that is away when the program starts is no error: registering goes on trying (after 0.2 to 10 s), a watch
//! begins empty and stale. A wrong login or a wrong setting is an error at once.

mod client;
mod list;
mod store;

use std::sync::Arc;

use due_core::{
    Result, Url,
    registry::{Kept, Registry},
};

pub use store::Store;

/// Opens `etcd://`: the [`Store`] under core's [`Kept`].
pub async fn open(url: Url) -> Result<Arc<dyn Registry>> {
    let store = Store::open(&url).await?;
    let ttl = store.ttl();
    Ok(Arc::new(Kept::with(store, ttl, None)))
}
