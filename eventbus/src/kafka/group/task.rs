//! Polls as a member must, bounds what waits, commits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use due_core::bus::Cause;
use futures_util::FutureExt;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaResult,
    message::BorrowedMessage,
};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

use super::source::Finished;
use crate::kafka::{
    ack::Done,
    broker::{Shared, position},
    client::{Consumer, Context, blocking},
    offsets::{Places, list},
    shelf::{Held, Item, Shelf},
};

/// Events of a group that are committed at once, and their bytes.
const BLOCK: usize = 64;
const BLOCK_BYTES: usize = 1024 * 1024;
/// Acknowledgements that are committed at once.
const ACKS: usize = 256;
const TICK: Duration = Duration::from_millis(250);

/// The task of one member.
pub(super) struct Task {
    shared: Arc<Shared>,
    topic: Arc<str>,
    consumer: Arc<Consumer>,
    context: Context,
    durable: bool,
    shelf: Shelf,
    acks: mpsc::Receiver<Finished>,
    parts: BTreeMap<i32, Part>,
    /// Rebalances that `parts` knows of.
    rebalances: u64,
    /// Durable events in the order in which they come again.
    again: VecDeque<(Instant, Held)>,
    /// What a group's member has read and not yet committed.
    read: Vec<Item>,
    paused: bool,
}

/// A partition that this member has.
struct Part {
    expected: i64,
    done: Done,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        topic: String,
        consumer: Arc<Consumer>,
        durable: bool,
        shelf: Shelf,
        acks: mpsc::Receiver<Finished>,
    ) -> Self {
        let context = consumer.context().as_ref().clone();
        Self {
            shared,
            topic: topic.into(),
            consumer,
            context,
            durable,
            shelf,
            acks,
            parts: BTreeMap::new(),
            rebalances: 0,
            again: VecDeque::new(),
            read: Vec::new(),
            paused: false,
        }
    }

    pub(super) async fn run(mut self) {
        let (consumer, shelf) = (self.consumer.clone(), self.shelf.clone());
        let mut tick = time::interval(TICK);
        while !shelf.has_left() {
            self.notice_rebalance();
            self.bound();
            tokio::select! {
                message = consumer.recv() => match message {
                    Ok(message) => self.message(held(&message)).await,
                    Err(error) => {
                        tracing::debug!(topic = &*self.topic, %error, "reading");
                        time::sleep(TICK).await;
                    }
                },
                Some(finished) = self.acks.recv() => self.finish(finished).await,
                () = shelf.changed() => {}
                _ = tick.tick() => {
                    self.deliver_again();
                    self.hand_over().await;
                }
            }
        }
        drop(consumer);
        self.leave().await;
    }

    /// What was known of partitions is void when they are dealt anew.
    fn notice_rebalance(&mut self) -> bool {
        let now = self.context.rebalances();
        let changed = self.rebalances != now;
        if changed {
            self.rebalances = now;
            self.parts.clear();
            self.again.clear();
            // Whoever has the partitions now reads it again.
            self.read.clear();
            self.paused = false;
        }
        changed
    }

    /// Stops and starts reading; polling goes on, or the group would wait for this member.
    fn bound(&mut self) {
        let s = &self.shared.settings;
        let (items, bytes) = self.shelf.load();
        let open: usize = self.parts.values().map(|p| p.done.open()).sum();
        let full = !self.read.is_empty() || items >= s.queue || bytes >= s.queue_bytes || open >= s.queue;
        let free = self.read.is_empty() && items <= s.queue / 2 && bytes <= s.queue_bytes / 2 && open <= s.queue / 2;
        let result = if full && !self.paused {
            self.paused = true;
            self.consumer.assignment().and_then(|all| self.consumer.pause(&all))
        } else if free && self.paused {
            self.paused = false;
            self.consumer.assignment().and_then(|all| self.consumer.resume(&all))
        } else {
            Ok(())
        };
        if let Err(error) = result {
            tracing::debug!(topic = &*self.topic, %error, "pausing");
        }
    }

    async fn message(&mut self, first: Held) {
        self.notice_rebalance();
        if self.durable {
            if self.is_behind_gap(&first).await {
                self.shelf.push(Item::Gap(Cause::Trimmed));
            }
            return self.hand_over_durable(first);
        }
        for held in self.block(first) {
            if self.is_behind_gap(&held).await {
                self.read.push(Item::Gap(Cause::Trimmed));
            }
            self.read.push(Item::Event(held));
        }
        self.hand_over().await;
    }

    /// An event and what has come with it.
    fn block(&self, first: Held) -> Vec<Held> {
        let (mut bytes, mut block) = (first.body.len(), vec![first]);
        while block.len() < BLOCK && bytes < BLOCK_BYTES {
            let Some(Ok(message)) = self.consumer.recv().now_or_never() else { break };
            let held = held(&message);
            bytes += held.body.len();
            block.push(held);
        }
        block
    }

    /// Is something missing before this event, which is the next of its partition?
    async fn is_behind_gap(&mut self, held: &Held) -> bool {
        let mut part = match self.parts.remove(&held.partition) {
            Some(part) => part,
            None => self.part(held).await,
        };
        // The log is another one: it begins again.
        let anew = held.offset < part.expected;
        if anew {
            part.done = Done::read(held.offset, "");
        }
        let trimmed = held.offset > part.expected && self.first(held.partition).await > part.expected;
        part.expected = held.offset + 1;
        self.parts.insert(held.partition, part);
        anew || trimmed
    }

    /// What the group has committed for a partition that is new to this member.
    async fn part(&self, held: &Held) -> Part {
        let (consumer, topic, timeout) = (self.consumer.clone(), self.topic.clone(), self.shared.settings.timeout);
        let partition = held.partition;
        let asked = blocking(move || {
            let place = list(&topic, &Places::from([(partition, 0)]))?;
            let kept = consumer.committed_offsets(place, timeout)?;
            let kept = kept.find_partition(&topic, partition).map(|e| (e.offset(), e.metadata().to_owned()));
            KafkaResult::Ok(kept)
        });
        match asked.await {
            Ok(Ok(Some((Offset::Offset(at), note)))) => Part { expected: at, done: Done::read(at, &note) },
            _ => Part { expected: held.offset, done: Done::read(held.offset, "") },
        }
    }

    /// The first offset that is kept; 0 if nobody says.
    async fn first(&self, partition: i32) -> i64 {
        let (consumer, topic, timeout) = (self.consumer.clone(), self.topic.clone(), self.shared.settings.timeout);
        match blocking(move || consumer.fetch_watermarks(&topic, partition, timeout)).await {
            Ok(Ok((low, _))) => low,
            _ => 0,
        }
    }

    fn hand_over_durable(&mut self, held: Held) {
        let Some(part) = self.parts.get_mut(&held.partition) else { return };
        if part.done.arrives(held.offset) {
            self.again.push_back((Instant::now() + self.shared.settings.ack_wait, held.clone()));
            self.shelf.push(Item::Event(held));
        }
    }

    /// Commits what a group's member has read, then hands it over: nobody gets it again. If that fails it waits for the
    /// next tick, and polling goes on meanwhile: when the partitions go to another member, that one gets it.
    async fn hand_over(&mut self) {
        let mut places = Places::new();
        for item in &self.read {
            if let Item::Event(held) = item {
                places.insert(held.partition, held.offset + 1);
            }
        }
        if places.is_empty() {
            return;
        }
        if let Ok(places) = list(&self.topic, &places)
            && self.commit(places).await
        {
            self.read.drain(..).for_each(|item| self.shelf.push(item));
        }
    }

    fn commit(&self, places: TopicPartitionList) -> impl Future<Output = bool> + Send + 'static {
        let (consumer, topic) = (self.consumer.clone(), self.topic.clone());
        async move {
            let committed = blocking(move || consumer.commit(&places, CommitMode::Sync)).await;
            if let Ok(Err(error)) = &committed {
                tracing::debug!(%topic, %error, "committing");
            }
            matches!(committed, Ok(Ok(())))
        }
    }

    /// Commits what was acknowledged, this one and all that wait.
    async fn finish(&mut self, first: Finished) {
        self.notice_rebalance();
        let mut all = vec![first];
        while all.len() < ACKS
            && let Ok(finished) = self.acks.try_recv()
        {
            all.push(finished);
        }
        let mut places = TopicPartitionList::new();
        for finished in &all {
            if let Some(part) = self.parts.get_mut(&finished.partition) {
                part.done.finish(finished.offset);
                let _ = note(&mut places, &self.topic, finished.partition, &part.done);
            }
        }
        let committed = places.count() > 0 && self.commit(places).await && !self.notice_rebalance();
        for finished in all {
            let ours = self.parts.contains_key(&finished.partition);
            let _ = finished.tell.send(committed && ours);
        }
    }

    fn deliver_again(&mut self) {
        let now = Instant::now();
        while self.again.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, held)) = self.again.pop_front() else { return };
            if self.parts.get(&held.partition).is_some_and(|p| p.done.is_open(held.offset)) {
                self.again.push_back((now + self.shared.settings.ack_wait, held.clone()));
                self.shelf.push(Item::Event(held));
            }
        }
    }

    /// What a group's member has committed and not handed over goes back.
    async fn leave(mut self) {
        let (left, moved) = (self.shelf.empty(), self.notice_rebalance());
        let mut places = Places::new();
        for item in left {
            if let Item::Event(held) = item {
                let place = places.entry(held.partition).or_insert(held.offset);
                *place = held.offset.min(*place);
            }
        }
        if !self.durable
            && !moved
            && !places.is_empty()
            && let Ok(places) = list(&self.topic, &places)
        {
            self.commit(places).await;
        }
        self.shelf.end();
        // Leaving the group waits for its coordinator.
        let _ = blocking(move || drop(self.consumer)).await;
    }
}

/// Sets the place of a partition, and what is done behind it.
fn note(places: &mut TopicPartitionList, topic: &str, partition: i32, done: &Done) -> KafkaResult<()> {
    if places.find_partition(topic, partition).is_none() {
        places.add_partition(topic, partition);
    }
    if let Some(mut place) = places.find_partition(topic, partition) {
        place.set_offset(Offset::Offset(done.next()))?;
        place.set_metadata(done.note());
    }
    Ok(())
}

fn held(message: &BorrowedMessage<'_>) -> Held {
    Held {
        partition: message.partition(),
        offset: message.offset(),
        body: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        position: position(message.partition(), message.offset(), message.timestamp()),
    }
}
