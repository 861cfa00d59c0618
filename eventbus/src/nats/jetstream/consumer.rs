//! Who reads where: the consumer of one subscription.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{
    datetime::{self, DateTime},
    jetstream::{
        ErrorCode,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull::Config},
        context::ConsumerInfoErrorKind,
        stream::{Info, Stream},
    },
};
use due_core::{Result, bus::Begin};

use super::JetStream;

/// What a subscription reads, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) subject: String,
    pub(super) role: Role,
}

/// Who keeps the position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// This process.
    Plain,
    /// The server, under this name, while somebody reads.
    Group(String),
    /// The server, under this name.
    Durable(String),
}

/// Where to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    First,
    /// The first event of this sequence or a later one.
    At(u64),
    /// The first event of this time or a later one.
    Since(SystemTime),
}

/// A consumer that is ready, and whether something is missing before it.
pub(super) struct Ready {
    pub(super) consumer: Consumer<Config>,
    pub(super) place: Place,
    pub(super) trimmed: bool,
    /// Which life of the stream.
    pub(super) created: DateTime,
}

impl Place {
    /// Where a new subscription begins, and whether what it asks for is gone.
    fn begin(from: &Begin, stream: &Info) -> (Self, bool) {
        let state = &stream.state;
        match from {
            Begin::Now => (Self::At(state.last_sequence + 1), false),
            Begin::First => (Self::First, false),
            Begin::Time(time) => (Self::Since(*time), false),
            Begin::After(position) => match position.0.parse::<u64>() {
                Ok(at) if at <= state.last_sequence && at.saturating_add(1) >= state.first_sequence => {
                    (Self::At(at + 1), false)
                }
                _ => (Self::First, true),
            },
        }
    }

    /// Where a subscription goes on that stood here, and whether what comes next may be gone. A shorter or another
    /// stream than before has lost everything.
    fn again(self, stream: &Info, created: DateTime) -> (Self, bool) {
        let state = &stream.state;
        match self {
            Self::At(next) if stream.created == created && next <= state.last_sequence + 1 => {
                if next < state.first_sequence { (Self::First, true) } else { (self, false) }
            }
            Self::At(_) => (Self::First, true),
            Self::First | Self::Since(_) => (self, stream.created != created),
        }
    }

    fn policy(self) -> DeliverPolicy {
        match self {
            Self::First => DeliverPolicy::All,
            Self::At(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
            Self::Since(time) => {
                let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                match i128::try_from(nanos).map(datetime::from_nanos) {
                    Ok(Ok(start_time)) => DeliverPolicy::ByStartTime { start_time },
                    _ => DeliverPolicy::New,
                }
            }
        }
    }
}

impl JetStream {
    /// A consumer for a new subscription.
    pub(super) async fn first_consumer(&self, wish: &Wish, from: &Begin) -> Result<Ready> {
        let stream = self.stream().await?;
        let info = stream.cached_info();
        let created = info.created;
        if let Some(name) = wish.name()
            && let Some(consumer) = self.known(&stream, name).await?
        {
            return Ok(known(consumer, info));
        }
        let (place, trimmed) = Place::begin(from, info);
        let consumer = self.make(&stream, wish, place).await?;
        Ok(Ready { consumer, place, trimmed, created })
    }

    /// A consumer for a subscription that stood at `place` of the stream made at `created`.
    pub(super) async fn next_consumer(&self, wish: &Wish, place: Place, created: DateTime) -> Result<Ready> {
        let stream = self.stream().await?;
        let info = stream.cached_info();
        if let Some(name) = wish.name()
            && info.created == created
            && let Some(consumer) = self.known(&stream, name).await?
        {
            return Ok(known(consumer, info));
        }
        let (place, trimmed) = place.again(info, created);
        let consumer = self.make(&stream, wish, place).await?;
        Ok(Ready { consumer, place, trimmed, created: info.created })
    }

    async fn known(&self, stream: &Stream, name: &str) -> Result<Option<Consumer<Config>>> {
        match stream.consumer_info(name).await {
            Ok(_) => stream.get_consumer(name).await.map(Some).map_err(|e| self.unavailable(e)),
            Err(e) => match e.kind() {
                ConsumerInfoErrorKind::NotFound => Ok(None),
                ConsumerInfoErrorKind::JetStream(e) if e.error_code() == ErrorCode::CONSUMER_NOT_FOUND => Ok(None),
                _ => Err(self.unavailable(e)),
            },
        }
    }

    async fn make(&self, stream: &Stream, wish: &Wish, place: Place) -> Result<Consumer<Config>> {
        match stream.create_consumer(self.consumer_config(wish, place)).await {
            Ok(consumer) => Ok(consumer),
            // Another member was quicker: its place counts.
            Err(e) => match wish.name() {
                Some(name) => self.known(stream, name).await?.ok_or_else(|| self.unavailable(e)),
                None => Err(self.unavailable(e)),
            },
        }
    }

    fn consumer_config(&self, wish: &Wish, place: Place) -> Config {
        let config = Config {
            deliver_policy: place.policy(),
            filter_subject: wish.subject.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.settings.ack_wait,
            ..Config::default()
        };
        let (idle, memory_storage) = (self.settings.idle, true);
        match &wish.role {
            Role::Plain => Config { ack_policy: AckPolicy::None, inactive_threshold: idle, memory_storage, ..config },
            Role::Group(name) => {
                Config { name: Some(name.clone()), inactive_threshold: idle, memory_storage, ..config }
            }
            Role::Durable(name) => {
                Config { durable_name: Some(name.clone()), inactive_threshold: Duration::ZERO, ..config }
            }
        }
    }
}

impl Wish {
    fn name(&self) -> Option<&str> {
        match &self.role {
            Role::Plain => None,
            Role::Group(name) | Role::Durable(name) => Some(name),
        }
    }
}

/// A consumer that was there: something may be missing if the stream begins behind what it had.
fn known(consumer: Consumer<Config>, stream: &Info) -> Ready {
    let at = consumer.cached_info().ack_floor.stream_sequence.max(start(&consumer));
    let trimmed = at > 0 && stream.state.first_sequence > at + 1;
    Ready { consumer, place: Place::At(at + 1), trimmed, created: stream.created }
}

/// What stands before the place that a consumer was made with.
fn start(consumer: &Consumer<Config>) -> u64 {
    match consumer.cached_info().config.deliver_policy {
        DeliverPolicy::ByStartSequence { start_sequence } => start_sequence.saturating_sub(1),
        _ => 0,
    }
}
