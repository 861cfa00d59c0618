//! A member of a group, or of a durable name: the position is kept by the server.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Error, Kind, Result,
    bus::{Ack, Acknowledge, Begin, Cause, Gap, Position, Raw, Source},
};
use redis::{Value, cmd};
use tokio::time::Instant;

use super::{
    From, LOOK, Scripted, Topic,
    place::{Entry, Id, Place},
};
use crate::redis::{fault, target::bytes};

/// Entries of one answer.
const AT_ONCE: usize = 8;
/// Events that may be with one subscriber unacknowledged; it gets no more until some are.
const OUTSTANDING: usize = 256;
/// How often a durable name looks for what others have left.
const SWEEP: Duration = Duration::from_secs(1);
/// A member of a group that has not looked for so long is gone.
const STALE: Duration = Duration::from_secs(30);

static JOIN: LazyLock<Scripted> = LazyLock::new(|| Scripted::new(include_str!("join.lua")));
static TAKE: LazyLock<Scripted> = LazyLock::new(|| Scripted::new(include_str!("take.lua")));
static LEAVE: LazyLock<Scripted> = LazyLock::new(|| Scripted::new(include_str!("leave.lua")));

type Fetch = Pin<Box<dyn Future<Output = Option<Result<Batch>>> + Send>>;

pub(super) struct Member {
    shared: Arc<Shared>,
    ready: VecDeque<Raw>,
    /// Under way. Kept here, so that what the server has given is not lost with a dropped `next`.
    fetch: Option<(What, Fetch)>,
    swept: Instant,
    /// The last answer was lost: what was in it is still pending.
    recover: bool,
}

struct Shared {
    topic: Topic,
    group: String,
    member: String,
    /// The position outlives its members, and events are acknowledged.
    durable: bool,
    /// Given out and not acknowledged, and until when that counts.
    out: Mutex<BTreeMap<Id, Instant>>,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Next,
    /// What nobody has acknowledged in time.
    Left,
    /// What is pending with this member.
    Own,
}

#[derive(Default)]
struct Batch {
    /// Where the group was before, if that is known.
    before: Option<Place>,
    entries: Vec<Entry>,
    /// Entries that were pending and are not kept any more.
    deleted: u64,
    /// The group is gone with its stream.
    gone: bool,
}

impl Member {
    pub(super) async fn join(topic: Topic, group: &str, durable: bool, begin: &Begin) -> Result<Self> {
        let member = format!("{:032x}", rand::random::<u128>());
        let shared = Shared { topic, group: group.to_owned(), member, durable, out: Mutex::default() };
        shared.join(From::read(begin)?).await.ok_or_else(|| fault::odd("subscription"))??;
        let swept = Instant::now().checked_sub(SWEEP).unwrap_or_else(Instant::now);
        Ok(Self { shared: Arc::new(shared), ready: VecDeque::new(), fetch: None, swept, recover: false })
    }

    fn what(&mut self) -> Option<What> {
        if !self.shared.durable {
            return Some(What::Next);
        }
        if std::mem::take(&mut self.recover) {
            return Some(What::Own);
        }
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            return Some(What::Left);
        }
        (self.shared.outstanding() < OUTSTANDING).then_some(What::Next)
    }

    /// Notes what came; says whether there was anything.
    fn take(&mut self, batch: Batch, what: What) -> bool {
        if batch.deleted > 0 {
            self.ready.push_back(Raw::Gap(Gap { cause: Cause::Trimmed, lost: Some(batch.deleted) }));
        }
        let mut place = batch.before;
        for entry in batch.entries {
            if let Some(gap) = place.as_ref().and_then(|place| place.missing(&entry)) {
                self.ready.push_back(Raw::Gap(gap));
            }
            if what == What::Next {
                place = entry.place.clone().or(place);
            }
            if entry.events() > 0 && !(what == What::Own && self.shared.is_out(entry.id)) {
                self.ready.push_back(self.shared.deliver(entry));
            }
        }
        !self.ready.is_empty()
    }
}

#[async_trait]
impl Source for Member {
    async fn next(&mut self) -> Option<Raw> {
        loop {
            if let Some(raw) = self.ready.pop_front() {
                return Some(raw);
            }
            if self.fetch.is_none() {
                let Some(what) = self.what() else {
                    if !self.shared.topic.news(SWEEP).await {
                        return None;
                    }
                    continue;
                };
                let shared = self.shared.clone();
                self.fetch = Some((what, Box::pin(async move { shared.fetch(what).await })));
            }
            let Some((what, fetch)) = &mut self.fetch else { continue };
            let (what, fetched) = (*what, fetch.await);
            self.fetch = None;
            match fetched? {
                Ok(batch) if batch.gone => {
                    // Whatever it had is gone with it; all that is there now came later.
                    self.ready.push_back(Raw::Gap(Gap { cause: Cause::Trimmed, lost: None }));
                    if let Err(error) = self.shared.join(From::Behind(Id::default(), None)).await? {
                        tracing::debug!(group = self.shared.group, %error, "a group was not made anew; trying on");
                    }
                }
                Ok(batch) => {
                    let any = self.take(batch, what);
                    if !any && what == What::Next && !self.shared.topic.news(self.shared.look()).await {
                        return None;
                    }
                }
                Err(error) => {
                    tracing::debug!(group = self.shared.group, %error, "a group was not read; trying on");
                    self.recover = self.shared.durable;
                    if !self.shared.durable && error.kind() == Kind::Timeout {
                        // What was in the answer was given to nobody else.
                        self.ready.push_back(Raw::Gap(Gap { cause: Cause::Reconnect, lost: None }));
                    }
                    if !self.shared.topic.back().await {
                        return None;
                    }
                }
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let shared = self.shared.clone();
        // Without a runtime others get what it has when the time for it is over.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                shared.topic.run(&LEAVE, &[shared.group.as_bytes(), shared.member.as_bytes()]).await;
            });
        }
    }
}

impl Shared {
    async fn join(&self, from: From) -> Option<Result<()>> {
        let (from, base) = match from {
            From::Now => ("$".to_owned(), String::new()),
            From::Behind(id, place) => (id.to_string(), place.map_or_else(String::new, |place| place.to_string())),
        };
        let (lasts, stale) = (self.lasts(), STALE.as_millis().to_string());
        let args = [&self.group, &self.member, &from, &base, lasts, &stale].map(str::as_bytes);
        Some(self.topic.run(&JOIN, &args).await?.map(drop))
    }

    fn lasts(&self) -> &str {
        if self.durable { "1" } else { "0" }
    }

    /// How long it may go without looking.
    fn look(&self) -> Duration {
        if self.durable { SWEEP } else { LOOK }
    }

    async fn fetch(&self, what: What) -> Option<Result<Batch>> {
        match what {
            What::Next => self.next().await,
            What::Left => self.left().await,
            What::Own => self.own().await,
        }
    }

    async fn next(&self) -> Option<Result<Batch>> {
        let count = AT_ONCE.to_string();
        let args = [&self.group, &self.member, &count, self.lasts()].map(str::as_bytes);
        let parts = match self.topic.run(&TAKE, &args).await? {
            Ok(parts) => parts,
            Err(error) => return Some(Err(error)),
        };
        let mut parts = parts.into_iter();
        Some(match (parts.next().as_ref().and_then(bytes), parts.next(), parts.next()) {
            (Some(b"gone"), ..) => Ok(Batch { gone: true, ..Batch::default() }),
            (Some(b"ok"), Some(before), Some(entries)) => {
                let before = bytes(&before).and_then(|text| std::str::from_utf8(text).ok()).and_then(Place::parse);
                Ok(Batch { before, entries: Entry::list(entries), ..Batch::default() })
            }
            _ => Err(fault::odd("group")),
        })
    }

    async fn left(&self) -> Option<Result<Batch>> {
        let mut claim = cmd("XAUTOCLAIM");
        claim.arg(&*self.topic.stream).arg(&self.group).arg(&self.member);
        claim.arg(self.topic.settings.ack_wait.as_millis() as u64).arg("0-0").arg("COUNT").arg(AT_ONCE);
        Some(match self.topic.ask(claim).await? {
            Ok(Value::Array(parts)) => {
                let mut parts = parts.into_iter().skip(1);
                let entries = parts.next().map_or_else(Vec::new, Entry::list);
                let deleted = match parts.next() {
                    Some(Value::Array(ids)) => ids.len() as u64,
                    _ => 0,
                };
                Ok(Batch { entries, deleted, ..Batch::default() })
            }
            Ok(_) => Err(fault::odd("group")),
            Err(error) => gone_or(error),
        })
    }

    async fn own(&self) -> Option<Result<Batch>> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group).arg(&self.member).arg("COUNT").arg(2 * OUTSTANDING);
        read.arg("STREAMS").arg(&*self.topic.stream).arg("0");
        Some(match self.topic.ask(read).await? {
            Ok(Value::Map(mut streams)) => {
                let entries = streams.pop().map_or_else(Vec::new, |(_, entries)| Entry::list(entries));
                Ok(Batch { entries, ..Batch::default() })
            }
            Ok(_) => Ok(Batch::default()),
            Err(error) => gone_or(error),
        })
    }

    fn deliver(self: &Arc<Self>, entry: Entry) -> Raw {
        let position: Option<Position> = Some(entry.position());
        if !self.durable {
            return Raw::Message { body: entry.body, position, ack: Ack::none() };
        }
        self.out().insert(entry.id, Instant::now() + self.topic.settings.ack_wait);
        let ack = Ack::new(Arc::new(Receipt { shared: self.clone(), id: entry.id }));
        Raw::Message { body: entry.body, position, ack }
    }

    fn outstanding(&self) -> usize {
        let (now, mut out) = (Instant::now(), self.out());
        if out.len() >= OUTSTANDING {
            out.retain(|_, until| *until > now);
        }
        out.len()
    }

    fn is_out(&self, id: Id) -> bool {
        self.out().contains_key(&id)
    }

    fn out(&self) -> MutexGuard<'_, BTreeMap<Id, Instant>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group that is gone is no error of the bus.
fn gone_or(error: Error) -> Result<Batch> {
    match format!("{error:?}").contains("NOGROUP") {
        true => Ok(Batch { gone: true, ..Batch::default() }),
        false => Err(error),
    }
}

struct Receipt {
    shared: Arc<Shared>,
    id: Id,
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<()> {
        let mut ack = cmd("XACK");
        ack.arg(&*self.shared.topic.stream).arg(&self.shared.group).arg(self.id.to_string());
        let closed = || Error::new(Kind::BusDown, "the event bus is closed");
        self.shared.topic.ask(ack).await.ok_or_else(closed)??;
        self.shared.out().remove(&self.id);
        self.shared.topic.bell.notify_one();
        Ok(())
    }
}
