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
//! | `create` | `on` | jetstream: make the stream `<prefix>-kept` if it is missing |
//! | `storage` | `file` | jetstream: `file` or `memory` of a stream that is made |
//! | `replicas` | `1` | jetstream: servers that keep it (1 to 5) |
//! | `max-age` | `1h` | jetstream: older events go |
//! | `max-bytes` | `1GiB` | jetstream: beyond it the oldest go |
//! | `ack-wait` | `30s` | jetstream: a durable event comes again after so long without an acknowledgement |
//! | `idle` | `30s` | jetstream: how long the server keeps the place of a group without members |
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
//!
//! # JetStream
//!
//! The server keeps events in one stream for all topics of a prefix; it must be 2.10 or newer. `Stored` means that the
//! stream has the event at this sequence. How safe that is, is the server's setting: with `storage=file` it is in the
//! system's file cache and reaches the disk within `sync_interval` (2 minutes by default; `always` syncs each one); with
//! `replicas=3` it is on a majority of servers.
//!
//! A plain subscription is a place in the stream, kept here: a broken connection or a restarted server loses nothing and
//! makes no gap; a slow subscriber falls behind, not the server. A `Trimmed` gap says that the stream was trimmed beyond the
//! place (it may have been other topics' events), was made anew, or is shorter than it was. A durable name is a consumer
//! with acknowledgements, each confirmed by the server; what a subscriber held when it left comes to the next one at
//! once. A group acknowledges before it hands over (one round trip for each event): at most once. Neither keeps the order
//! of a key over several members. The position of an event is its sequence.

mod connection;
mod core;
mod echo;
mod jetstream;
mod settings;
mod subject;

use std::sync::Arc;

use due_core::{
    Result, Url,
    bus::{Bus, EventBus},
};

pub use self::{core::Core, jetstream::JetStream};

use self::settings::{Mode, Settings};

/// Connects to the servers of `url`; fails if none answers.
pub async fn open(url: &Url) -> Result<Arc<dyn EventBus>> {
    let settings = Settings::read(url)?;
    Ok(match settings.mode {
        Mode::Core => Arc::new(Bus::new(Core::open(url, &settings).await?)),
        Mode::Jetstream => Arc::new(Bus::new(JetStream::open(url, &settings).await?)),
    })
}
