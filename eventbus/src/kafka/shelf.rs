//! What a group's task has for its subscriber.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use due_core::bus::{Cause, Position};
use tokio::sync::Notify;

/// One thing for the subscriber.
#[derive(Clone)]
pub(super) enum Item {
    Gap(Cause),
    Event(Held),
}

/// An event of a partition.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) body: Bytes,
    pub(super) position: Position,
}

/// Shared by the task, which bounds it, and the subscriber.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    news: Notify,
    changes: Notify,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    /// The subscriber has gone.
    left: bool,
    /// The task has ended.
    ended: bool,
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, item: Item) {
        let mut state = self.state();
        if let Item::Event(held) = &item {
            state.bytes += held.body.len();
        }
        state.items.push_back(item);
        drop(state);
        self.0.news.notify_one();
    }

    /// Items and bytes on it.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.state();
        (state.items.len(), state.bytes)
    }

    /// Returns when something was taken, or the subscriber has gone.
    pub(super) async fn changed(&self) {
        self.0.changes.notified().await;
    }

    pub(super) fn has_left(&self) -> bool {
        self.state().left
    }

    /// What nobody has taken.
    pub(super) fn empty(&self) -> Vec<Item> {
        let mut state = self.state();
        state.bytes = 0;
        state.items.drain(..).collect()
    }

    pub(super) fn end(&self) {
        self.state().ended = true;
        self.0.news.notify_one();
    }

    pub(super) fn leave(&self) {
        self.state().left = true;
        self.0.changes.notify_one();
    }

    /// The next item; `None` at the end. Cancel safe.
    pub(super) async fn next(&self) -> Option<Item> {
        loop {
            let news = self.0.news.notified();
            {
                let mut state = self.state();
                if let Some(item) = state.items.pop_front() {
                    if let Item::Event(held) = &item {
                        state.bytes -= held.body.len();
                    }
                    drop(state);
                    self.0.changes.notify_one();
                    return Some(item);
                }
                if state.ended {
                    return None;
                }
            }
            news.await;
        }
    }
}
