//! Plain subjects: at most once, nothing is kept.

use std::sync::Arc;

use async_nats::Subscriber;
use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Url,
    bus::{Ack, Broker, Capability, Cause, Confirm, Gap, Level, Options, Raw, Receipt, Source},
};
use futures_util::{FutureExt, StreamExt};
use tokio::{sync::watch, time};

use super::{
    connection::{Connection, Life, Signals, down},
    settings::{Receipts, Settings},
    subject::subject,
};
use crate::queue::{self, Limit, Receiver, Sender};

/// Plain NATS. See the [module](super) for what it promises.
#[derive(Debug)]
pub struct Core {
    connection: Arc<Connection>,
    root: String,
    receipts: Receipts,
    limit: Limit,
}

impl Core {
    pub(super) async fn open(url: &Url, settings: &Settings) -> Result<Self> {
        let connection = Arc::new(Connection::open(url, settings).await?);
        let root = format!("{}.bus", settings.prefix);
        Ok(Self { connection, root, receipts: settings.receipt, limit: settings.limit() })
    }

    /// Subscribes and waits until the server has taken it, on one and the same connection.
    async fn subscribe(&self, subject: String, group: Option<&Arc<str>>) -> Result<(Subscriber, Life)> {
        let life = self.connection.check_up()?;
        let client = &self.connection.client;
        let subscriber = match group {
            Some(group) => client.queue_subscribe(subject, queue_name(group)).await,
            None => client.subscribe(subject).await,
        };
        let subscriber = subscriber.map_err(|e| down(&self.connection.url).because(e))?;
        self.connection.confirm(life).await?;
        Ok((subscriber, life))
    }
}

/// A queue group's name has no white space; any other text is fine. `%` keeps names apart.
fn queue_name(group: &str) -> String {
    let mut out = String::new();
    for c in group.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "-_:.".contains(c) => out.push(c),
            c => out.push_str(&format!("%{:x}%", u32::from(c))),
        }
    }
    if out.is_empty() { "%".to_owned() } else { out }
}

#[async_trait]
impl Broker for Core {
    fn capability(&self) -> Capability {
        let receipt = match self.receipts {
            Receipts::Sent => Level::Sent,
            Receipts::Accepted => Level::Accepted,
        };
        Capability { group: true, group_order: false, durable: false, replay: false, receipt }
    }

    async fn send(&self, topic: &str, _: Bytes, body: Bytes) -> Result<Confirm> {
        let life = self.connection.publish(subject(&self.root, topic), body).await?;
        Ok(match self.receipts {
            Receipts::Sent => Box::pin(std::future::ready(Ok(Receipt::Sent))),
            Receipts::Accepted => Box::pin(self.connection.confirmation(life).map(|r| r.map(|()| Receipt::Accepted))),
        })
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        let subscribing = self.subscribe(subject(&self.root, topic), options.group.as_ref());
        let subscribing = time::timeout(self.connection.timeout, subscribing).await;
        let late = || Error::new(Kind::Unavailable, "nats does not answer").context("url", &self.connection.url);
        let (subscriber, life) = subscribing.map_err(|_| late())??;
        let (sender, receiver) = queue::bounded(self.limit);
        let connection = self.connection.clone();
        let mut signals = connection.signals();
        let seen = *signals.borrow_and_update();
        let group = options.group.is_some();
        tokio::spawn(Pump { connection, subscriber, signals, seen, life, group, sender }.run());
        Ok(Box::new(Queued(receiver)))
    }
}

struct Queued(Receiver);

#[async_trait]
impl Source for Queued {
    async fn next(&mut self) -> Option<Raw> {
        self.0.next().await
    }
}

/// Moves messages from async-nats, whose queue says nothing about losses, to one that does.
struct Pump {
    connection: Arc<Connection>,
    subscriber: Subscriber,
    signals: watch::Receiver<Signals>,
    seen: Signals,
    life: Life,
    /// Numbers show a plain subscriber exactly what it lost; nothing shows it to a group.
    group: bool,
    sender: Sender,
}

impl Pump {
    async fn run(mut self) {
        loop {
            tokio::select! {
                message = self.subscriber.next() => match message {
                    Some(message) => self.message(message),
                    None => return,
                },
                changed = self.signals.changed() => match changed {
                    Ok(()) => self.signal(),
                    Err(_) => return,
                },
                () = self.sender.gone() => return,
            }
        }
    }

    fn message(&mut self, message: async_nats::Message) {
        // A connection is made again 20 ms after the old one broke at the earliest: what is here by then came over the
        // old one.
        self.compare_lives();
        self.sender.push(Raw::Message { body: message.payload, position: None, ack: Ack::none() });
    }

    fn signal(&mut self) {
        let now = *self.signals.borrow_and_update();
        if self.group && now.slow != self.seen.slow {
            self.sender.push(Raw::Gap(Gap { cause: Cause::Overflow, lost: None }));
        }
        self.seen = now;
        self.compare_lives();
    }

    fn compare_lives(&mut self) {
        let life = self.connection.life();
        if life != self.life {
            self.life = life;
            self.sender.push(Raw::Gap(Gap { cause: Cause::Reconnect, lost: None }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_stay_apart_and_have_no_white_space() {
        assert_eq!(queue_name("workers.eu:1"), "workers.eu:1");
        assert_eq!(queue_name("a b"), "a%20%b");
        assert_ne!(queue_name("a b"), queue_name("a%20%b"));
        assert_eq!(queue_name(""), "%");
    }
}
