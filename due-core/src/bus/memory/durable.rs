//! Durable subscriptions: the position and what is not acknowledged stay with the topic.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::topic::{Entry, Log, Place, Topic};
use crate::{
    bus::{Ack, Acknowledge, Begin, Cause, Gap, Raw, Source},
    error::Result,
};

/// An event that is not acknowledged for this long comes again.
const REDELIVER: Duration = Duration::from_secs(30);
/// Events that may be with the subscribers of one name; no more are given out until some are acknowledged.
const OUTSTANDING: usize = 1024;

/// What is kept under a durable name.
pub(super) struct Durable {
    place: Place,
    /// Given out and not acknowledged, by offset.
    out: BTreeMap<u64, Out>,
    /// The place it was to begin at was never there.
    unknown: bool,
    last_member: u64,
}

struct Out {
    entry: Entry,
    /// Who has it; 0: nobody any more.
    member: u64,
    until: Instant,
}

enum Next {
    Raw(Raw),
    End,
    /// Nothing now; something may come back at this time.
    Wait(Option<Instant>),
}

pub(super) struct Member {
    topic: Arc<Topic>,
    name: Arc<str>,
    id: u64,
}

impl Member {
    /// Goes on where the name stands; the first `from` says where it begins.
    pub(super) fn join(topic: Arc<Topic>, name: Arc<str>, from: &Begin) -> Self {
        let mut log = topic.log();
        let begin = log.begin(from);
        let durable = log.durables.entry(name.clone()).or_insert_with(|| Durable {
            place: begin.unwrap_or_else(|first| first),
            out: BTreeMap::new(),
            unknown: begin.is_err(),
            last_member: 0,
        });
        durable.last_member += 1;
        let id = durable.last_member;
        drop(log);
        Self { topic, name, id }
    }

    fn step(&self) -> Next {
        let mut log = self.topic.log();
        // Taken out, so that the rest of the log can be read beside it.
        let Some(mut durable) = log.durables.remove(&self.name) else { return Next::End };
        let next = durable.next(&log, self.id);
        log.durables.insert(self.name.clone(), durable);
        match next {
            Ok(entry) => Next::Raw(Raw::Message {
                body: entry.body,
                position: Some(entry.place.position()),
                ack: Ack::new(Arc::new(Receipt {
                    topic: Arc::downgrade(&self.topic),
                    name: self.name.clone(),
                    offset: entry.place.offset,
                })),
            }),
            Err(other) => other,
        }
    }
}

impl Durable {
    fn next(&mut self, log: &Log, member: u64) -> Result<Entry, Next> {
        if std::mem::take(&mut self.unknown) {
            return Err(Next::Raw(Raw::Gap(Gap { cause: Cause::Trimmed, lost: None })));
        }
        let now = Instant::now();
        if let Some(out) = self.out.values_mut().find(|o| o.member == 0 || o.until <= now) {
            out.member = member;
            out.until = now + REDELIVER;
            return Ok(out.entry.clone());
        }
        while self.out.len() < OUTSTANDING {
            match log.at(self.place) {
                Err((first, lost)) => {
                    self.place = first;
                    if lost > 0 {
                        return Err(Next::Raw(Raw::Gap(Gap { cause: Cause::Trimmed, lost: Some(lost) })));
                    }
                }
                Ok(Some(entry)) => {
                    self.place = entry.next();
                    if entry.events > 0 {
                        let out = Out { entry: entry.clone(), member, until: now + REDELIVER };
                        self.out.insert(entry.place.offset, out);
                        return Ok(entry.clone());
                    }
                }
                Ok(None) if log.closed => return Err(Next::End),
                Ok(None) => break,
            }
        }
        Err(Next::Wait(self.out.values().map(|o| o.until).min()))
    }
}

#[async_trait]
impl Source for Member {
    async fn next(&mut self) -> Option<Raw> {
        loop {
            let news = self.topic.news.notified();
            match self.step() {
                Next::Raw(raw) => return Some(raw),
                Next::End => return None,
                Next::Wait(None) => news.await,
                Next::Wait(Some(until)) => tokio::select! {
                    () = news => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut log = self.topic.log();
        if let Some(durable) = log.durables.get_mut(&self.name) {
            durable.out.values_mut().filter(|o| o.member == self.id).for_each(|o| o.member = 0);
        }
        drop(log);
        self.topic.news.notify_waiters();
    }
}

struct Receipt {
    topic: Weak<Topic>,
    name: Arc<str>,
    offset: u64,
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<()> {
        if let Some(topic) = self.topic.upgrade() {
            if let Some(durable) = topic.log().durables.get_mut(&self.name) {
                durable.out.remove(&self.offset);
            }
            topic.news.notify_waiters();
        }
        Ok(())
    }
}
