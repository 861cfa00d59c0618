//! What a subscriber holds.

use std::{collections::VecDeque, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use serde::{Deserialize, Serialize};

use super::{
    Cause, Position, Raw, Source,
    envelope::{Content, Envelope},
    sequence::Sequence,
};
use crate::{error::Result, id::Incarnation};

/// A stream of events. Dropping it unsubscribes.
pub struct Subscription {
    topic: Arc<str>,
    source: Box<dyn Source>,
    /// Only where this subscriber gets every event of a publisher.
    sequence: Option<Sequence>,
    /// An event whose gap comes first.
    ready: VecDeque<Delivery>,
    malformed: u64,
}

/// What comes to a subscriber, in stream order.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// An event.
    Event(Event),
    /// Events are missing here: what the subscriber has built from them must be read anew.
    Gap(Gap),
}

/// Events that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub cause: Cause,
    /// How many, where it is known. The known numbers of all gaps add up to what was lost; an unknown one may be
    /// followed by a `Sequence` gap with its number.
    pub lost: Option<u64>,
}

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    /// The topic.
    pub topic: Arc<str>,
    /// The key it was published with.
    pub key: Option<Bytes>,
    /// The payload.
    pub payload: Bytes,
    /// Which life of which publisher.
    pub publisher: Incarnation,
    /// Rises by one with each event of this publisher on this topic.
    pub number: u64,
    /// The same when an event comes twice.
    pub id: u128,
    /// When it was published, by the publisher's wall clock, in milliseconds.
    pub time: SystemTime,
    /// Where it stands, if the broker says; good for [`super::Begin::After`].
    pub position: Option<Position>,
    pub(super) ack: Ack,
}

impl Event {
    /// Acknowledges the event to a durable subscription: it does not come again. Without one it does nothing.
    pub async fn ack(&self) -> Result<()> {
        self.ack.tell().await
    }
}

/// How an event is acknowledged.
#[derive(Clone, Default)]
pub struct Ack(Option<Arc<dyn Acknowledge>>);

/// Tells a broker that an event is handled.
#[async_trait]
pub trait Acknowledge: Send + Sync + 'static {
    /// Acknowledges once or more often.
    async fn ack(&self) -> Result<()>;
}

impl Ack {
    /// Nothing to tell.
    pub fn none() -> Self {
        Self(None)
    }

    /// Told by `how`.
    pub fn new(how: Arc<dyn Acknowledge>) -> Self {
        Self(Some(how))
    }

    /// Tells the broker, once or more often; does nothing where there is nothing to tell. For brokers that pass events
    /// on for another one.
    pub async fn tell(&self) -> Result<()> {
        match &self.0 {
            Some(how) => how.ack().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ack" } else { "Ack(none)" })
    }
}

impl Subscription {
    pub(super) fn new(topic: Arc<str>, source: Box<dyn Source>, sequence: Option<Sequence>) -> Self {
        Self { topic, source, sequence, ready: VecDeque::new(), malformed: 0 }
    }

    /// The next event or gap; `None` when the bus is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                return Some(delivery);
            }
            match self.source.next().await? {
                Raw::Gap(gap) => return Some(self.gap(gap)),
                Raw::Message { body, position, ack } => match Envelope::decode(body) {
                    Ok(envelope) => self.message(envelope, position, ack),
                    Err(error) => self.refuse(&error, ack).await,
                },
            }
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Messages that were no events of a known format: skipped, and acknowledged where that matters.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    fn gap(&mut self, gap: Gap) -> Delivery {
        if let (Some(sequence), Some(lost)) = (&mut self.sequence, gap.lost) {
            sequence.reported(lost);
        }
        Delivery::Gap(gap)
    }

    fn message(&mut self, envelope: Envelope, position: Option<Position>, ack: Ack) {
        let Envelope { publisher, number, id, time, content } = envelope;
        let beacon = content == Content::Beacon;
        let lost = match &mut self.sequence {
            Some(sequence) if beacon => sequence.beacon(publisher, number),
            Some(sequence) => sequence.event(publisher, number),
            None => 0,
        };
        if lost > 0 {
            self.ready.push_back(Delivery::Gap(Gap { cause: Cause::Sequence, lost: Some(lost) }));
        }
        if let Content::Event { key, payload } = content {
            let topic = self.topic.clone();
            let event = Event { topic, key, payload, publisher, number, id, time, position, ack };
            self.ready.push_back(Delivery::Event(event));
        }
    }

    /// Skips what nobody can read; a durable one would come again for ever.
    async fn refuse(&mut self, error: &crate::Error, ack: Ack) {
        self.malformed += 1;
        tracing::warn!(topic = &*self.topic, %error, "a message on the event bus was skipped");
        if let Some(ack) = ack.0
            && let Err(error) = ack.ack().await
        {
            tracing::debug!(topic = &*self.topic, %error, "a skipped message was not acknowledged");
        }
    }
}
