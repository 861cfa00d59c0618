//! The changes of a locator, as a bounded stream.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::{Place, Slot, Subject};
use crate::id::Epoch;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of whom.
    pub subject: Subject,
    /// Where.
    pub place: Place,
    /// Who holds the place now; `None` after an unbind.
    pub slot: Option<Slot>,
    /// The place's epoch. A cache takes the change only if this is higher than what it has.
    pub epoch: Epoch,
}

/// What a [`Feed`] brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A write.
    Change(Change),
    /// Changes were lost here: check what you own, and trust no cached slot older than this.
    Gap,
}

/// The reading end of a watch; ends when it is dropped.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    _reads: watch::Receiver<()>,
}

/// The writing end, for a backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feeder {
    shared: Weak<Shared>,
    read: watch::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<VecDeque<Event>>,
    capacity: usize,
    filled: Notify,
}

impl Feed {
    /// Both ends; at most `capacity` events wait between them, then one gap.
    pub fn bounded(capacity: usize) -> (Feeder, Self) {
        let shared = Arc::new(Shared { queue: Mutex::default(), capacity: capacity.max(1), filled: Notify::new() });
        let (read, reads) = watch::channel(());
        (Feeder { shared: Arc::downgrade(&shared), read }, Self { shared, _reads: reads })
    }

    /// The next event. Cancel safe.
    pub async fn next(&mut self) -> Event {
        loop {
            let filled = self.shared.filled.notified();
            if let Some(event) = self.shared.lock().pop_front() {
                return event;
            }
            filled.await;
        }
    }
}

impl Feeder {
    /// Queues an event without waiting. What does not fit is one [`Event::Gap`] behind what did. `false` once the feed
    /// is gone.
    pub fn send(&self, event: Event) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let mut queue = shared.lock();
        let gapped = queue.back() == Some(&Event::Gap);
        match event {
            Event::Gap if gapped => {}
            Event::Change(_) if queue.len() >= shared.capacity && gapped => {}
            Event::Change(_) if queue.len() >= shared.capacity => queue.push_back(Event::Gap),
            event => queue.push_back(event),
        }
        drop(queue);
        shared.filled.notify_one();
        true
    }

    /// Completes when the feed is dropped. Cancel safe.
    pub async fn closed(&self) {
        self.read.closed().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Uid;

    fn change(epoch: u64) -> Event {
        let (subject, place) = (Subject::from(Uid::from(1)), Place::Gate);
        Event::Change(Change { subject, place, slot: None, epoch: Epoch(epoch) })
    }

    #[tokio::test]
    async fn what_does_not_fit_is_one_gap_in_its_place() {
        let (feeder, mut feed) = Feed::bounded(2);
        for epoch in 1..=5 {
            feeder.send(change(epoch));
        }
        assert_eq!([feed.next().await, feed.next().await], [change(1), change(2)]);
        feeder.send(change(6));
        assert_eq!([feed.next().await, feed.next().await], [Event::Gap, change(6)]);
        tokio::join!(feeder.closed(), async { drop(feed) });
        assert!(!feeder.send(change(7)));
    }
}
