//! Groups: each event goes to one member, all of one key to the same while nobody joins or leaves.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use async_trait::async_trait;

use super::topic::{Entry, Topic};
use crate::bus::{Ack, Begin, Cause, Gap, Raw, Source};

/// Entries that wait for one member; beyond it they are lost and counted.
const WAITING: usize = 1024;

#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Inbox>,
    last: u64,
}

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Item>,
    /// Events lost behind what waits.
    lost: u64,
}

enum Item {
    Entry(Entry),
    Gap(Gap),
}

impl Group {
    /// Gives an entry to the member that its key belongs to.
    pub(super) fn deal(&mut self, entry: &Entry) {
        // A beacon is for those who get every event.
        if entry.events == 0 {
            return;
        }
        let weight = |member: u64| {
            let mut hash = DefaultHasher::new();
            (&entry.key, member).hash(&mut hash);
            hash.finish()
        };
        if let Some((_, inbox)) = self.members.iter_mut().max_by_key(|(member, _)| weight(**member)) {
            inbox.push(Item::Entry(entry.clone()));
        }
    }

    pub(super) fn reconnect(&mut self) {
        let gap = Gap { cause: Cause::Reconnect, lost: None };
        self.members.values_mut().for_each(|inbox| inbox.push(Item::Gap(gap)));
    }

    /// A member leaves: what waits for it goes to the others.
    fn leave(&mut self, member: u64) {
        for item in self.members.remove(&member).map(|i| i.waiting).unwrap_or_default() {
            if let Item::Entry(entry) = item {
                self.deal(&entry);
            }
        }
    }
}

impl Inbox {
    fn push(&mut self, item: Item) {
        match item {
            Item::Entry(entry) if self.waiting.len() >= WAITING => self.lost += entry.events,
            Item::Gap(_) if self.waiting.len() > WAITING => {}
            item => {
                self.settle();
                self.waiting.push_back(item);
            }
        }
    }

    /// The loss stands before what comes after it.
    fn settle(&mut self) {
        if self.lost > 0 {
            let lost = Some(std::mem::take(&mut self.lost));
            self.waiting.push_back(Item::Gap(Gap { cause: Cause::Overflow, lost }));
        }
    }

    fn pop(&mut self) -> Option<Item> {
        if self.waiting.is_empty() {
            self.settle();
        }
        self.waiting.pop_front()
    }
}

pub(super) struct Member {
    topic: Arc<Topic>,
    group: Arc<str>,
    id: u64,
}

impl Member {
    /// Joins; the first member's `from` says where the group begins.
    pub(super) fn join(topic: Arc<Topic>, name: Arc<str>, from: &Begin) -> Self {
        let mut log = topic.log();
        let mut group = log.groups.remove(&name).unwrap_or_default();
        let is_first = group.members.is_empty();
        group.last += 1;
        let id = group.last;
        group.members.insert(id, Inbox::default());
        if is_first {
            let begin = log.begin(from);
            let lost = match begin.and_then(|place| log.at(place).map(drop).map_err(|(first, _)| first)) {
                Ok(()) => None,
                Err(_) => Some(Item::Gap(Gap { cause: Cause::Trimmed, lost: None })),
            };
            if let (Some(gap), Some(inbox)) = (lost, group.members.get_mut(&id)) {
                inbox.push(gap);
            }
            let place = begin.unwrap_or_else(|first| first);
            log.from(place).filter(|e| !e.hidden).for_each(|e| group.deal(e));
        }
        log.groups.insert(name.clone(), group);
        drop(log);
        Self { topic, group: name, id }
    }

    /// What comes next, if there is anything; `Some(None)` at the end.
    fn step(&self) -> Option<Option<Raw>> {
        let mut log = self.topic.log();
        let inbox = log.groups.get_mut(&self.group).and_then(|g| g.members.get_mut(&self.id));
        match inbox.and_then(Inbox::pop) {
            Some(Item::Gap(gap)) => Some(Some(Raw::Gap(gap))),
            Some(Item::Entry(entry)) => {
                let position = Some(entry.place.position());
                Some(Some(Raw::Message { body: entry.body, position, ack: Ack::none() }))
            }
            None => log.closed.then_some(None),
        }
    }
}

#[async_trait]
impl Source for Member {
    async fn next(&mut self) -> Option<Raw> {
        loop {
            let news = self.topic.news.notified();
            if let Some(next) = self.step() {
                return next;
            }
            news.await;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut log = self.topic.log();
        if let Some(group) = log.groups.get_mut(&self.group) {
            group.leave(self.id);
            if group.members.is_empty() {
                log.groups.remove(&self.group);
            }
        }
        drop(log);
        self.topic.news.notify_waiters();
    }
}
