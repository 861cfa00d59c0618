//! The subscriber's end.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    bus::{Ack, Acknowledge, Cause, Gap, Raw, Source},
};
use futures_util::future::BoxFuture;
use lapin::{Acker, message::Delivery, options::BasicAckOptions};
use tokio::{
    sync::{Notify, mpsc},
    time,
};

use crate::queue::Receiver;

/// What the task sends.
pub(super) enum Item {
    Gap(Cause),
    Delivery(Box<Delivery>),
}

/// A plain subscription.
pub(super) struct Queued(pub(super) Receiver);

#[async_trait]
impl Source for Queued {
    async fn next(&mut self) -> Option<Raw> {
        self.0.next().await
    }
}

/// A member of a group or of a durable name.
pub(super) struct Held {
    items: mpsc::Receiver<Item>,
    wanted: Arc<Notify>,
    durable: bool,
    timeout: Duration,
    /// An event of a group that is being acknowledged; kept here so that a dropped `next` loses nothing.
    taking: Option<BoxFuture<'static, Option<Raw>>>,
}

impl Held {
    pub(super) fn new(items: mpsc::Receiver<Item>, wanted: Arc<Notify>, durable: bool, timeout: Duration) -> Self {
        Self { items, wanted, durable, timeout, taking: None }
    }
}

#[async_trait]
impl Source for Held {
    async fn next(&mut self) -> Option<Raw> {
        self.wanted.notify_one();
        loop {
            if let Some(taking) = &mut self.taking {
                let raw = taking.await;
                self.taking = None;
                if raw.is_some() {
                    return raw;
                }
            }
            match self.items.recv().await? {
                Item::Gap(cause) => return Some(Raw::Gap(Gap { cause, lost: None })),
                Item::Delivery(delivery) if self.durable => {
                    let ack = Ack::new(Arc::new(Pending(delivery.acker.clone(), self.timeout)));
                    return Some(Raw::Message { body: Bytes::from(delivery.data), position: None, ack });
                }
                Item::Delivery(delivery) => self.taking = Some(Box::pin(take(*delivery, self.timeout))),
            }
        }
    }
}

/// Takes an event for this member. If that cannot be told to the server any more, another member gets it.
async fn take(delivery: Delivery, timeout: Duration) -> Option<Raw> {
    time::timeout(timeout, delivery.acker.ack(BasicAckOptions::default())).await.ok()?.ok()?;
    Some(Raw::Message { body: Bytes::from(delivery.data), position: None, ack: Ack::none() })
}

struct Pending(Acker, Duration);

#[async_trait]
impl Acknowledge for Pending {
    async fn ack(&self) -> Result<()> {
        let lost = || Error::new(Kind::Timeout, "the connection that brought the event is gone: it comes again");
        match time::timeout(self.1, self.0.ack(BasicAckOptions::default())).await {
            // `false`: it was acknowledged before.
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(lost().because(e)),
            Err(e) => Err(lost().because(e)),
        }
    }
}
