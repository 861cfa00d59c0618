//! The bounded queue between a connection and a stream of the application.

use std::{
    collections::VecDeque,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use crate::sync::locked;

/// Holds the newest items; one reader.
pub(crate) struct Queue<T>(Mutex<Inner<T>>);

struct Inner<T> {
    items: VecDeque<T>,
    bound: usize,
    /// Giving way is what the sender asked for, not a loss.
    replaces: bool,
    lost: u64,
    ended: bool,
    reader: Option<Waker>,
}

impl<T> Queue<T> {
    /// A queue of at most `bound` items (1 or more), of which the oldest give way and are counted.
    pub(crate) fn new(bound: usize) -> Self {
        Self::with(bound.max(1), false)
    }

    /// A queue of the newest item only; older ones are not counted.
    pub(crate) fn latest() -> Self {
        Self::with(1, true)
    }

    fn with(bound: usize, replaces: bool) -> Self {
        let items = VecDeque::new();
        Self(Mutex::new(Inner { items, bound, replaces, lost: 0, ended: false, reader: None }))
    }

    pub(crate) fn push(&self, item: T) {
        let mut inner = locked(&self.0);
        if inner.ended {
            return;
        }
        let gave_way = if inner.items.len() >= inner.bound { inner.items.pop_front() } else { None };
        if gave_way.is_some() && !inner.replaces {
            inner.lost += 1;
        }
        inner.items.push_back(item);
        let reader = inner.reader.take();
        drop(inner);
        wake(reader);
    }

    /// Nothing follows; what is there can still be read.
    pub(crate) fn end(&self) {
        let mut inner = locked(&self.0);
        inner.ended = true;
        let reader = inner.reader.take();
        drop(inner);
        wake(reader);
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut inner = locked(&self.0);
        if let Some(item) = inner.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        // An idle stream keeps no room.
        inner.items = VecDeque::new();
        if inner.ended {
            return Poll::Ready(None);
        }
        inner.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn lost(&self) -> u64 {
        locked(&self.0).lost
    }
}

fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next<T>(queue: &Queue<T>) -> Poll<Option<T>> {
        queue.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_oldest_give_way_and_are_counted() {
        let queue = Queue::new(2);
        (1..=5).for_each(|n| queue.push(n));
        queue.end();
        queue.push(6);
        assert_eq!(queue.lost(), 3);
        assert_eq!([next(&queue), next(&queue), next(&queue)], [4, 5, 0].map(|n| Poll::Ready((n > 0).then_some(n))));
    }

    #[test]
    fn only_the_newest_waits_where_older_ones_are_worthless() {
        let queue = Queue::latest();
        (1..=5).for_each(|n| queue.push(n));
        assert_eq!((next(&queue), queue.lost()), (Poll::Ready(Some(5)), 0));
        assert_eq!(next(&queue), Poll::Pending);
    }
}
