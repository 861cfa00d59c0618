//! Redis 6.2 or newer, channels or streams: `redis://user:password@a:6379,b:6379/0?mode=stream`.
//!
//! Several hosts are tried in their order; the first that says it is the primary is used. A bus has one connection,
//! whatever the number of its subscriptions.
//!
//! | key | default | what it means |
//! |---|---|---|
//! | `mode` | `pubsub` | `pubsub`: channels; `stream`: streams, which keep events |
//! | `ns` | `due` | what separates this application from others on the database: 1 to 64 of `A-Za-z0-9._-` |
//! | `timeout` | `2s` | for one answer of the server, 50ms to 60s |
//! | `queue` | `1024` | pubsub: messages that wait for one subscriber, 1 to 65536 |
//! | `queue-bytes` | `8MiB` | and their bytes |
//! | `max-len` | `10000` | stream: events kept of a topic, about; 1 to 100000000 |
//! | `keep` | `7d` | stream: a topic to which nothing is published for so long is forgotten; `off`: never |
//! | `ack-wait` | `30s` | stream: an event that is not acknowledged for so long comes again, 1s to 24h |
//!
//! Publishes wait in one queue of at most 4,096 and 32 MiB (`Full` beyond it) and go in batches, in the order of the
//! calls. While there is no connection they are `BusDown`; what was on its way when it broke is `Timeout`.
//!
//! # Channels
//!
//! At most once, to whoever listens. [`Receipt::Accepted`](due_core::bus::Receipt) means that the server has handed it on,
//! to nobody maybe. A subscriber gets a [`Reconnect`](due_core::bus::Cause) gap for each connection made again and an
//! `Overflow` gap when its queue was full; how many are missing is told by the numbers of their publishers.
//!
//! # Streams
//!
//! A topic is a stream of which the last events are kept, in the memory of one server:
//! [`Receipt::Stored`](due_core::bus::Receipt) is worth what the server's `appendfsync` and replicas are. Each entry says
//! how many events the topic has had, so that what was trimmed before a subscriber came to it is counted (`Trimmed`); the
//! same gap, without a number, says that the stream is another one: wiped, restored, forgotten. A slow subscriber costs
//! nothing but what it misses. A broken connection loses nothing and is not told.
//!
//! A group or a durable name is a consumer group: the server deals each event to whoever asks, so the order of a key is
//! not kept. A group forgets its place with its last member, a durable name keeps it for as long as the stream is there.
//! What a member of a durable name has not acknowledged is given to others when it leaves, or after `ack-wait`; it has at
//! most 256 such events. What a member of a group was just being given when its connection broke is lost, and told by a
//! `Reconnect` gap.

mod fault;
mod hub;
mod line;
mod publish;
mod pubsub;
mod settings;
mod stream;
mod target;

use std::sync::Arc;

use due_core::{
    Result, Url,
    bus::{Bus, EventBus},
};

pub use self::{pubsub::PubSub, stream::Stream};
use self::{
    settings::{Mode, Settings},
    target::Target,
};

/// Connects to the primary among the hosts of `url`; fails if there is none now.
pub async fn open(url: &Url) -> Result<Arc<dyn EventBus>> {
    let (settings, target) = (Settings::read(url)?, Target::new(url)?);
    match settings.mode {
        Mode::Pubsub => Ok(Arc::new(Bus::new(PubSub::open(target, settings).await?))),
        Mode::Stream => Ok(Arc::new(Bus::new(Stream::open(target, settings).await?))),
    }
}
