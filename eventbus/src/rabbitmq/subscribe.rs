//! The queue of a subscription, and the task that moves its events.

use std::sync::Arc;

use bytes::Bytes;
use due_core::{
    Error, Kind, Origin, Result,
    bus::{Ack, Cause, Gap, Raw, Source},
};
use futures_util::StreamExt;
use lapin::{
    Channel, Consumer, ErrorKind,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::{Notify, mpsc},
    time,
};

use super::{
    link::{Link, Live},
    source::{Held, Item, Queued},
};
use crate::queue;

/// Events that the server keeps for a queue whose process does not keep up.
const LONGEST: i64 = 100_000;
const NOT_FOUND: u16 = 404;

/// Whose queue it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    Group(String),
    Durable(String),
}

/// Makes the queue; returns when the server has bound it.
pub(super) async fn start(link: Arc<Link>, topic: String, role: Role) -> Result<Box<dyn Source>> {
    let live = link.live()?;
    let feed = Feed { link, topic, role };
    let (channel, queue) = feed.declare_in_time(&live).await?;
    if feed.role == Role::Plain {
        let (sender, receiver) = queue::bounded(feed.link.settings.limit());
        let consumer = feed.consume(&channel, &queue).await?;
        tokio::spawn(feed.pump(live, channel, consumer, sender));
        return Ok(Box::new(Queued(receiver)));
    }
    let (out, items) = mpsc::channel(1);
    let wanted = Arc::new(Notify::new());
    let held = Held::new(items, wanted.clone(), matches!(feed.role, Role::Durable(_)), feed.link.settings.timeout);
    tokio::spawn(feed.deal(live, channel, queue, out, wanted));
    Ok(Box::new(held))
}

struct Feed {
    link: Arc<Link>,
    topic: String,
    role: Role,
}

/// A queue on a new connection.
struct Again {
    live: Arc<Live>,
    channel: Channel,
    consumer: Consumer,
    /// The server did not know the durable queue any more.
    forgotten: bool,
}

impl Feed {
    async fn declare_in_time(&self, live: &Live) -> Result<(Channel, String)> {
        // A handful of requests, each with its own limit.
        let limit = self.link.settings.timeout.saturating_mul(3);
        match time::timeout(limit, self.declare(live)).await {
            Ok(declared) => declared.map_err(|e| self.failed(e)),
            Err(late) => Err(self.unavailable().because(late)),
        }
    }

    fn unavailable(&self) -> Error {
        Error::new(Kind::Unavailable, "rabbitmq does not make the queue")
            .from_origin(Origin::Remote)
            .context("url", &self.link.url)
            .context("topic", &self.topic)
    }

    fn failed(&self, error: lapin::Error) -> Error {
        self.unavailable().because(error)
    }

    async fn declare(&self, live: &Live) -> lapin::Result<(Channel, String)> {
        let channel = live.channel().await?;
        let window = if self.role == Role::Plain { self.link.settings.window() } else { self.link.settings.prefetch };
        channel.basic_qos(window, BasicQosOptions::default()).await?;
        let (name, options, arguments) = self.queue();
        let queue = channel.queue_declare(name.into(), options, arguments).await?.name().to_string();
        let exchange = self.link.settings.exchange.as_str().into();
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.as_str().into(), exchange, self.topic.as_str().into(), options, none).await?;
        Ok((channel, queue))
    }

    fn queue(&self) -> (&str, QueueDeclareOptions, FieldTable) {
        let mut arguments = FieldTable::default();
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        match &self.role {
            Role::Plain => {
                arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(LONGEST));
                let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
                ("", exclusive, arguments)
            }
            Role::Group(name) => {
                let idle = i64::try_from(self.link.settings.idle.as_millis()).unwrap_or(i64::MAX);
                arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(LONGEST));
                arguments.insert("x-expires".into(), AMQPValue::LongLongInt(idle));
                (name, durable, arguments)
            }
            Role::Durable(name) => {
                arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
                (name, durable, arguments)
            }
        }
    }

    async fn consume(&self, channel: &Channel, queue: &str) -> Result<Consumer> {
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
        match time::timeout(self.link.settings.timeout, consuming).await {
            Ok(consumer) => consumer.map_err(|e| self.failed(e)),
            Err(late) => Err(self.unavailable().because(late)),
        }
    }

    /// A queue on the next connection; `None` at the end.
    async fn again(&self) -> Option<Again> {
        // An attempt that fails half-way may have made the queue: the next one finds it.
        let mut forgotten = false;
        loop {
            let live = self.link.wait().await?;
            match self.try_again(&live, &mut forgotten).await {
                Ok((channel, consumer)) => return Some(Again { live, channel, consumer, forgotten }),
                Err(error) => tracing::debug!(url = %self.link.url, topic = self.topic, %error, "no queue yet"),
            }
            time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn try_again(&self, live: &Live, forgotten: &mut bool) -> Result<(Channel, Consumer)> {
        let limit = self.link.settings.timeout;
        *forgotten |= match time::timeout(limit, self.is_forgotten(live)).await {
            Ok(forgotten) => forgotten.map_err(|e| self.failed(e))?,
            Err(late) => return Err(self.unavailable().because(late)),
        };
        let (channel, queue) = self.declare_in_time(live).await?;
        let consumer = self.consume(&channel, &queue).await?;
        Ok((channel, consumer))
    }

    async fn is_forgotten(&self, live: &Live) -> lapin::Result<bool> {
        let Role::Durable(name) = &self.role else { return Ok(false) };
        let channel = live.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        match channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await {
            Ok(_) => Ok(false),
            Err(e) if matches!(e.kind(), ErrorKind::ProtocolError(e) if e.get_id() == NOT_FOUND) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// For a plain subscription: nothing waits here, what does not fit is told.
    async fn pump(self, mut live: Arc<Live>, mut channel: Channel, mut consumer: Consumer, sender: queue::Sender) {
        let _counted = self.link.count();
        loop {
            tokio::select! {
                () = drain(&mut consumer, &sender) => {}
                () = live.over() => {}
                () = sender.gone() => return self.leave(&channel).await,
            }
            let again = tokio::select! {
                again = self.again() => again,
                () = sender.gone() => return,
            };
            let Some(again) = again else { return };
            (live, channel, consumer) = (again.live, again.channel, again.consumer);
            sender.push(Raw::Gap(Gap { cause: Cause::Reconnect, lost: None }));
            live.is_back();
        }
    }

    /// For a group or a durable name: the server keeps what nobody asks for.
    async fn deal(
        self,
        mut live: Arc<Live>,
        mut channel: Channel,
        queue: String,
        out: mpsc::Sender<Item>,
        wanted: Arc<Notify>,
    ) {
        tokio::select! {
            () = wanted.notified() => {}
            () = out.closed() => return self.leave(&channel).await,
        }
        let mut consumer = self.consume(&channel, &queue).await.ok();
        loop {
            tokio::select! {
                () = hand_out(&mut consumer, &out) => {}
                () = live.over() => {}
                () = out.closed() => return self.leave(&channel).await,
            }
            let again = tokio::select! {
                again = self.again() => again,
                () = out.closed() => return,
            };
            let Some(again) = again else { return };
            if let Some(cause) = self.gap(again.forgotten) {
                let _ = out.send(Item::Gap(cause)).await;
            }
            (live, channel, consumer) = (again.live, again.channel, Some(again.consumer));
        }
    }

    /// What a new connection means.
    fn gap(&self, forgotten: bool) -> Option<Cause> {
        match self.role {
            Role::Durable(_) => forgotten.then_some(Cause::Trimmed),
            _ => Some(Cause::Reconnect),
        }
    }

    /// What was not acknowledged goes back with the channel.
    async fn leave(&self, channel: &Channel) {
        let _ = time::timeout(self.link.settings.timeout, channel.close(200, "bye".into())).await;
    }
}

/// Moves deliveries until the consumer is broken.
async fn drain(consumer: &mut Consumer, sender: &queue::Sender) {
    while let Some(Ok(delivery)) = consumer.next().await {
        sender.push(Raw::Message { body: Bytes::from(delivery.data), position: None, ack: Ack::none() });
        if delivery.acker.ack(BasicAckOptions::default()).await.is_err() {
            return;
        }
    }
}

/// Moves deliveries until the consumer is broken or the subscriber has gone.
async fn hand_out(consumer: &mut Option<Consumer>, out: &mpsc::Sender<Item>) {
    let Some(consumer) = consumer else { return };
    while let Some(Ok(delivery)) = consumer.next().await {
        if out.send(Item::Delivery(Box::new(delivery))).await.is_err() {
            return;
        }
    }
}
