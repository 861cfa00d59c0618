//! An event bus inside one process.
//!
//! Each topic keeps its last 1,024 events (at most 1 MiB of them): a subscriber is a place in that log, so a slow one
//! costs nothing and learns by a gap how far it fell behind. All topics together keep about 64 MiB.

mod durable;
mod fanout;
mod group;
mod topic;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;

use self::topic::Topic;
use super::{Bus, Capability, Confirm, Level, Options, Receipt, Source};
use crate::{
    error::{Error, Kind, Result},
    sync::locked,
};

/// The event bus of one process.
pub type Memory = Bus<Broker>;

impl Default for Memory {
    fn default() -> Self {
        Bus::new(Broker::default())
    }
}

/// Topics that are kept though nobody subscribes to them.
const IDLE_TOPICS: usize = 4096;
/// Bytes kept over all topics before idle ones go.
const TOTAL: usize = 64 * 1024 * 1024;

/// Topics of one process, and the faults that can be played on them. Subscriptions end when it is dropped.
#[derive(Default)]
pub struct Broker {
    topics: Mutex<HashMap<Arc<str>, Arc<Topic>>>,
    bytes: Arc<AtomicUsize>,
    down: AtomicBool,
    cut: AtomicBool,
}

impl Broker {
    /// The broker is gone: from now on publishing and subscribing answer `BusDown`.
    pub fn down(&self) {
        self.down.store(true, Ordering::Release);
    }

    /// Subscribers are cut off: what is published meanwhile passes by those that are not durable.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    /// Ends [`Broker::down`] and [`Broker::cut`]: every subscriber that is not durable gets a `Reconnect` gap.
    pub fn up(&self) {
        self.down.store(false, Ordering::Release);
        self.cut.store(false, Ordering::Release);
        for topic in locked(&self.topics).values() {
            topic.reconnect();
        }
    }

    /// The next `count` events of `topic` pass by subscribers that are not durable, and nothing tells them.
    pub fn lose(&self, topic: &str, count: u64) {
        self.topic(topic).lose(count);
    }

    /// Sends bytes as another program could: without a valid envelope, say.
    pub fn inject(&self, topic: &str, body: Bytes) {
        self.topic(topic).append(Bytes::new(), body, false);
    }

    fn check_up(&self) -> Result<()> {
        if self.down.load(Ordering::Acquire) {
            return Err(Error::new(Kind::BusDown, "the event bus is down"));
        }
        Ok(())
    }

    fn topic(&self, name: &str) -> Arc<Topic> {
        let mut topics = locked(&self.topics);
        if let Some(topic) = topics.get(name) {
            return topic.clone();
        }
        if topics.len() >= IDLE_TOPICS {
            forget_idle(&mut topics);
        }
        topics.entry(name.into()).or_insert_with(|| Arc::new(Topic::new(self.bytes.clone()))).clone()
    }
}

/// Forgets the longest unused eighth of the topics that nobody subscribes to; says whether there were any. Many at once,
/// so that a program with more topics than are kept does not look through all of them at every new one.
fn forget_idle(topics: &mut HashMap<Arc<str>, Arc<Topic>>) -> bool {
    let idle = topics.iter().filter(|(_, t)| Arc::strong_count(t) == 1 && !t.has_durable());
    let mut idle: Vec<_> = idle.map(|(name, t)| (t.last_used(), name.clone())).collect();
    idle.sort_unstable();
    let count = idle.len().div_ceil(8);
    idle.iter().take(count).for_each(|(_, name)| drop(topics.remove(name)));
    count > 0
}

#[async_trait]
impl super::Broker for Broker {
    fn capability(&self) -> Capability {
        Capability { group: true, group_order: true, durable: true, replay: true, receipt: Level::Stored }
    }

    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm> {
        self.check_up()?;
        let topic = self.topic(topic);
        let position = topic.append(key, body, self.cut.load(Ordering::Acquire));
        drop(topic);
        while self.bytes.load(Ordering::Relaxed) > TOTAL && forget_idle(&mut locked(&self.topics)) {}
        Ok(Box::pin(std::future::ready(Ok(Receipt::Stored { position }))))
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        self.check_up()?;
        let topic = self.topic(topic);
        Ok(match options {
            Options { durable: Some(name), from, .. } => Box::new(durable::Member::join(topic, name.clone(), from)),
            Options { group: Some(name), from, .. } => Box::new(group::Member::join(topic, name.clone(), from)),
            Options { from, .. } => Box::new(fanout::Reader::open(topic, from)),
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for topic in locked(&self.topics).values() {
            topic.close();
        }
    }
}
