//! Gives events to the subscriber, and acknowledges them as its kind of subscription says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_nats::jetstream::Message;
use async_trait::async_trait;
use due_core::{
    Error, Kind, Result,
    bus::{Ack, Acknowledge, Cause, Gap, Position, Raw, Source},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, mpsc},
    time::{self, Duration, Instant},
};

use super::{JetStream, consumer::Role, pull::Item};

/// Events that this subscriber has, or is about to get, and that are not acknowledged; by sequence.
#[derive(Clone, Default)]
pub(super) struct Unacked(Arc<Mutex<BTreeMap<u64, Message>>>);

impl Unacked {
    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, sequence: u64, message: Message) {
        self.held().insert(sequence, message);
    }

    fn forget(&self, sequence: u64) {
        self.held().remove(&sequence);
    }

    /// Empties it.
    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.held()).into_values().collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    /// Acknowledged first, so that nobody gets it twice.
    Group,
    /// Acknowledged by the subscriber.
    Durable,
}

/// The subscriber's end.
pub(super) struct Handover {
    bus: JetStream,
    mode: Mode,
    items: mpsc::Receiver<Item>,
    wanted: Arc<Notify>,
    unacked: Unacked,
    /// An event of a group whose acknowledgement is on its way; kept here so that a dropped `next` loses nothing.
    taking: Option<BoxFuture<'static, Raw>>,
}

impl Handover {
    pub(super) fn new(
        bus: JetStream,
        role: &Role,
        items: mpsc::Receiver<Item>,
        wanted: Arc<Notify>,
        unacked: Unacked,
    ) -> Self {
        let mode = match role {
            Role::Plain => Mode::Plain,
            Role::Group(_) => Mode::Group,
            Role::Durable(_) => Mode::Durable,
        };
        Self { bus, mode, items, wanted, unacked, taking: None }
    }

    fn durable(&self, message: Message, sequence: u64) -> Raw {
        let ack = Pending {
            message: message.clone(),
            sequence,
            unacked: self.unacked.clone(),
            timeout: self.bus.settings.timeout,
        };
        raw(message, sequence, Ack::new(Arc::new(ack)))
    }
}

#[async_trait]
impl Source for Handover {
    async fn next(&mut self) -> Option<Raw> {
        self.wanted.notify_one();
        loop {
            if let Some(taking) = &mut self.taking {
                let raw = taking.await;
                self.taking = None;
                return Some(raw);
            }
            match self.items.recv().await? {
                Item::Gap(cause) => return Some(Raw::Gap(Gap { cause, lost: None })),
                Item::Message { message, sequence, .. } if self.mode == Mode::Plain => {
                    return Some(raw(*message, sequence, Ack::none()));
                }
                // It has waited here for too long and comes again, to whomever.
                Item::Message { sequence, until, .. } if Instant::now() >= until => self.unacked.forget(sequence),
                Item::Message { message, sequence, .. } if self.mode == Mode::Durable => {
                    return Some(self.durable(*message, sequence));
                }
                Item::Message { message, sequence, until } => {
                    let until = until.min(Instant::now() + self.bus.settings.timeout);
                    self.taking = Some(Box::pin(take(*message, sequence, until, self.unacked.clone())));
                }
            }
        }
    }
}

/// Takes an event for this member alone. Without an answer nobody can know whether another gets it: it counts as lost.
async fn take(message: Message, sequence: u64, until: Instant, unacked: Unacked) -> Raw {
    let taken = time::timeout_at(until, message.double_ack()).await;
    unacked.forget(sequence);
    match taken {
        Ok(Ok(())) => raw(message, sequence, Ack::none()),
        _ => Raw::Gap(Gap { cause: Cause::Reconnect, lost: None }),
    }
}

fn raw(message: Message, sequence: u64, ack: Ack) -> Raw {
    Raw::Message { body: message.message.payload, position: Some(Position(sequence.to_string().into())), ack }
}

struct Pending {
    message: Message,
    sequence: u64,
    unacked: Unacked,
    timeout: Duration,
}

#[async_trait]
impl Acknowledge for Pending {
    async fn ack(&self) -> Result<()> {
        if !self.unacked.held().contains_key(&self.sequence) {
            return Ok(());
        }
        let late = || Error::new(Kind::Timeout, "nats has not confirmed the acknowledgement: the event may come again");
        match time::timeout(self.timeout, self.message.double_ack()).await {
            Ok(Ok(())) => {
                self.unacked.forget(self.sequence);
                Ok(())
            }
            Ok(Err(e)) => Err(late().because(e)),
            Err(_) => Err(late()),
        }
    }
}
