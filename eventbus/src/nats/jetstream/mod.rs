//! A stream that keeps events: replay, durable names, receipts that say where an event is kept.

mod consumer;
mod handover;
mod pull;
mod stream;

use std::{fmt, sync::Arc};

use async_nats::jetstream::{
    Context, ContextBuilder,
    context::{PublishAckFuture, PublishError, PublishErrorKind},
    message::PublishMessage,
};
use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Origin, Result, Url,
    bus::{Broker, Capability, Confirm, Level, Options, Position, Receipt, Source},
};
use tokio::time;

use self::{
    consumer::{Role, Wish},
    pull::Puller,
};
use super::{connection::Connection, settings::Settings, subject::subject};
use crate::names;

/// NATS with JetStream. See the [module](super) for what it promises.
#[derive(Clone)]
pub struct JetStream {
    connection: Arc<Connection>,
    context: Context,
    settings: Arc<Settings>,
}

impl JetStream {
    pub(super) async fn open(url: &Url, settings: &Settings) -> Result<Self> {
        let connection = Arc::new(Connection::open(url, settings).await?);
        if !connection.client.is_server_compatible(2, 10, 0) {
            let version = connection.client.server_info().version;
            return Err(Error::config(format!("nats at {url} is {version}: mode=jetstream needs 2.10 or newer")));
        }
        let context = ContextBuilder::new()
            .timeout(settings.timeout)
            .ack_timeout(settings.timeout)
            .backpressure_on_inflight(true)
            .build(connection.client.clone());
        let bus = Self { connection, context, settings: Arc::new(settings.clone()) };
        bus.stream().await?;
        Ok(bus)
    }

    /// The stream's name. Subjects stand under `<prefix>.kept.`.
    fn stream_name(&self) -> String {
        format!("{}-kept", self.settings.prefix)
    }

    fn root(&self) -> String {
        format!("{}.kept", self.settings.prefix)
    }

    fn url(&self) -> &Url {
        &self.connection.url
    }

    async fn hand_over(&self, subject: String, body: Bytes) -> Result<PublishAckFuture> {
        self.connection.check_size(&body)?;
        self.connection.check_up()?;
        let message = PublishMessage::build().payload(body);
        match time::timeout(self.settings.timeout, self.context.send_publish(subject, message)).await {
            Ok(Ok(ack)) => Ok(ack),
            Ok(Err(e)) if e.kind() != PublishErrorKind::TimedOut => Err(self.unavailable(e)),
            _ => Err(Error::new(Kind::Full, "the connection takes no more").context("url", self.url())),
        }
    }

    /// A stream that is gone is made again for the next publish: this one is lost, and its publisher knows.
    async fn refused(&self, error: PublishError) -> Error {
        match error.kind() {
            PublishErrorKind::StreamNotFound => {
                let made = self.stream().await.map(drop);
                let e = Error::new(Kind::BusDown, "the stream is gone").context("url", self.url());
                made.err().map_or(e, |cause| Error::new(Kind::BusDown, "the stream is gone").because(cause))
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Error::new(Kind::Timeout, "nats has not said whether it keeps the event").context("url", self.url())
            }
            _ => Error::new(Kind::Unavailable, "nats does not keep the event")
                .from_origin(Origin::Remote)
                .context("url", self.url())
                .because(error),
        }
    }

    fn unavailable(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(Kind::Unavailable, "JetStream does not answer")
            .from_origin(Origin::Remote)
            .context("url", self.url())
            .because(cause)
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JetStream({})", self.url())
    }
}

#[async_trait]
impl Broker for JetStream {
    fn capability(&self) -> Capability {
        Capability { group: true, group_order: false, durable: true, replay: true, receipt: Level::Stored }
    }

    async fn send(&self, topic: &str, _: Bytes, body: Bytes) -> Result<Confirm> {
        let ack = self.hand_over(subject(&self.root(), topic), body).await?;
        let bus = self.clone();
        Ok(Box::pin(async move {
            match ack.await {
                Ok(ack) => Ok(Receipt::Stored { position: Position(ack.sequence.to_string().into()) }),
                Err(error) => Err(bus.refused(error).await),
            }
        }))
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        self.connection.check_up()?;
        let role = match options {
            Options { durable: Some(name), .. } => Role::Durable(names::group("d", topic, name)),
            Options { group: Some(name), .. } => Role::Group(names::group("g", topic, name)),
            _ => Role::Plain,
        };
        let wish = Wish { subject: subject(&self.root(), topic), role };
        // A few requests, each with its own limit.
        let limit = self.settings.timeout.saturating_mul(4);
        match time::timeout(limit, Puller::start(self.clone(), wish, &options.from)).await {
            Ok(source) => Ok(Box::new(source?)),
            Err(late) => Err(self.unavailable(late)),
        }
    }
}
