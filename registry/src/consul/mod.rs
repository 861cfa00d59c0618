//! The registry in consul, as services with a TTL check of the agent on this machine.
//!
//! `consul://127.0.0.1:8500/game?ttl=10s&token=..`
//!
//! One host: the agent that this process registers with, best the one on its own machine; a port that is left out is 8500.
//! The path is the namespace, `due` if it is left out: instances are services named `<namespace>-<kind>`, with the
//! instance in their metadata. Plain HTTP: put nothing but the loopback between a process and its agent.
//!
//! | key | unit | default | what |
//! |---|---|---|---|
//! | `ttl` | 2s to 10m | `10s` | an instance that was not renewed for so long is gone; it is renewed three times in it |
//! | `token` | | none | the ACL token; it needs `service:write` on `<namespace>-*` and reading of services and nodes |
//!
//! # Promises
//!
//! * Unique ids are detected, not enforced: of two processes that take an id at the same moment on two agents both are
//!   listed, the one created last counts, and the other learns at its next renewal that it is superseded.
//! * Lists are linearizable (`?consistent`). Changes are waited for with blocking queries of 3 s, so a wiped server, whose
//!   indexes start anew, is seen after 4 s at most.
//! * A killed instance goes when its lease is over, 3 s later at most. An agent that dies takes its instances with it
//!   when the others notice; one that was stopped calls them gone the moment it wakes, and they renew.
//! * An instance has at most 24 KiB as JSON: it stands in up to 60 pieces of 512 bytes, consul's limits, with a checksum.
//! * Services that nobody renews are removed by consul after a minute.

mod client;
mod meta;
mod store;

use std::sync::Arc;

use due_core::{
    Result, Url,
    registry::{Kept, Registry},
};

pub use store::Store;

/// Opens `consul://`: the [`Store`] under core's [`Kept`].
pub async fn open(url: Url) -> Result<Arc<dyn Registry>> {
    let store = Store::new(&url)?;
    let ttl = store.ttl();
    Ok(Arc::new(Kept::with(store, ttl, None)))
}
