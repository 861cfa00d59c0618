//! Who should hear: events by topic, to every subscriber, to one of a group, or kept until they are handled.
//!
//! A bus may lose events; it never does so silently where that can be known. Each event carries its publisher's
//! incarnation and a number per topic, so a subscriber that sees a jump is told how many are missing, whatever the
//! broker says.
//!
//! A backend author writes [`Broker`] and [`Source`]; [`Bus`] adds envelope, numbers, gap detection and the refusal of
//! options that the broker lacks.

mod envelope;
pub mod memory;
mod numbered;
mod sequence;
mod subscription;

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use serde::{Deserialize, Serialize};

use crate::error::Result;

pub use numbered::Bus;
pub use subscription::{Ack, Acknowledge, Delivery, Event, Gap, Subscription};

/// The event bus.
///
/// Topics are 1 to 200 bytes of letters, digits, `.`, `_`, `-`, `:`; others are `BadRequest`. A payload is at most 1 MiB,
/// else `TooLarge`.
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// What this bus can do.
    fn capability(&self) -> Capability;

    /// Publishes an event. Events of one publisher with one key arrive in the order of these calls (of their first poll);
    /// without a key the publisher is the key. The receipt says how far it came.
    ///
    /// Errors: `BusDown` and `Full` (`Safe`: it was not handed over), `Timeout` (`Unknown`: it may arrive). A dropped
    /// future may have published.
    async fn publish(&self, topic: &str, key: Option<Bytes>, payload: Bytes) -> Result<Receipt>;

    /// Subscribes: events published after this returned are delivered, or reported as lost. At most once and to every
    /// subscriber, unless [`Options`] say otherwise. An option that the bus lacks is `Unsupported`. Comes back by itself
    /// when the bus was away. Cancel safe.
    async fn subscribe(&self, topic: &str, options: Options) -> Result<Subscription>;

    /// Tells subscribers of `topic` the number of this publisher's last event, so that a lost last one is noticed. Never
    /// delivered. Does nothing if this publisher has published nothing there.
    async fn beacon(&self, topic: &str) -> Result<()>;
}

/// What a bus can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// [`Options::group`].
    pub group: bool,
    /// Members of a group keep the order of a key while nobody joins or leaves. A broker that deals each event to whoever
    /// is free cannot promise it.
    pub group_order: bool,
    /// [`Options::durable`].
    pub durable: bool,
    /// [`Options::from`] other than [`Begin::Now`].
    pub replay: bool,
    /// The best receipt.
    pub receipt: Level,
}

/// How far a publish is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Handed to a connection.
    Sent,
    /// The broker answered.
    Accepted,
    /// The broker keeps it, as safely as it keeps anything.
    Stored,
}

/// The answer to a publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Receipt {
    /// Handed to a connection; it may still be lost.
    Sent,
    /// The broker answered; it may have had nobody to give it to.
    Accepted,
    /// The broker keeps it here.
    Stored {
        /// Where.
        position: Position,
    },
}

impl Receipt {
    /// How far it came.
    pub fn level(&self) -> Level {
        match self {
            Receipt::Sent => Level::Sent,
            Receipt::Accepted => Level::Accepted,
            Receipt::Stored { .. } => Level::Stored,
        }
    }
}

/// Where an event stands in its topic: the broker's own notation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position(pub Arc<str>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How to subscribe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// One member of the group gets each event. Order per key only where [`Capability::group_order`] says so, and only
    /// while nobody joins or leaves.
    pub group: Option<Arc<str>>,
    /// The broker keeps the position under this name: at least once, each event must be acknowledged
    /// ([`Event::ack`]), what is not comes again and maybe out of order. Subscribers of one name share the events. Only
    /// the first subscriber's `from` counts. A group beside it is refused: the name is the group.
    pub durable: Option<Arc<str>>,
    /// Where to begin.
    pub from: Begin,
}

impl Options {
    /// With a group.
    #[must_use]
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(name.into());
        self
    }

    /// Durable.
    #[must_use]
    pub fn durable(mut self, name: &str) -> Self {
        self.durable = Some(name.into());
        self
    }

    /// From another place than now.
    #[must_use]
    pub fn from(mut self, from: Begin) -> Self {
        self.from = from;
        self
    }
}

/// Where a subscription begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begin {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the first event that is kept.
    First,
    /// Behind the event at this position.
    After(Position),
    /// With the first event at or after this time by the broker's clock.
    Time(SystemTime),
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The connection to the broker was made again.
    Reconnect,
    /// This subscriber was too slow.
    Overflow,
    /// The broker no longer keeps what came next.
    Trimmed,
    /// The numbers of a publisher jumped.
    Sequence,
}

/// What a backend author writes: moving opaque bytes.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// What this broker can do.
    fn capability(&self) -> Capability;

    /// Hands bytes to the broker. Returns as soon as they cannot be overtaken by a later call for this topic, with the
    /// future of the receipt. An error, other than `Timeout`, means that they were not handed over. Events of one `key`
    /// keep their order.
    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm>;

    /// Begins to receive; returns when nothing that is published from now on can be missed unnoticed. Options were
    /// checked against the capability.
    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>>;
}

/// The receipt to come.
pub type Confirm = Pin<Box<dyn Future<Output = Result<Receipt>> + Send>>;

/// One subscription at a broker.
#[async_trait]
pub trait Source: Send {
    /// The next thing in stream order; `None` when the bus is closed. Cancel safe. Reconnects by itself.
    async fn next(&mut self) -> Option<Raw>;

    /// Do events of one publisher come in the order in which they were published, whatever their keys? Where they do not,
    /// because keys lie in partitions, a jump in the numbers shows no loss: such a source must notice losses by itself.
    fn in_order(&self) -> bool {
        true
    }
}

/// What a broker delivers.
pub enum Raw {
    /// Bytes that were sent.
    Message {
        /// The bytes.
        body: Bytes,
        /// Where they stand, if the broker says.
        position: Option<Position>,
        /// How to acknowledge them, for durable subscriptions.
        ack: Ack,
    },
    /// Something is missing here, and how much where it is known.
    Gap(Gap),
}

#[async_trait]
impl<B: Broker> Broker for Arc<B> {
    fn capability(&self) -> Capability {
        (**self).capability()
    }

    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm> {
        (**self).send(topic, key, body).await
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        (**self).open(topic, options).await
    }
}
