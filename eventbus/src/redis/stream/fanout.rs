//! A subscriber that gets everything: a place in the stream, which is kept here.

use std::collections::VecDeque;

use async_trait::async_trait;
use due_core::{
    Result,
    bus::{Ack, Begin, Cause, Gap, Raw, Source},
};
use redis::{Cmd, Value, cmd};

use super::{
    From, LOOK, Topic,
    place::{Entry, Id, Place},
};
use crate::redis::{fault, target::bytes};

/// Entries of one answer.
const AT_ONCE: usize = 32;

pub(super) struct Reader {
    topic: Topic,
    /// The last id that was read.
    at: Id,
    /// `None` until an entry says it, where nothing can be missing before that.
    place: Option<Place>,
    ready: VecDeque<Raw>,
    /// On which connection it was seen that the stream still reaches up to here.
    seen: Option<u64>,
}

impl Reader {
    pub(super) async fn open(topic: Topic, begin: &Begin) -> Result<Self> {
        let closed = || fault::odd("subscription");
        let (at, place) = match From::read(begin)? {
            From::Behind(at, place) => (at, place),
            From::Now => end(&topic).await.ok_or_else(closed)??,
        };
        Ok(Self { topic, at, place, ready: VecDeque::new(), seen: None })
    }

    /// Reads on; `None` when the bus is closed. Says whether there was anything. Dropped half-way it has read nothing.
    async fn read(&mut self) -> Option<Result<bool>> {
        let mut range = cmd("XRANGE");
        range.arg(&*self.topic.stream).arg(format!("({}", self.at)).arg("+").arg("COUNT").arg(AT_ONCE);
        let entries = match self.topic.ask(range).await? {
            Ok(answer) => Entry::list(answer),
            Err(error) => return Some(Err(error)),
        };
        let any = !entries.is_empty();
        for entry in entries {
            self.take(entry);
        }
        Some(Ok(any))
    }

    fn take(&mut self, entry: Entry) {
        if let Some(gap) = self.place.as_ref().and_then(|place| place.missing(&entry)) {
            self.ready.push_back(Raw::Gap(gap));
        }
        self.at = entry.id;
        let position = Some(entry.position());
        self.place = entry.place.or(self.place.take());
        self.ready.push_back(Raw::Message { body: entry.body, position, ack: Ack::none() });
    }

    /// A stream that ends before the place that was read is another one: a server that was wiped or restored, whose
    /// clock is behind.
    async fn check(&mut self) -> Option<Result<()>> {
        let serial = self.topic.line.upgrade()?.serial();
        if self.seen == serial && serial.is_some() {
            return Some(Ok(()));
        }
        let last = match self.topic.ask(last(&self.topic)).await? {
            Ok(answer) => Entry::list(answer).pop(),
            Err(error) => return Some(Err(error)),
        };
        self.seen = serial;
        if last.is_some_and(|last| last.id < self.at) {
            self.ready.push_back(Raw::Gap(Gap { cause: Cause::Trimmed, lost: None }));
            (self.at, self.place) = (Id::default(), None);
        }
        Some(Ok(()))
    }

    async fn step(&mut self) -> Option<Result<bool>> {
        match self.read().await? {
            Ok(false) => match self.check().await? {
                Ok(()) => Some(Ok(!self.ready.is_empty())),
                Err(error) => Some(Err(error)),
            },
            read => Some(read),
        }
    }
}

#[async_trait]
impl Source for Reader {
    async fn next(&mut self) -> Option<Raw> {
        loop {
            if let Some(raw) = self.ready.pop_front() {
                return Some(raw);
            }
            match self.step().await? {
                Ok(true) => {}
                Ok(false) => {
                    if !self.topic.news(LOOK).await {
                        return None;
                    }
                    // A stream that begins anew without a broken connection is noticed too.
                    self.seen = None;
                }
                Err(error) => {
                    tracing::debug!(stream = &*self.topic.stream, %error, "a topic was not read; trying on");
                    self.seen = None;
                    if !self.topic.back().await {
                        return None;
                    }
                }
            }
        }
    }
}

fn last(topic: &Topic) -> Cmd {
    let mut last = cmd("XREVRANGE");
    last.arg(&*topic.stream).arg("+").arg("-").arg("COUNT").arg(1);
    last
}

/// The place behind all that is there.
async fn end(topic: &Topic) -> Option<Result<(Id, Option<Place>)>> {
    let mut counter = cmd("HMGET");
    counter.arg(&*topic.counter).arg("life").arg("events");
    // The counter first: what is added in between is not missed, it is only not called lost.
    let counted = match topic.ask(counter).await? {
        Ok(answer) => counted(&answer),
        Err(error) => return Some(Err(error)),
    };
    match topic.ask(last(topic)).await? {
        Ok(answer) => Some(Ok(match Entry::list(answer).pop() {
            Some(entry) => (entry.id, entry.place.or(counted)),
            None => (Id::default(), counted.or_else(|| Place::parse("-0"))),
        })),
        Err(error) => Some(Err(error)),
    }
}

fn counted(answer: &Value) -> Option<Place> {
    let Value::Array(parts) = answer else { return None };
    let [life, events] = parts.as_slice() else { return None };
    let text = |value| bytes(value).and_then(|text| std::str::from_utf8(text).ok());
    Place::parse(&format!("{}-{}", text(life)?, text(events)?))
}
