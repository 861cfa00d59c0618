//! Channels: at most once, to whoever listens now.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Result, Url,
    bus::{Broker, Capability, Confirm, Level, Options, Raw, Receipt, Source},
};
use redis::{Value, cmd};
use tokio::time::Instant;

use super::{
    hub::{Ear, Hub, Seat},
    line::Line,
    publish::Publisher,
    settings::Settings,
    target::Target,
};
use crate::queue::{Receiver, bounded};

/// Plain pub/sub.
pub struct PubSub {
    hub: Arc<Hub>,
    line: Arc<Line>,
    publisher: Publisher,
    settings: Settings,
}

impl PubSub {
    /// Connects to the primary among the hosts of `url`; fails if there is none now.
    pub async fn connect(url: &Url) -> Result<Self> {
        Self::open(Target::new(url)?, Settings::read(url)?).await
    }

    pub(super) async fn open(target: Target, settings: Settings) -> Result<Self> {
        let hub = Arc::new(Hub::default());
        let line = Arc::new(Line::open(target, hub.clone()).await?);
        let accepted = |answer: &Value| matches!(answer, Value::Int(_)).then_some(Receipt::Accepted);
        let publisher = Publisher::new(line.clone(), &settings, None, accepted);
        Ok(Self { hub, line, publisher, settings })
    }

    fn channel(&self, topic: &str) -> String {
        format!("due:{{{}}}:bus:{topic}", self.settings.ns)
    }
}

#[async_trait]
impl Broker for PubSub {
    fn capability(&self) -> Capability {
        Capability { group: false, group_order: false, durable: false, replay: false, receipt: Level::Accepted }
    }

    async fn send(&self, topic: &str, _key: Bytes, body: Bytes) -> Result<Confirm> {
        let mut publish = cmd("PUBLISH");
        publish.arg(self.channel(topic)).arg(&body[..]);
        self.publisher.send(publish, body.len())
    }

    async fn open(&self, topic: &str, _options: &Options) -> Result<Box<dyn Source>> {
        let (sender, receiver) = bounded(self.settings.limit());
        let by = Instant::now() + self.settings.timeout;
        let seat = self.hub.listen(&self.line, self.channel(topic).into(), Ear::Queue(sender), by).await?;
        Ok(Box::new(Listening { receiver, _seat: seat }))
    }
}

struct Listening {
    receiver: Receiver,
    _seat: Seat,
}

#[async_trait]
impl Source for Listening {
    async fn next(&mut self) -> Option<Raw> {
        self.receiver.next().await
    }
}
