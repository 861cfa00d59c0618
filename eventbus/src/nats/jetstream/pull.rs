//! Reads a consumer, and goes on after whatever breaks.

use std::{sync::Arc, time::Duration};

use async_nats::{
    StatusCode, Subscriber,
    datetime::DateTime,
    jetstream::{
        AckKind, Message,
        consumer::{Consumer, pull},
    },
};
use due_core::{
    Result,
    bus::{Begin, Cause},
};
use futures_util::{FutureExt, StreamExt};
use tokio::{
    sync::{Notify, mpsc},
    time::{self, Instant},
};

use super::{
    JetStream,
    consumer::{Place, Ready, Role, Wish},
    handover::{Handover, Unacked},
};
use crate::nats::connection::{Life, down};

/// How long the server keeps one request at most.
const EXPIRES: Duration = Duration::from_secs(5);
/// Events of one request that nobody acknowledges.
const BATCH: usize = 256;
/// Events of one request that wait for their acknowledgement: they may not wait for long.
const BATCH_TO_ACK: usize = 16;
/// The largest event and what is around it must fit.
const LEAST_BYTES: usize = 2 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What goes to the subscriber.
pub(super) enum Item {
    Gap(Cause),
    /// `until`: the server gives it to nobody else before.
    Message {
        message: Box<Message>,
        sequence: u64,
        until: Instant,
    },
}

/// The task of one subscription.
pub(super) struct Puller {
    bus: JetStream,
    wish: Wish,
    out: mpsc::Sender<Item>,
    wanted: Arc<Notify>,
    unacked: Unacked,
    place: Place,
    created: DateTime,
    consumer: Consumer<pull::Config>,
    inbox: Subscriber,
    inbox_name: String,
    /// Requests so far. Each has a name of its own below the inbox: the server may speak about one that is over.
    requests: u64,
    /// Deliveries of this consumer so far.
    deliveries: u64,
    life: Life,
}

/// How a request ended.
enum End {
    Done,
    Broken,
    Left,
}

impl Puller {
    /// Makes the consumer; the first request waits until somebody asks for an event.
    pub(super) async fn start(bus: JetStream, wish: Wish, from: &Begin) -> Result<Handover> {
        let life = bus.connection.life();
        let ready = bus.first_consumer(&wish, from).await?;
        let (inbox_name, inbox) = subscribe(&bus).await?;
        let (out, items) = mpsc::channel(1);
        let (wanted, unacked) = (Arc::new(Notify::new()), Unacked::default());
        if ready.trimmed {
            let _ = out.try_send(Item::Gap(Cause::Trimmed));
        }
        let handover = Handover::new(bus.clone(), &wish.role, items, wanted.clone(), unacked.clone());
        let Ready { consumer, place, created, .. } = ready;
        let puller = Self {
            bus,
            wish,
            out,
            wanted,
            unacked,
            place,
            created,
            consumer,
            inbox,
            inbox_name,
            requests: 0,
            deliveries: 0,
            life,
        };
        tokio::spawn(puller.run());
        Ok(handover)
    }

    async fn run(mut self) {
        let out = self.out.clone();
        let wanted = self.wanted.clone();
        tokio::select! {
            () = wanted.notified() => {}
            () = out.closed() => return self.leave().await,
        }
        loop {
            let end = tokio::select! {
                end = self.request() => end,
                () = out.closed() => End::Left,
            };
            match end {
                End::Done => {}
                End::Left => return self.leave().await,
                End::Broken => tokio::select! {
                    () = self.reopen() => {}
                    () = out.closed() => return self.leave().await,
                },
            }
        }
    }

    fn batch(&self) -> usize {
        let most = if self.wish.role == Role::Plain { BATCH } else { BATCH_TO_ACK };
        self.bus.settings.queue.min(most)
    }

    /// What comes for a request came after it was sent, and must be handed over before the server gives it to another.
    fn expires(&self) -> Duration {
        EXPIRES.min(self.bus.settings.ack_wait / 2)
    }

    /// One request and all that comes for it.
    async fn request(&mut self) -> End {
        let (mut left, expires) = (self.batch(), self.expires());
        let until = Instant::now() + self.bus.settings.ack_wait;
        let max_bytes = self.bus.settings.queue_bytes.max(LEAST_BYTES);
        let request = pull::BatchConfig { batch: left, expires: Some(expires), max_bytes, ..Default::default() };
        self.requests += 1;
        let name = format!("{}.{}", self.inbox_name, self.requests);
        if self.bus.connection.life() != self.life
            || self.consumer.request_batch(request, name.as_str().into()).await.is_err()
        {
            return End::Broken;
        }
        let mut signals = self.bus.connection.signals();
        let silence = time::sleep(expires + self.bus.settings.timeout);
        tokio::pin!(silence);
        while left > 0 {
            tokio::select! {
                message = self.inbox.next() => {
                    let Some(message) = message else { return End::Broken };
                    if let Some(status) = message.status {
                        if *message.subject != *name {
                            continue;
                        }
                        match self.status(status, message.description.as_deref()) {
                            Some(end) => return end,
                            None => continue,
                        }
                    }
                    if let Some(end) = self.deliver(message, until).await {
                        return end;
                    }
                    left -= 1;
                    // The subscriber may have taken its time.
                    silence.as_mut().reset(Instant::now() + expires + self.bus.settings.timeout);
                }
                changed = signals.changed() => {
                    if changed.is_err() || self.bus.connection.life() != self.life {
                        return End::Broken;
                    }
                }
                () = &mut silence => return End::Broken,
            }
        }
        End::Done
    }

    /// What a message without an event says.
    fn status(&self, status: StatusCode, text: Option<&str>) -> Option<End> {
        match status {
            StatusCode::IDLE_HEARTBEAT => None,
            StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Some(End::Done),
            other => {
                let full = text.is_some_and(|t| t.contains("MaxBytes") || t.contains("Batch Completed"));
                tracing::debug!(topic = %self.wish.subject, status = %other, text, "a pull request ended");
                Some(if full { End::Done } else { End::Broken })
            }
        }
    }

    async fn deliver(&mut self, message: async_nats::Message, until: Instant) -> Option<End> {
        let message = Message { message, context: self.bus.context.clone() };
        let Ok((sequence, delivery)) = message.info().map(|i| (i.stream_sequence, i.consumer_sequence)) else {
            tracing::warn!(topic = %self.wish.subject, "a message of no stream was skipped");
            return None;
        };
        if self.wish.role == Role::Plain {
            self.deliveries += 1;
            if delivery != self.deliveries {
                return Some(End::Broken);
            }
            self.place = Place::At(sequence + 1);
        } else if let Place::At(next) = self.place {
            self.place = Place::At(next.max(sequence + 1));
        } else {
            self.place = Place::At(sequence + 1);
        }
        if self.wish.role != Role::Plain {
            self.unacked.note(sequence, message.clone());
        }
        let sent = self.out.send(Item::Message { message: Box::new(message), sequence, until }).await;
        sent.is_err().then_some(End::Left)
    }

    /// Makes a consumer behind what was delivered, as soon as the server allows.
    async fn reopen(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_reopen().await {
                Ok(trimmed) => {
                    if trimmed {
                        let _ = self.out.send(Item::Gap(Cause::Trimmed)).await;
                    }
                    return;
                }
                Err(error) => tracing::debug!(topic = %self.wish.subject, %error, "no consumer yet"),
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_reopen(&mut self) -> Result<bool> {
        self.bus.connection.check_up()?;
        self.empty_inbox().await;
        let life = self.bus.connection.life();
        let Ready { consumer, place, trimmed, created } =
            self.bus.next_consumer(&self.wish, self.place, self.created).await?;
        (self.inbox_name, self.inbox) = subscribe(&self.bus).await?;
        (self.consumer, self.place, self.created, self.deliveries, self.life) = (consumer, place, created, 0, life);
        Ok(trimmed)
    }

    /// What has come and will not be handed over comes to somebody else.
    async fn empty_inbox(&mut self) {
        if self.inbox.drain().await.is_err() || self.wish.role == Role::Plain {
            return;
        }
        // Ends when the client has told the server.
        let left: Vec<_> = match time::timeout(self.bus.settings.timeout, self.inbox.by_ref().collect()).await {
            Ok(left) => left,
            Err(_) => return,
        };
        for message in left {
            if message.status.is_none() {
                self.give_back(&Message { message, context: self.bus.context.clone() }).await;
            }
        }
    }

    async fn give_back(&self, message: &Message) {
        if self.wish.role != Role::Plain
            && let Err(error) = message.ack_with(AckKind::Nak(None)).await
        {
            tracing::debug!(topic = %self.wish.subject, %error, "an event comes again only after ack-wait");
        }
    }

    /// The subscriber has gone.
    async fn leave(mut self) {
        self.empty_inbox().await;
        for message in self.unacked.take() {
            self.give_back(&message).await;
        }
        if self.wish.role == Role::Plain {
            let (stream, name) = (self.bus.stream_name(), self.consumer.cached_info().name.clone());
            let _ = self.bus.context.delete_consumer_from_stream(name, stream).await;
        }
    }
}

async fn subscribe(bus: &JetStream) -> Result<(String, Subscriber)> {
    let client = &bus.connection.client;
    let name = client.new_inbox();
    let inbox = client.subscribe(format!("{name}.*")).map(|s| s.map_err(|e| down(bus.url()).because(e))).await?;
    Ok((name, inbox))
}
