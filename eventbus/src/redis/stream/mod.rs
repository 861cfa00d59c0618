//! Streams: kept for a while, read from a place.

mod fanout;
mod member;
mod place;

use std::{
    sync::{Arc, LazyLock, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Result, Url,
    bus::{Begin, Broker, Capability, Confirm, Level, Options, Position, Receipt, Source},
};
use redis::{Cmd, Pipeline, Script, Value, cmd};
use tokio::{sync::Notify, time::Instant};

use self::{
    fanout::Reader,
    member::Member,
    place::{Id, Place, events, read_position},
};
use super::{
    fault,
    hub::{Ear, Hub, Seat},
    line::Line,
    publish::Publisher,
    settings::Settings,
    target::{Target, bytes},
};

/// How often a subscriber looks without having been called.
const LOOK: Duration = Duration::from_secs(2);
/// Pause after an error.
const PAUSE: Duration = Duration::from_millis(50);

const APPEND: &str = include_str!("append.lua");
static APPEND_SHA: LazyLock<String> = LazyLock::new(|| Script::new(APPEND).get_hash().to_owned());

/// Redis streams.
pub struct Stream {
    hub: Arc<Hub>,
    line: Arc<Line>,
    publisher: Publisher,
    settings: Arc<Settings>,
}

/// One topic as its subscribers see it.
#[derive(Clone)]
struct Topic {
    line: Weak<Line>,
    settings: Arc<Settings>,
    stream: Arc<str>,
    counter: Arc<str>,
    bell: Arc<Notify>,
    _seat: Arc<Seat>,
}

impl Stream {
    /// Connects to the primary among the hosts of `url`; fails if there is none now.
    pub async fn connect(url: &Url) -> Result<Self> {
        Self::open(Target::new(url)?, Settings::read(url)?).await
    }

    pub(super) async fn open(target: Target, settings: Settings) -> Result<Self> {
        let hub = Arc::new(Hub::default());
        let line = Arc::new(Line::open(target, hub.clone()).await?);
        let publisher = Publisher::new(line.clone(), &settings, Some(APPEND), stored);
        Ok(Self { hub, line, publisher, settings: Arc::new(settings) })
    }

    fn keys(&self, topic: &str) -> (String, String, String) {
        let ns = &self.settings.ns;
        let key = format!("due:{{{ns}:bus:{topic}}}");
        (format!("{key}:s"), format!("{key}:n"), format!("due:{{{ns}}}:bell:{topic}"))
    }

    async fn topic(&self, name: &str) -> Result<Topic> {
        let (stream, counter, channel) = self.keys(name);
        let bell = Arc::new(Notify::new());
        let by = Instant::now() + self.settings.timeout;
        let seat = self.hub.listen(&self.line, channel.into(), Ear::Bell(bell.clone()), by).await?;
        Ok(Topic {
            line: Arc::downgrade(&self.line),
            settings: self.settings.clone(),
            stream: stream.into(),
            counter: counter.into(),
            bell,
            _seat: Arc::new(seat),
        })
    }
}

#[async_trait]
impl Broker for Stream {
    fn capability(&self) -> Capability {
        Capability { group: true, group_order: false, durable: true, replay: true, receipt: Level::Stored }
    }

    async fn send(&self, topic: &str, _key: Bytes, body: Bytes) -> Result<Confirm> {
        let (stream, counter, bell) = self.keys(topic);
        let mut append = cmd("EVALSHA");
        append.arg(APPEND_SHA.as_str()).arg(2).arg(stream).arg(counter);
        append.arg(&body[..]).arg(events(&body)).arg(self.settings.max_len);
        append.arg(self.settings.keep.as_millis() as u64).arg(bell);
        self.publisher.send(append, body.len())
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        let topic = self.topic(topic).await?;
        Ok(match options {
            Options { durable: Some(name), from, .. } => {
                Box::new(Member::join(topic, &format!("d:{name}"), true, from).await?)
            }
            Options { group: Some(name), from, .. } => {
                Box::new(Member::join(topic, &format!("g:{name}"), false, from).await?)
            }
            Options { from, .. } => Box::new(Reader::open(topic, from).await?),
        })
    }
}

impl Topic {
    fn by(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Asks for one thing; `None` when the bus is closed.
    async fn ask(&self, request: Cmd) -> Option<Result<Value>> {
        let line = self.line.upgrade()?;
        Some(line.ask_one(request, self.by()).await)
    }

    /// Runs a script on the topic; a server that does not know it is told. The answer is an array.
    async fn run(&self, script: &'static Scripted, args: &[&[u8]]) -> Option<Result<Vec<Value>>> {
        let line = self.line.upgrade()?;
        for by_name in [true, false] {
            let mut call = if by_name { cmd("EVALSHA") } else { cmd("EVAL") };
            call.arg(if by_name { script.sha.as_str() } else { script.text });
            call.arg(2).arg(&*self.stream).arg(&*self.counter);
            args.iter().for_each(|arg| _ = call.arg(*arg));
            let mut pipe = Pipeline::new();
            pipe.add_command(call);
            let answer = match line.ask(&pipe, self.by()).await {
                Ok(mut answers) => answers.pop(),
                Err(error) => return Some(Err(error)),
            };
            match answer {
                Some(Value::ServerError(cause)) if cause.code() == "NOSCRIPT" => {}
                Some(Value::ServerError(cause)) => return Some(Err(line.refused(&cause))),
                Some(Value::Array(parts)) => return Some(Ok(parts)),
                _ => break,
            }
        }
        Some(Err(fault::odd("script")))
    }

    /// Waits for news; `false` when the bus is closed.
    async fn news(&self, most: Duration) -> bool {
        // Looking again in vain costs little.
        let _ = tokio::time::timeout(most, self.bell.notified()).await;
        self.line.strong_count() > 0
    }

    /// Waits until there is a connection again; `false` when the bus is closed.
    async fn back(&self) -> bool {
        tokio::time::sleep(PAUSE).await;
        match self.line.upgrade() {
            // Not for ever: a bus that is closed meanwhile must be noticed.
            Some(line) => tokio::time::timeout(LOOK, line.up()).await.is_ok() || self.line.strong_count() > 1,
            None => false,
        }
    }
}

/// A script and the name that the server knows it by.
struct Scripted {
    text: &'static str,
    sha: String,
}

impl Scripted {
    fn new(text: &'static str) -> Self {
        Self { text, sha: Script::new(text).get_hash().to_owned() }
    }
}

/// Where a subscription begins: behind this id, and at this place if it is known.
enum From {
    Now,
    Behind(Id, Option<Place>),
}

impl From {
    fn read(begin: &Begin) -> Result<Self> {
        Ok(match begin {
            Begin::Now => Self::Now,
            Begin::First => Self::Behind(Id::default(), None),
            Begin::After(position) => {
                let (id, place) = read_position(position)?;
                Self::Behind(id, place)
            }
            Begin::Time(time) => Self::Behind(before(*time), None),
        })
    }
}

/// The last id that is earlier than the time.
fn before(time: SystemTime) -> Id {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    match u64::try_from(millis).unwrap_or(u64::MAX) {
        0 => Id::default(),
        millis => Id(millis - 1, u64::MAX),
    }
}

fn stored(answer: &Value) -> Option<Receipt> {
    let text = std::str::from_utf8(bytes(answer)?).ok()?;
    Some(Receipt::Stored { position: Position(text.into()) })
}
