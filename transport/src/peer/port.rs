//! Where the end of a link gets its next connection from.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;

use super::socket::Parked;

/// Between the task that makes connections, on any runtime, and the end on its shard.
#[derive(Default)]
pub(super) struct Port {
    news: Mutex<Option<News>>,
    there: AtomicBool,
    waker: AtomicWaker,
}

/// What a port has for its end.
pub(super) enum News {
    /// A new connection, proven to be the other side's.
    Connected(Parked),
    /// There will be none.
    Over,
}

impl Port {
    /// Replaces what was not taken: the newest connection is the one that the other side uses.
    pub(super) fn put(&self, news: News) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(news);
        self.there.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// What came; wakes `waker` for what is still to come.
    pub(super) fn take(&self, waker: &Waker) -> Option<News> {
        self.waker.register(waker);
        if !self.there.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
