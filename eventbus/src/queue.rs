//! Between a connection that must not wait and a subscriber that may: bounded by count and bytes. The oldest make room for
//! the newest, and a gap says so.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use due_core::bus::{Cause, Gap, Raw};
use tokio::sync::Notify;

/// How much waits for a subscriber.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Messages, at least 1.
    pub(crate) count: usize,
    /// Bytes of their bodies; one message is taken whatever its size.
    pub(crate) bytes: usize,
}

/// Both ends of a queue.
pub(crate) fn bounded(limit: Limit) -> (Sender, Receiver) {
    let shared = Arc::new(Shared { limit, state: Mutex::default(), news: Notify::new(), gone: Notify::new() });
    (Sender(shared.clone()), Receiver(shared))
}

struct Shared {
    limit: Limit,
    state: Mutex<State>,
    news: Notify,
    gone: Notify,
}

#[derive(Default)]
struct State {
    /// What is missing before the first item, one gap for each cause.
    missing: Vec<Gap>,
    items: VecDeque<Raw>,
    bytes: usize,
    /// No more will come.
    ended: bool,
    /// Nobody listens.
    gone: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the connection. Dropping it ends the subscription behind what waits.
pub(crate) struct Sender(Arc<Shared>);

impl Sender {
    /// Adds something; what is older goes if there is no room.
    pub(crate) fn push(&self, raw: Raw) {
        self.0.state().push(self.0.limit, raw);
        self.0.news.notify_one();
    }

    /// Returns when the subscriber has gone.
    pub(crate) async fn gone(&self) {
        let gone = self.0.gone.notified();
        if !self.0.state().gone {
            gone.await;
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.news.notify_one();
    }
}

impl State {
    fn push(&mut self, limit: Limit, raw: Raw) {
        let bytes = size(&raw);
        while !self.items.is_empty()
            && (self.items.len() >= limit.count || self.bytes.saturating_add(bytes) > limit.bytes)
        {
            self.drop_first();
        }
        self.bytes += bytes;
        self.items.push_back(raw);
    }

    fn drop_first(&mut self) {
        let Some(first) = self.items.pop_front() else { return };
        self.bytes -= size(&first);
        let gap = match first {
            Raw::Gap(gap) => gap,
            Raw::Message { .. } => Gap { cause: Cause::Overflow, lost: None },
        };
        match self.missing.iter_mut().find(|g| g.cause == gap.cause) {
            Some(known) => known.lost = known.lost.zip(gap.lost).map(|(a, b)| a + b),
            None => self.missing.push(gap),
        }
    }

    fn pop(&mut self) -> Option<Raw> {
        if !self.missing.is_empty() {
            return Some(Raw::Gap(self.missing.remove(0)));
        }
        let raw = self.items.pop_front()?;
        self.bytes -= size(&raw);
        Some(raw)
    }
}

fn size(raw: &Raw) -> usize {
    match raw {
        Raw::Message { body, .. } => body.len(),
        Raw::Gap(_) => 0,
    }
}

/// The end of the subscriber.
pub(crate) struct Receiver(Arc<Shared>);

impl Receiver {
    /// The next thing; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Raw> {
        loop {
            let news = self.0.news.notified();
            {
                let mut state = self.0.state();
                if let Some(raw) = state.pop() {
                    return Some(raw);
                }
                if state.ended {
                    return None;
                }
            }
            news.await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.0.state();
        *state = State { gone: true, ..State::default() };
        drop(state);
        self.0.gone.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may")]
mod tests {
    use bytes::Bytes;
    use due_core::bus::Ack;

    use super::*;

    fn message(bytes: usize) -> Raw {
        Raw::Message { body: Bytes::from(vec![0; bytes]), position: None, ack: Ack::none() }
    }

    /// Sizes of messages, gaps as 0.
    async fn drain(mut receiver: Receiver) -> Vec<usize> {
        let mut seen = Vec::new();
        while let Some(raw) = receiver.next().await {
            seen.push(match raw {
                Raw::Message { body, .. } => body.len(),
                Raw::Gap(_) => 0,
            });
        }
        seen
    }

    #[tokio::test]
    async fn the_oldest_make_room_and_one_gap_stands_for_them() {
        let (sender, mut receiver) = bounded(Limit { count: 2, bytes: 100 });
        (1..=5).for_each(|n| sender.push(message(n)));
        assert!(matches!(receiver.next().await, Some(Raw::Gap(Gap { cause: Cause::Overflow, lost: None }))));
        assert!(matches!(receiver.next().await, Some(Raw::Message { body, .. }) if body.len() == 4));
        (6..=8).for_each(|n| sender.push(message(n)));
        drop(sender);
        assert_eq!(drain(receiver).await, [0, 7, 8]);
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_message_always_fits() {
        let (sender, receiver) = bounded(Limit { count: 10, bytes: 10 });
        [1, 50, 5, 5].into_iter().for_each(|n| sender.push(message(n)));
        drop(sender);
        assert_eq!(drain(receiver).await, [0, 5, 5]);
    }

    #[tokio::test]
    async fn gaps_alone_stay_bounded_and_every_cause_is_told() {
        let (sender, receiver) = bounded(Limit { count: 1, bytes: 10 });
        for n in 0..1000 {
            let cause = if n % 2 == 0 { Cause::Reconnect } else { Cause::Overflow };
            sender.push(Raw::Gap(Gap { cause, lost: None }));
        }
        drop(sender);
        assert_eq!(drain(receiver).await, [0, 0, 0]);
    }

    #[tokio::test]
    async fn the_sender_learns_that_nobody_listens() {
        let (sender, receiver) = bounded(Limit { count: 1, bytes: 10 });
        let waits = tokio::spawn(async move { sender.gone().await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert!(waits.await.is_ok());
        let (sender, receiver) = bounded(Limit { count: 1, bytes: 10 });
        drop(receiver);
        sender.gone().await;
    }
}
