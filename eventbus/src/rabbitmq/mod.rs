//! RabbitMQ: `amqp://user:password@a:5672,b:5672/vhost?exchange=due`.
//!
//! Without a user it is `guest`; without a path the virtual host is `/`. All hosts are servers of one cluster. This build
//! speaks to plain listeners: no TLS.
//!
//! | key | default | what it means |
//! |---|---|---|
//! | `exchange` | `due` | the topic exchange of all events, made if it is missing (1 to 64 letters, digits, `.`, `_`, `-`) |
//! | `name` | `due` | how the server lists the connection |
//! | `timeout` | `3s` | for one answer of the server (100ms to 1h, as all spans here) |
//! | `connect-timeout` | `3s` | for one attempt to connect |
//! | `heartbeat` | `2s` | whole seconds, 1s to 60s; a server that is silent for two of them is gone |
//! | `queue` | `1024` | messages that wait for one subscriber (1 to 65535) |
//! | `queue-bytes` | `8MiB` | and their bytes |
//! | `prefetch` | `32` | events that a member of a group or of a durable name holds (1 to 65535) |
//! | `idle` | `30s` | how long the server keeps the queue of a group without members |
//!
//! `Accepted` is a publisher confirm: the server has the event in every queue that wants it; in the quorum queues of
//! durable names it is on the disks of a majority then. There is no position to name, so no receipt says `Stored`.
//!
//! A plain subscription is an exclusive queue with a name from the server: it ends with the connection, so a
//! [`Reconnect`](due_core::bus::Cause) gap follows each new one, and the numbers of publishers tell how many are missing.
//! A group is one queue shared by its members; the server deals to whoever is free, so the order of a key is not kept.
//! An event is acknowledged before it is handed over; if the connection breaks in that instant, another member may get
//! it too. A durable name is a quorum queue; an event is acknowledged by its subscriber, and what it has not acknowledged
//! when it leaves comes again. The server bounds neither durable queues nor their age: set a policy there.
//!
//! The server keeps at most 100,000 events for a queue that is not durable; over it the oldest go. A plain subscription
//! learns that by the numbers of publishers; a group does not, so let its members keep up.
//!
//! At most 64 MiB of events wait for their confirms, 4,096 if they are small: then publishes wait `timeout` for room and
//! answer `Full`. That happens when the server has a memory or disk alarm, or a quorum queue has no majority.
//! (RabbitMQ 3.10 that is killed within half a second after it made a durable name's queue comes back with a queue that
//! never has a leader: delete it.)

mod broker;
mod link;
mod settings;
mod source;
mod subscribe;

use std::sync::Arc;

use due_core::{
    Result, Url,
    bus::{Bus, EventBus},
};

pub use self::broker::RabbitMq;

/// Connects to a server of `url`; fails if none answers.
pub async fn open(url: &Url) -> Result<Arc<dyn EventBus>> {
    Ok(Arc::new(Bus::new(RabbitMq::open(url).await?)))
}
