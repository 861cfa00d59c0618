//! The process that keeps everything: memory backends, and the guests that use them over links.

use std::{collections::HashMap, sync::Arc, time::Duration};

use due_core::{
    Error, Kind, Result, Url,
    bus::{self, Ack, Broker as _, Options, Raw},
    config::{self, ConfigSource},
    locate::{self, Locator},
    registry::{self, RegistryStore},
    transport::{Acceptor, Dialer, FrameKind, Head, Link, Listening, Transport},
};
use serde::Serialize;
use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use super::{
    home_owner,
    line::{Line, Out},
    wire::{Ask, FAULT, How, Item, decode, encode, encode_fault},
};

/// Streams and waits of one guest.
const MOST_TASKS: usize = 4096;
/// Frames that may wait for a guest.
const QUEUE: usize = 1024;
/// The longest lease a guest may ask for.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// Everything, and the address it is served at.
pub(super) struct Home {
    kept: Kept,
    /// Held for its drop.
    _listening: Listening,
    /// The visits of guests end when it is dropped.
    _open: watch::Sender<()>,
}

#[derive(Clone, Default)]
struct Kept {
    names: registry::memory::Memory,
    places: Arc<locate::memory::Memory>,
    events: Arc<bus::memory::Broker>,
    values: Arc<config::memory::Memory>,
}

impl Home {
    /// Serves at `at`. Errors: those of [`Transport::listen`].
    pub(super) async fn listen(at: &Url, transport: Arc<dyn Transport>) -> Result<Self> {
        let kept = Kept::default();
        let (open, closed) = watch::channel(());
        let door = Door { kept: kept.clone(), runtime: Handle::current(), closed };
        let listening = transport.listen(at, home_owner(), Arc::new(door)).await?;
        Ok(Self { kept, _listening: listening, _open: open })
    }

    pub(super) fn names(&self) -> registry::memory::Memory {
        self.kept.names.clone()
    }

    pub(super) fn places(&self) -> Arc<locate::memory::Memory> {
        self.kept.places.clone()
    }

    pub(super) fn events(&self) -> Arc<bus::memory::Broker> {
        self.kept.events.clone()
    }

    pub(super) fn values(&self) -> Arc<config::memory::Memory> {
        self.kept.values.clone()
    }
}

struct Door {
    kept: Kept,
    runtime: Handle,
    closed: watch::Receiver<()>,
}

impl Acceptor for Door {
    fn accept(&self, from: Dialer, link: Box<dyn Link>) {
        let (kept, mut closed) = (self.kept.clone(), self.closed.clone());
        self.runtime.spawn(async move {
            tracing::debug!(guest = %from.owner.id, "a peer has come");
            tokio::select! {
                () = Visit::new(kept).serve(link) => {}
                _ = closed.changed() => {}
            }
            tracing::debug!(guest = %from.owner.id, "a peer has left");
        });
    }
}

/// One guest's link: its questions are answered in their order, streams and waits run beside them and end with it.
struct Visit {
    kept: Kept,
    tell: mpsc::Sender<Out>,
    told: mpsc::Receiver<Out>,
    tasks: JoinSet<()>,
    running: HashMap<u64, AbortHandle>,
    /// What durable subscriptions wait to hear, by stream and number.
    acks: Acks,
}

type Acks = Arc<Mutex<HashMap<(u64, u64), Ack>>>;

impl Visit {
    fn new(kept: Kept) -> Self {
        let (tell, told) = mpsc::channel(QUEUE);
        Self { kept, tell, told, tasks: JoinSet::new(), running: HashMap::new(), acks: Acks::default() }
    }

    async fn serve(mut self, link: Box<dyn Link>) {
        let mut line = Line::new(link);
        let mut answers = Vec::new();
        while let Some(batch) = line.next(&mut self.told, Some).await {
            for i in 0..batch.len() {
                let Some((head, body)) = batch.get(i) else { continue };
                match head.kind {
                    FrameKind::Order => answers.extend(self.ask(head.corr, body).await),
                    FrameKind::Cancel => self.cancel(head.corr).await,
                    _ => {}
                }
            }
            line.queue(answers.drain(..));
            while self.tasks.try_join_next().is_some() {}
        }
    }

    /// The answer; `None` if it comes later.
    async fn ask(&mut self, corr: u64, body: &[u8]) -> Option<Out> {
        let ask = match decode(body) {
            Ok(ask) => ask,
            Err(e) => return Some(answer(corr, Err(e))),
        };
        match ask {
            Ask::Wait { prefix, cursor } => {
                let (names, tell) = (self.kept.names.clone(), self.tell.clone());
                self.start(corr, async move {
                    let waited = names.wait(&prefix, cursor).await;
                    let _ = tell.send(answer(corr, waited.and_then(|()| encode(&())))).await;
                })
            }
            Ask::Feed => {
                let (places, tell) = (self.kept.places.clone(), self.tell.clone());
                match places.watch().await {
                    Ok(mut feed) => self.start(corr, async move {
                        let _ = tell.send(answer(corr, encode(&()))).await;
                        while say(&tell, corr, &Item::Place(feed.next().await)).await {}
                    }),
                    Err(e) => Some(answer(corr, Err(e))),
                }
            }
            Ask::Follow { prefix } => match self.kept.values.watch(&prefix).await {
                Ok(mut watch) => {
                    let tell = self.tell.clone();
                    self.start(corr, async move {
                        let _ = tell.send(answer(corr, encode(&()))).await;
                        while let Some(update) = watch.next().await
                            && say(&tell, corr, &Item::Value(update)).await
                        {}
                    })
                }
                Err(e) => Some(answer(corr, Err(e))),
            },
            Ask::Open { topic, options } => self.open(corr, &topic, options).await,
            Ask::Ack { stream, number } => {
                let ack = self.acks.lock().await.remove(&(stream, number));
                let done = match ack {
                    Some(ack) => ack.tell().await,
                    None => {
                        Err(Error::new(Kind::Gone, "the event came over a connection that is gone: it comes again"))
                    }
                };
                Some(answer(corr, done.and_then(|()| encode(&()))))
            }
            ask => Some(answer(corr, self.kept.answer(ask).await)),
        }
    }

    async fn open(&mut self, corr: u64, topic: &str, options: Options) -> Option<Out> {
        let durable = options.durable.is_some();
        let mut source = match self.kept.events.open(topic, &options).await {
            Ok(source) => source,
            Err(e) => return Some(answer(corr, Err(e))),
        };
        let (tell, acks) = (self.tell.clone(), self.acks.clone());
        self.start(corr, async move {
            let _ = tell.send(answer(corr, encode(&()))).await;
            let mut number = 0;
            while let Some(raw) = source.next().await {
                let item = match raw {
                    Raw::Gap(gap) => Item::Gap(gap),
                    Raw::Message { body, position, ack } => {
                        number += 1;
                        if durable {
                            acks.lock().await.insert((corr, number), ack);
                        }
                        Item::Event { number, body, position }
                    }
                };
                if !say(&tell, corr, &item).await {
                    return;
                }
            }
            say(&tell, corr, &Item::End).await;
        })
    }

    fn start(&mut self, corr: u64, work: impl Future<Output = ()> + Send + 'static) -> Option<Out> {
        if self.tasks.len() >= MOST_TASKS {
            return Some(answer(corr, Err(Error::new(Kind::Overloaded, "too many streams of one process"))));
        }
        self.running.insert(corr, self.tasks.spawn(work));
        None
    }

    async fn cancel(&mut self, corr: u64) {
        if let Some(task) = self.running.remove(&corr) {
            task.abort();
            self.acks.lock().await.retain(|(stream, _), _| *stream != corr);
        }
        self.running.retain(|_, task| !task.is_finished());
    }
}

impl Kept {
    /// Answers what needs no waiting for others.
    async fn answer(&self, ask: Ask) -> Result<Vec<u8>> {
        match ask {
            Ask::Put { key, value, ttl_ms, expect } => {
                encode(&self.names.put(&key, value, lease(ttl_ms), expect).await?)
            }
            Ask::Renew { key, incarnation, ttl_ms } => {
                encode(&self.names.renew(&key, incarnation, lease(ttl_ms)).await?)
            }
            Ask::Delete { key, incarnation } => encode(&self.names.delete(&key, incarnation).await?),
            Ask::Names { prefix } => encode(&self.names.list(&prefix).await?),
            Ask::Claim { subject, place, how: How::Take, claim } => {
                encode(&self.places.take(subject, place, claim).await?)
            }
            Ask::Claim { subject, place, how: How::IfAbsent, claim } => {
                encode(&self.places.if_absent(subject, place, claim).await?)
            }
            Ask::Claim { subject, place, how: How::IfEpoch(seen), claim } => {
                encode(&self.places.if_epoch(subject, place, seen, claim).await?)
            }
            Ask::Reassert(binding) => encode(&self.places.reassert(binding).await?),
            Ask::Unbind { subject, place, session, epoch } => {
                encode(&self.places.unbind(subject, place, session, epoch).await?)
            }
            Ask::Locate(subject) => encode(&self.places.locate(subject).await?),
            Ask::Check(bindings) => encode(&self.places.check(bindings).await?),
            Ask::Fence(owner) => encode(&self.places.fence(owner).await?),
            Ask::Send { topic, key, body } => encode(&self.events.send(&topic, key, body).await?.await?),
            Ask::Load { key } => encode(&self.values.load(&key).await?),
            Ask::Values { prefix } => encode(&self.values.list(&prefix).await?),
            Ask::Store { key, value, expect } => encode(&self.values.store(&key, value, expect).await?),
            Ask::Remove { key, expect } => encode(&self.values.delete(&key, expect).await?),
            Ask::Wait { .. } | Ask::Feed | Ask::Open { .. } | Ask::Ack { .. } | Ask::Follow { .. } => {
                Err(Error::new(Kind::Internal, "a stream is no plain question"))
            }
        }
    }
}

fn lease(ttl_ms: u64) -> Duration {
    Duration::from_millis(ttl_ms).min(LONGEST_LEASE)
}

fn answer(corr: u64, result: Result<Vec<u8>>) -> Out {
    let (flags, body) = match result {
        Ok(body) => (0, body),
        Err(e) => (FAULT, encode_fault(&e)),
    };
    (Head { kind: FrameKind::Answer, flags, corr, ..Head::default() }, body)
}

/// Sends an item; `false` when the guest has left.
async fn say(tell: &mpsc::Sender<Out>, corr: u64, item: &impl Serialize) -> bool {
    let Ok(body) = encode(item) else { return false };
    tell.send((Head { kind: FrameKind::Message, corr, ..Head::default() }, body)).await.is_ok()
}
