//! Kafka: `kafka://a:9092,b:9092?partitions=8&replicas=3`.
//!
//! All hosts are brokers of one cluster, of which any may name the others. This build speaks to plain listeners: no TLS,
//! no SASL. To build it takes a C compiler and `make`, for librdkafka.
//!
//! | key | default | what it means |
//! |---|---|---|
//! | `prefix` | `due.` | before every topic's name (1 to 32 letters, digits, `.`, `-`) |
//! | `create` | `on` | make a topic that is missing; `off`: the cluster's administrator does |
//! | `partitions` | `4` | of a topic that is made (1 to 1000) |
//! | `replicas` | `1` | of a topic that is made (1 to 9); 3 keeps events through the loss of a broker |
//! | `name` | `due` | how brokers list the client |
//! | `timeout` | `5s` | for one answer, and for the delivery of an event (1s to 1h, as all spans here) |
//! | `refresh` | `10s` | how often a plain subscription looks for new partitions and a shortened log |
//! | `session` | `10s` | a member of a group that is silent for so long is out of it; brokers set limits (6s to 30m) |
//! | `ack-wait` | `30s` | a durable event comes again after so long without an acknowledgement |
//! | `queue` | `1024` | events that wait for one subscriber (1 to 65536) |
//! | `queue-bytes` | `8MiB` | and their bytes, at least 2MiB |
//!
//! A topic's name is the prefix and the topic, `-` written `--`, `_` written `-u` and `:` written `-c` (to Kafka, names that
//! differ in `.` and `_` alone are the same); one that becomes longer than Kafka allows ends in a hash. The key of an event is its partition key, so events of one key keep their order, in a group too.
//! `Stored` means that all in-sync replicas have the event (`acks=all`, idempotent); set `min.insync.replicas` at the
//! brokers, and know that they leave writing to disk to the system. A position is `partition:offset:time`; after it,
//! other partitions go on at that time.
//!
//! A plain subscription reads all partitions from the ends it saw when it was made, and keeps its positions itself: a
//! restart of brokers loses nothing and makes no gap. A [`Trimmed`](due_core::bus::Cause) gap says that a log begins behind
//! the position, or ends before it. Groups and durable names are consumer groups whose start is committed before `subscribe`
//! returns. A group commits blocks of events before it hands them over (a member that crashes loses the rest of a block; one
//! that leaves gives it back); a durable name commits what is acknowledged, and keeps what was acknowledged out of turn
//! beside the offset. Each subscription is a client of its own with connections and threads: share one where you can.

mod ack;
mod broker;
mod client;
mod group;
mod offsets;
mod plain;
mod settings;
mod shelf;
mod topic;

use std::sync::Arc;

use due_core::{
    Result, Url,
    bus::{Bus, EventBus},
};

pub use self::broker::Kafka;

/// Connects to the brokers of `url`; fails if none answers.
pub async fn open(url: &Url) -> Result<Arc<dyn EventBus>> {
    Ok(Arc::new(Bus::new(Kafka::open(url).await?)))
}
