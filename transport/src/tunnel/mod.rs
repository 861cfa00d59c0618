//! The bytes of a link inside calls of another protocol.
//!
//! A link belongs to a shard and is polled there; calls belong to tasks on the service runtime. Between the two lies a
//! pair of bounded pipes: the shard has the [`Tunnel`], which reads and writes like a socket, and the task has the
//! [`Reader`] and [`Writer`] of the other ends. Whoever is full waits, and a flush wakes the task at most once.

#[cfg(test)]
pub(crate) mod checks;
mod gate;
mod pipe;

use std::sync::Arc;

pub(crate) use gate::{Gate, Gated, Pass};
pub(crate) use pipe::{Reader, Tunnel, Writer, tunnel};

use crate::peer::{Door, Socket};

/// Most bytes in one call.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Takes the acceptor's side of a new tunnel, and the passes of the connections that carry it. Returns at once.
pub(crate) type Arrived = Arc<dyn Fn(Tunnel, Vec<Arc<Pass>>) + Send + Sync>;

/// Lets the tunnels that arrive greet at `door`.
pub(crate) fn arrivals(door: Arc<Door>) -> Arrived {
    Arc::new(move |tunnel, passes| {
        let proven = move || passes.iter().for_each(|pass| pass.proven());
        tokio::spawn(door.clone().greet(Socket::Tunnel(tunnel), proven));
    })
}
