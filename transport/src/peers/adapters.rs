//! The contracts as a guest has them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Epoch, Error, Incarnation, Kind, Owner, Result, SessionId,
    bus::{self, Ack, Acknowledge, Begin, Broker, Cause, Confirm, Gap, Level, Options, Raw, Source},
    config::{self, Cas, ConfigSource},
    locate::{self, Attempt, Binding, Claim, Feed, Feeder, Locator, Place, Record, Subject, Taken, Verdict},
    registry::{self, Capability, Listing, Put, Reads, RegistryStore, Renew, UniqueIds},
};

use super::{
    guest::{Guest, Stream},
    wire::{Ask, How, Item, Sent},
};

/// Changes that may wait for the reader of a locator's feed.
const FEED: usize = 4096;

/// The registry's store.
pub(super) struct Names(pub(super) Guest);

#[async_trait]
impl RegistryStore for Names {
    async fn put(&self, key: &str, value: registry::Value, ttl: Duration, expect: registry::Expect) -> Result<Put> {
        self.0.ask(&Ask::Put { key: key.to_owned(), value, ttl_ms: millis(ttl), expect }).await
    }

    async fn renew(&self, key: &str, incarnation: Incarnation, ttl: Duration) -> Result<Renew> {
        self.0.ask(&Ask::Renew { key: key.to_owned(), incarnation, ttl_ms: millis(ttl) }).await
    }

    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        self.0.ask(&Ask::Delete { key: key.to_owned(), incarnation }).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        self.0.ask(&Ask::Names { prefix: prefix.to_owned() }).await
    }

    async fn wait(&self, prefix: &str, cursor: u64) -> Result<()> {
        self.0.ask_long(&Ask::Wait { prefix: prefix.to_owned(), cursor }).await
    }

    fn capability(&self, ttl: Duration) -> Capability {
        Capability {
            unique_ids: UniqueIds::Enforced,
            list: Reads::Linearizable,
            expiry: (Duration::ZERO, ttl),
            max_metadata: 1 << 20,
        }
    }
}

fn millis(ttl: Duration) -> u64 {
    ttl.as_millis().try_into().unwrap_or(u64::MAX)
}

/// The locator.
pub(super) struct Places(pub(super) Guest);

impl Places {
    async fn claim<T: serde::de::DeserializeOwned>(&self, of: (Subject, Place), how: How, claim: Claim) -> Result<T> {
        self.0.ask(&Ask::Claim { subject: of.0, place: of.1, how, claim }).await
    }
}

#[async_trait]
impl Locator for Places {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        self.claim((subject, place), How::Take, claim).await
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.claim((subject, place), How::IfAbsent, claim).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.claim((subject, place), How::IfEpoch(seen), claim).await
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        self.0.ask(&Ask::Reassert(binding)).await
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        self.0.ask(&Ask::Unbind { subject, place, session, epoch }).await
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        self.0.ask(&Ask::Locate(subject)).await
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        self.0.ask(&Ask::Check(bindings)).await
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        self.0.ask(&Ask::Fence(owner)).await
    }

    async fn watch(&self) -> Result<Feed> {
        let stream = self.0.stream(&Ask::Feed).await?;
        let (feeder, feed) = Feed::bounded(FEED);
        tokio::spawn(feed_on(self.0.clone(), stream, feeder));
        Ok(feed)
    }

    fn capability(&self) -> locate::Capability {
        locate::Capability { keeps_writes: false, ..locate::memory::Memory::default().capability() }
    }
}

/// Feeds until nobody reads, over as many connections as it takes.
async fn feed_on(guest: Guest, mut stream: Stream, feeder: Feeder) {
    loop {
        while let Some(item) = stream.next().await {
            if let Item::Place(event) = item
                && !feeder.send(event)
            {
                return;
            }
        }
        if !feeder.send(locate::Event::Gap) {
            return;
        }
        stream = again(&guest, &Ask::Feed).await;
        // What was written between both streams.
        if !feeder.send(locate::Event::Gap) {
            return;
        }
    }
}

/// Opens a stream as soon as the home is there.
async fn again(guest: &Guest, ask: &Ask) -> Stream {
    loop {
        match guest.stream(ask).await {
            Ok(stream) => return stream,
            Err(_) => drop(tokio::time::timeout(Duration::from_millis(200), guest.connected_again()).await),
        }
    }
}

/// The event bus.
pub(super) struct Events(pub(super) Guest);

#[async_trait]
impl Broker for Events {
    fn capability(&self) -> bus::Capability {
        bus::Capability { group: true, durable: true, replay: true, group_order: true, receipt: Level::Stored }
    }

    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm> {
        let sent: Sent = self.0.ask(&Ask::Send { topic: topic.to_owned(), key, body }).await.map_err(bus_down)?;
        Ok(Box::pin(std::future::ready(Ok(sent))))
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        let ask = Ask::Open { topic: topic.to_owned(), options: options.clone() };
        let stream = self.0.stream(&ask).await.map_err(bus_down)?;
        Ok(Box::new(Subscribed {
            guest: self.0.clone(),
            topic: topic.to_owned(),
            options: options.clone(),
            stream: Some(stream),
        }))
    }
}

fn bus_down(e: Error) -> Error {
    match e.kind() {
        Kind::Unavailable => Error::new(Kind::BusDown, "the home peer is not connected"),
        _ => e,
    }
}

struct Subscribed {
    guest: Guest,
    topic: String,
    options: Options,
    stream: Option<Stream>,
}

#[async_trait]
impl Source for Subscribed {
    async fn next(&mut self) -> Option<Raw> {
        loop {
            let Some(stream) = &mut self.stream else {
                // The log may be another one now: only the position of a durable name is kept there.
                let options = Options { from: Begin::Now, ..self.options.clone() };
                self.stream = Some(again(&self.guest, &Ask::Open { topic: self.topic.clone(), options }).await);
                return Some(Raw::Gap(Gap { cause: Cause::Reconnect, lost: None }));
            };
            let number = stream.number();
            match stream.next().await {
                Some(Item::Event { number: of, body, position }) => {
                    let ack = match self.options.durable {
                        Some(_) => Ack::new(Arc::new(Told { guest: self.guest.clone(), stream: number, number: of })),
                        None => Ack::none(),
                    };
                    return Some(Raw::Message { body, position, ack });
                }
                Some(Item::Gap(gap)) => return Some(Raw::Gap(gap)),
                Some(_) => {}
                None => self.stream = None,
            }
        }
    }
}

struct Told {
    guest: Guest,
    stream: u64,
    number: u64,
}

#[async_trait]
impl Acknowledge for Told {
    async fn ack(&self) -> Result<()> {
        self.guest.ask(&Ask::Ack { stream: self.stream, number: self.number }).await
    }
}

/// Live settings.
pub(super) struct Values(pub(super) Guest);

#[async_trait]
impl ConfigSource for Values {
    fn capability(&self) -> config::Capability {
        config::Capability { cas: Cas::Atomic, writable: true }
    }

    async fn load(&self, key: &str) -> Result<Option<config::Entry>> {
        self.0.ask(&Ask::Load { key: key.to_owned() }).await
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, config::Entry>> {
        self.0.ask(&Ask::Values { prefix: prefix.to_owned() }).await
    }

    async fn watch(&self, prefix: &str) -> Result<config::Watch> {
        let ask = Ask::Follow { prefix: prefix.to_owned() };
        let mut stream = self.0.stream(&ask).await?;
        let (feed, watch) = config::feed();
        let guest = self.0.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = feed.unwatched() => return,
                    item = stream.next() => match item {
                        Some(Item::Value(config::Update::All(all))) => feed.all(all),
                        Some(Item::Value(config::Update::Key(key, entry))) => feed.key(key, entry),
                        Some(_) => {}
                        // The first item of the next stream is the full set.
                        None => tokio::select! {
                            () = feed.unwatched() => return,
                            next = again(&guest, &ask) => stream = next,
                        },
                    },
                }
            }
        });
        Ok(watch)
    }

    async fn store(&self, key: &str, value: Bytes, expect: config::Expect) -> Result<config::Version> {
        self.0.ask(&Ask::Store { key: key.to_owned(), value, expect }).await
    }

    async fn delete(&self, key: &str, expect: config::Expect) -> Result<config::Version> {
        self.0.ask(&Ask::Remove { key: key.to_owned(), expect }).await
    }
}
