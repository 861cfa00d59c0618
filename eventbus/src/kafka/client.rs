//! What every client of a cluster has: settings, log, and whether a broker can be reached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use due_core::{Error, Kind, Origin, Result, Url};
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    client::Client,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext, Rebalance, StreamConsumer},
    error::{KafkaError, KafkaResult},
};
use tokio::sync::Notify;

use super::settings::Settings;

/// With a key and what is around it; brokers count their own fields too.
const LARGEST: &str = "1200000";

/// How often a producer looks whether a broker is connected, in milliseconds.
const LOOK: &str = "250";
/// Looks that see none before the bus is down. Until then the client keeps what is published: connections come and go.
const SILENT: u64 = 8;

pub(super) type Consumer = StreamConsumer<Context>;

/// Hears what librdkafka says.
#[derive(Clone, Default)]
pub(super) struct Context(Arc<State>);

#[derive(Default)]
struct State {
    /// Looks since a broker was connected.
    silent: AtomicU64,
    /// Partitions were given or taken so often.
    rebalances: AtomicU64,
    assigned: Notify,
}

impl Context {
    pub(super) fn is_down(&self) -> bool {
        self.0.silent.load(Ordering::Acquire) >= SILENT
    }

    pub(super) fn rebalances(&self) -> u64 {
        self.0.rebalances.load(Ordering::Acquire)
    }

    /// Returns when partitions were given; there may be none for this member.
    pub(super) async fn assigned(&self) {
        self.0.assigned.notified().await;
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, area: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "due::eventbus::kafka", area, "{text}");
            }
            // A broker that is away is an error to librdkafka at every attempt.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "due::eventbus::kafka", area, "{text}");
            }
            _ => tracing::debug!(target: "due::eventbus::kafka", area, "{text}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|b| b.state == "UP") {
            self.0.silent.store(0, Ordering::Release);
        } else {
            self.0.silent.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "due::eventbus::kafka", %error, reason, "librdkafka");
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.rebalances.fetch_add(1, Ordering::AcqRel);
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.0.assigned.notify_one();
        }
    }
}

/// For a client of any kind.
pub(super) fn config(url: &Url, settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", url.hosts().join(","))
        .set("client.id", &settings.name)
        .set("message.max.bytes", LARGEST)
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("socket.timeout.ms", settings.timeout.as_millis().to_string())
        .set("socket.connection.setup.timeout.ms", settings.timeout.as_millis().to_string())
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", settings.refresh.as_millis().to_string());
    config
}

/// For a producer: everything in order, on all replicas, once.
pub(super) fn producing(config: &mut ClientConfig, settings: &Settings) {
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "0")
        .set("statistics.interval.ms", LOOK)
        .set("queue.buffering.max.messages", "4096")
        .set("queue.buffering.max.kbytes", "65536")
        .set("request.timeout.ms", settings.timeout.as_millis().to_string())
        .set("message.timeout.ms", settings.timeout.as_millis().to_string());
}

/// For a consumer that keeps its place itself or commits by hand.
pub(super) fn consuming(config: &mut ClientConfig, settings: &Settings, group: &str, reset: &str) {
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", reset)
        .set("allow.auto.create.topics", "false")
        .set("session.timeout.ms", settings.session.as_millis().to_string())
        .set("heartbeat.interval.ms", (settings.session.as_millis() / 20).to_string())
        .set("partition.assignment.strategy", "range")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.message.max.bytes", LARGEST)
        .set("fetch.error.backoff.ms", "100")
        .set("queued.min.messages", settings.queue.to_string())
        .set("queued.max.messages.kbytes", (settings.queue_bytes / 1024).to_string());
}

/// Makes a consumer of the settings.
pub(super) fn consumer(config: &ClientConfig, url: &Url) -> Result<Consumer> {
    config.create_with_context(Context::default()).map_err(|e| unavailable(url, "cannot make a client").because(e))
}

/// A client that is dropped on a thread of its own: its end waits for its threads.
pub(super) struct Apart<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Apart<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }

    /// The client; `None` only while this is dropped.
    pub(super) fn client(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Send + 'static> Drop for Apart<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        let _ = thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(client));
    }
}

/// Runs what blocks, away from the tasks.
pub(super) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(f).await.map_err(|e| Error::new(Kind::Internal, "a task of kafka ended").because(e))
}

/// Tries until it works or `limit` has passed. Blocks.
pub(super) fn retry<T>(limit: Duration, mut f: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    const PAUSE: Duration = Duration::from_millis(100);
    let end = Instant::now() + limit;
    loop {
        match f() {
            Err(error) if Instant::now() < end => tracing::debug!(%error, "not yet"),
            result => return result,
        }
        thread::sleep(PAUSE);
    }
}

pub(super) fn down(url: &Url) -> Error {
    Error::new(Kind::BusDown, "no broker of kafka can be reached").context("url", url)
}

pub(super) fn unavailable(url: &Url, text: &'static str) -> Error {
    Error::new(Kind::Unavailable, text).from_origin(Origin::Remote).context("url", url)
}

pub(super) fn missing(url: &Url) -> Error {
    let text = format!("no kafka broker answers at {url}: start one there, or correct host and port");
    Error::new(Kind::Unavailable, text).from_origin(Origin::Remote)
}

/// The partitions of a topic; none if it does not exist.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    settings: &Settings,
) -> KafkaResult<Vec<i32>> {
    let metadata = client.fetch_metadata(Some(topic), settings.timeout)?;
    let known = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
    Ok(known.map(|t| t.partitions().iter().map(|p| p.id()).collect()).unwrap_or_default())
}
