//! The timers of a shard: one runtime timer for all of them.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep};

/// Names a timer so that it can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    number: u64,
}

/// Timers by due time, and the one sleep that waits for the first of them.
pub(crate) struct Timers<T> {
    due: BTreeMap<TimerKey, T>,
    next: u64,
    sleep: Pin<Box<Sleep>>,
}

impl<T> Timers<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: BTreeMap::new(), next: 0, sleep: Box::pin(tokio::time::sleep_until(now)) }
    }

    pub(crate) fn add(&mut self, at: Instant, what: T) -> TimerKey {
        let key = TimerKey { at, number: self.next };
        self.next += 1;
        self.due.insert(key, what);
        key
    }

    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.due.remove(&key)
    }

    /// Takes the first timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<T> {
        let entry = self.due.first_entry()?;
        (entry.key().at <= now).then(|| entry.remove())
    }

    /// Arms the sleep for the first timer; `Ready` if that is due already.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((first, _)) = self.due.first_key_value() else { return Poll::Pending };
        if self.sleep.deadline() != first.at {
            self.sleep.as_mut().reset(first.at);
        }
        self.sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn timers_come_in_order_and_can_be_stopped() {
        let now = Instant::now();
        let mut timers = Timers::new(now);
        timers.add(now + Duration::from_secs(2), "second");
        let stopped = timers.add(now + Duration::from_secs(1), "stopped");
        timers.add(now + Duration::from_secs(1), "first");
        assert_eq!(timers.cancel(stopped), Some("stopped"));
        assert_eq!(timers.pop(now), None);
        std::future::poll_fn(|cx| timers.poll(cx)).await;
        assert_eq!(Instant::now() - now, Duration::from_secs(1));
        assert_eq!((timers.pop(Instant::now()), timers.pop(Instant::now())), (Some("first"), None));
    }
}
