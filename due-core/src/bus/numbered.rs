//! Envelope, numbers and gap detection over any [`Broker`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Begin, Broker, Capability, EventBus, Options, Receipt, Subscription,
    envelope::{Content, Envelope},
    sequence::Sequence,
};
use crate::{
    error::{Error, Kind, Result},
    id::Incarnation,
    sync::locked,
};

const LARGEST: usize = 1024 * 1024;
const LONGEST_TOPIC: usize = 200;

/// Gives [`EventBus`] to every [`Broker`].
pub struct Bus<B> {
    broker: B,
    key: Bytes,
    last_id: AtomicU64,
    publisher: Mutex<Publisher>,
}

/// Topics whose last number is remembered.
const TOPICS: usize = 64 * 1024;

/// Who publishes, and the last number on each topic. A publisher that has numbered too many topics starts a new life: no
/// number ever comes twice.
struct Publisher {
    incarnation: Incarnation,
    topics: HashMap<Arc<str>, Arc<Numbers>>,
}

struct Numbers {
    publisher: Incarnation,
    /// Held until the broker has the event, or numbers would be out of order.
    last: tokio::sync::Mutex<u64>,
}

impl Publisher {
    fn new() -> Self {
        Self { incarnation: Incarnation::random(), topics: HashMap::new() }
    }

    fn numbers(&mut self, topic: &str) -> Arc<Numbers> {
        if let Some(numbers) = self.topics.get(topic) {
            return numbers.clone();
        }
        if self.topics.len() >= TOPICS {
            *self = Self::new();
        }
        let numbers = Arc::new(Numbers { publisher: self.incarnation, last: tokio::sync::Mutex::new(0) });
        self.topics.insert(topic.into(), numbers.clone());
        numbers
    }
}

impl<B: Broker> Bus<B> {
    /// A bus over `broker`, with a publisher of its own.
    pub fn new(broker: B) -> Self {
        let key = Bytes::copy_from_slice(&rand::random::<[u8; 8]>());
        Self { broker, key, last_id: AtomicU64::new(0), publisher: Mutex::new(Publisher::new()) }
    }

    /// The broker below.
    pub fn broker(&self) -> &B {
        &self.broker
    }

    fn envelope(&self, publisher: Incarnation, number: u64, content: Content) -> Bytes {
        let serial = self.last_id.fetch_add(1, Ordering::Relaxed);
        let id = u128::from(publisher.0) << 64 | u128::from(serial);
        Envelope { publisher, number, id, time: SystemTime::now(), content }.encode()
    }
}

#[async_trait]
impl<B: Broker> EventBus for Bus<B> {
    fn capability(&self) -> Capability {
        self.broker.capability()
    }

    async fn publish(&self, topic: &str, key: Option<Bytes>, payload: Bytes) -> Result<Receipt> {
        check_topic(topic)?;
        check_sizes(key.as_ref(), &payload)?;
        // Without a key the publisher is the key.
        let broker_key = key.clone().unwrap_or_else(|| self.key.clone());
        let numbers = locked(&self.publisher).numbers(topic);
        let mut last = numbers.last.lock().await;
        // Counted first: if this future is dropped in the next line the event may be on its way, and a number must not
        // come twice.
        *last += 1;
        let body = self.envelope(numbers.publisher, *last, Content::Event { key, payload });
        match self.broker.send(topic, broker_key, body).await {
            Ok(confirm) => {
                drop(last);
                confirm.await
            }
            Err(error) => {
                if error.kind() != Kind::Timeout {
                    *last -= 1;
                }
                Err(error)
            }
        }
    }

    async fn subscribe(&self, topic: &str, options: Options) -> Result<Subscription> {
        check_topic(topic)?;
        check_options(&options, self.capability())?;
        let source = self.broker.open(topic, &options).await?;
        let alone = options.group.is_none() && options.durable.is_none() && source.in_order();
        Ok(Subscription::new(topic.into(), source, alone.then(Sequence::default)))
    }

    async fn beacon(&self, topic: &str) -> Result<()> {
        check_topic(topic)?;
        let Some(numbers) = locked(&self.publisher).topics.get(topic).cloned() else { return Ok(()) };
        let last = numbers.last.lock().await;
        if *last == 0 {
            return Ok(());
        }
        let body = self.envelope(numbers.publisher, *last, Content::Beacon);
        let confirm = self.broker.send(topic, self.key.clone(), body).await?;
        drop(last);
        confirm.await.map(drop)
    }
}

fn check_topic(topic: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
    if (1..=LONGEST_TOPIC).contains(&topic.len()) && topic.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::new(Kind::BadRequest, "a topic is 1 to 200 letters, digits, `.`, `_`, `-` or `:`"))
}

fn check_sizes(key: Option<&Bytes>, payload: &Bytes) -> Result<()> {
    let key = key.map_or(0, Bytes::len);
    if key > Envelope::LONGEST_KEY || payload.len() > LARGEST {
        let e = Error::new(Kind::TooLarge, "an event has a key of at most 64 KiB and a payload of at most 1 MiB");
        return Err(e.context("key", key).context("payload", payload.len()));
    }
    Ok(())
}

fn check_options(options: &Options, can: Capability) -> Result<()> {
    let lacks = |what: &str| Err(Error::new(Kind::Unsupported, format!("this event bus has no {what} subscriptions")));
    match options {
        Options { group: Some(_), durable: Some(_), .. } => {
            Err(Error::new(Kind::BadRequest, "a durable name is a group already: give one of the two"))
        }
        Options { group: Some(_), .. } if !can.group => lacks("group"),
        Options { durable: Some(_), .. } if !can.durable => lacks("durable"),
        Options { from, .. } if *from != Begin::Now && !can.replay => lacks("replaying"),
        _ => Ok(()),
    }
}
