//! Publishing, and making topics.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Url,
    bus::{Broker, Capability, Confirm, Level, Options, Position, Receipt, Source},
};
use rdkafka::{
    ClientConfig, Timestamp,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord, Producer, future_producer::OwnedDeliveryResult},
};

use super::{
    client::{self, Apart, Context, blocking, down, missing, unavailable},
    group, plain,
    settings::Settings,
    topic,
};
use crate::names;

/// Topics that are known to exist; beyond it they are asked for again.
const KNOWN: usize = 16 * 1024;

/// What subscriptions need of the bus.
pub(super) struct Shared {
    pub(super) url: Url,
    pub(super) settings: Settings,
}

/// Kafka. See the [module](super) for what it promises.
pub struct Kafka {
    shared: Arc<Shared>,
    /// Of [`Kafka::producer`] only.
    producer: Mutex<Producing>,
    producing: ClientConfig,
    admin: Arc<Apart<AdminClient<Context>>>,
    context: Context,
    known: Known,
}

type Producing = Arc<Apart<FutureProducer<Context>>>;

/// Topics that exist.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<HashSet<String>>>);

impl Known {
    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, topic: &str) -> bool {
        self.names().contains(topic)
    }

    fn add(&self, topic: &str) {
        let mut names = self.names();
        if names.len() >= KNOWN {
            names.clear();
        }
        names.insert(topic.to_owned());
    }

    /// Brokers that lost their data have lost their topics.
    fn forget(&self, topic: &str) {
        self.names().remove(topic);
    }
}

impl Kafka {
    pub(super) async fn open(url: &Url) -> Result<Self> {
        let settings = Settings::read(url)?;
        let mut config = client::config(url, &settings);
        let failed = |e: KafkaError| Error::config(format!("no kafka client can be made for {url}")).because(e);
        let admin: AdminClient<Context> = config.create_with_context(Context::default()).map_err(failed)?;
        let admin = Arc::new(Apart::new(admin));
        client::producing(&mut config, &settings);
        let context = Context::default();
        let producer: FutureProducer<Context> = config.create_with_context(context.clone()).map_err(failed)?;
        let producer = Arc::new(Apart::new(producer));
        let (asked, timeout) = (producer.clone(), settings.timeout);
        let cluster = blocking(move || asked.client().and_then(|p| p.client().fetch_cluster_id(timeout))).await?;
        cluster.ok_or_else(|| missing(url))?;
        let shared = Arc::new(Shared { url: url.clone(), settings });
        Ok(Self { shared, producer: Mutex::new(producer), producing: config, admin, context, known: Known::default() })
    }

    fn check_up(&self) -> Result<()> {
        if self.context.is_down() { Err(down(&self.shared.url)) } else { Ok(()) }
    }

    /// The producer. One that must not go on, because brokers no longer know what it has sent, is replaced.
    fn producer(&self) -> Result<Producing> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((code, why)) = producer.client().and_then(|p| p.client().fatal_error()) {
            tracing::warn!(url = %self.shared.url, %code, why, "kafka refuses this producer: a new one begins");
            let anew = self.producing.create_with_context(self.context.clone());
            let anew = anew.map_err(|e| down(&self.shared.url).because(e))?;
            *producer = Arc::new(Apart::new(anew));
        }
        Ok(producer.clone())
    }

    /// Makes the topic if it is missing, so that it has the partitions and the limits that the URL says.
    async fn ensure(&self, topic: &str) -> Result<()> {
        if self.known.has(topic) {
            return Ok(());
        }
        // Asking for a topic could make one, with the brokers' own settings: making it comes first.
        if self.shared.settings.create {
            self.create(topic).await?;
        } else {
            self.find(topic).await?;
        }
        self.known.add(topic);
        Ok(())
    }

    async fn find(&self, topic: &str) -> Result<()> {
        let (admin, name, shared) = (self.admin.clone(), topic.to_owned(), self.shared.clone());
        let ask = move || admin.client().map(|a| client::partitions(a.inner(), &name, &shared.settings)).transpose();
        let url = &self.shared.url;
        let found = blocking(ask).await?.map_err(|e| unavailable(url, "kafka does not name its topics").because(e))?;
        match found.is_some_and(|partitions| !partitions.is_empty()) {
            true => Ok(()),
            false => Err(Error::config(format!("{url} has no topic {topic}: create it there, or say create=on"))),
        }
    }

    async fn create(&self, topic: &str) -> Result<()> {
        let (s, url) = (&self.shared.settings, &self.shared.url);
        let new =
            NewTopic::new(topic, s.partitions, TopicReplication::Fixed(s.replicas)).set("max.message.bytes", "1200000");
        let options = AdminOptions::new().operation_timeout(Some(s.timeout)).request_timeout(Some(s.timeout));
        let refused =
            |text: String| Error::new(Kind::Unavailable, format!("kafka makes no topic {topic} at {url}: {text}"));
        let Some(admin) = self.admin.client() else { return Err(down(url)) };
        let results = admin.create_topics(&[new], &options).await.map_err(|e| refused(e.to_string()))?;
        match results.into_iter().next() {
            Some(Ok(_)) | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => Err(Error::config(format!(
                "{url} wants {} replicas of each topic, which the cluster cannot give: set replicas to its brokers",
                s.replicas
            ))),
            Some(Err((_, code))) => Err(refused(code.to_string())),
            None => Err(refused("no answer".to_owned())),
        }
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka({})", self.shared.url)
    }
}

#[async_trait]
impl Broker for Kafka {
    fn capability(&self) -> Capability {
        Capability { group: true, group_order: true, durable: true, replay: true, receipt: Level::Stored }
    }

    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm> {
        self.check_up()?;
        let topic = topic::name(&self.shared.settings.prefix, topic);
        self.ensure(&topic).await.map_err(not_handed_over)?;
        let (url, known) = (self.shared.url.clone(), self.known.clone());
        let producer = self.producer()?;
        let client = producer.client().ok_or_else(|| down(&url))?;
        match client.send_result(FutureRecord::to(&topic).key(&key[..]).payload(&body[..])) {
            Ok(delivery) => Ok(Box::pin(async move {
                // Kept until then: a producer that ends takes back what it has not sent.
                let _producer = producer;
                let Ok(delivered) = delivery.await else {
                    return Err(Error::new(Kind::Timeout, "the client ended before kafka answered"));
                };
                receipt(delivered).map_err(|e| {
                    known.forget(&topic);
                    e.context("url", url)
                })
            })),
            Err((error, _)) => Err(match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => Error::new(Kind::Full, "the client takes no more events"),
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => too_large(),
                _ => Error::new(Kind::BusDown, "the client refuses the event"),
            }
            .context("url", &self.shared.url)
            .because(error)),
        }
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        self.check_up()?;
        let name = topic::name(&self.shared.settings.prefix, topic);
        self.ensure(&name).await?;
        match options {
            Options { durable: Some(d), from, .. } => {
                let group = format!("due.{}", names::group("d", topic, d));
                group::open(self.shared.clone(), name, group, true, from).await
            }
            Options { group: Some(g), from, .. } => {
                let group = format!("due.{}", names::group("g", topic, g));
                group::open(self.shared.clone(), name, group, false, from).await
            }
            Options { from, .. } => plain::open(self.shared.clone(), name, from).await,
        }
    }
}

/// Who publishes learns that the bus is down.
fn not_handed_over(error: Error) -> Error {
    match error.kind() {
        Kind::Unavailable => Error::new(Kind::BusDown, "the event's topic cannot be reached").because(error),
        _ => error,
    }
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, "the event is over the topic's max.message.bytes: raise it there")
}

fn receipt(delivered: OwnedDeliveryResult) -> Result<Receipt> {
    match delivered {
        Ok(d) => Ok(Receipt::Stored { position: position(d.partition, d.offset, d.timestamp) }),
        Err((error, _)) => Err(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => too_large(),
            Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::RequestTimedOut) => {
                Error::new(Kind::Timeout, "kafka has not said whether it keeps the event")
            }
            _ => Error::new(Kind::Timeout, "kafka may not keep the event"),
        }
        .because(error)),
    }
}

pub(super) fn position(partition: i32, offset: i64, time: Timestamp) -> Position {
    Position(format!("{partition}:{offset}:{}", time.to_millis().unwrap_or(0)).into())
}
