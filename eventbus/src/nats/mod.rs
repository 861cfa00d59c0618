//! NATS, plain or with JetStream: `nats://user:password@a:4222,b:4222?mode=core`.
//!
//! A user without a password is a token. All hosts are servers of one cluster.
//!
//! | key | default | what it means |
//! |---|---|---|
//! | `mode` | `core` | `core`: plain subjects; `jetstream`: a stream that keeps events |
//! | `prefix` | `due` | 1 to 32 letters, digits, `_`, `-`; topics stand under `<prefix>.bus.` (core) or `<prefix>.kept.` |
//! | `name` | `due` | how the server lists the connection |
//! | `tls` | `off` | TLS is a must |
//! | `timeout` | `3s` | for one answer of the server (100ms to 1h, as all spans here) |
//! | `connect-timeout` | `3s` | for one attempt to connect |
//! | `ping` | `2s` | between pings; a server that answers none of two is gone |
//! | `receipt` | `accepted` | core: `accepted` waits for the server, `sent` does not |
//! | `queue` | `1024` | messages that wait for one subscriber (1 to 65536) |
//! | `queue-bytes` | `8MiB` | and their bytes |
//!
//! # Core
//!
//! At most once. [`Receipt::Accepted`](due_core::bus::Receipt) means that the server has handled the publish, whoever
//! listens. Publishing while not connected is `BusDown`: async-nats would silently keep up to 2,048 messages. A
//! subscriber gets a [`Reconnect`](due_core::bus::Cause) gap for each connection made again and an `Overflow` gap when its
//! queue was full; how many are missing is told by the numbers of their publishers (a `Sequence` gap). Groups are queue
//! groups: the server deals each event to any member, so the order of a key is not kept (`group_order` is not claimed).
//! There is no durable and no replaying subscription. A payload and its key must fit into the server's `max_payload`
//! (1 MiB by default) with 44 bytes around them.

mod connection;
mod core;
mod echo;
mod settings;
mod subject;

use std::sync::Arc;

use due_core::{
    Result, Url,
    bus::{Bus, EventBus},
};

pub use self::core::Core;
use self::settings::Settings;

/// Connects to the servers of `url`; fails if none answers.
pub async fn open(url: &Url) -> Result<Arc<dyn EventBus>> {
    let settings = Settings::read(url)?;
    Ok(Arc::new(Bus::new(Core::open(url, &settings).await?)))
}
