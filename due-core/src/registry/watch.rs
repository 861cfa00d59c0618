//! The view of a watcher.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

use super::Instance;

/// How new a view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The registry answers.
    Live,
    /// The registry does not answer; the members are those of the last good answer.
    Stale {
        /// When that answer was asked for, or when the watch began.
        since: Instant,
    },
}

/// The members of one kind: state, not history. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The members by id, each id once.
    pub members: Arc<[Instance]>,
    /// How new the members are.
    pub fresh: Freshness,
    /// Entries of the last list that were passed over: unreadable, or a second holder of an id.
    pub skipped: usize,
}

impl View {
    /// A view of nobody that waits for its first answer.
    pub fn unknown(since: Instant) -> Self {
        Self { members: Arc::from([]), fresh: Freshness::Stale { since }, skipped: 0 }
    }

    /// Does the registry answer?
    pub fn is_live(&self) -> bool {
        self.fresh == Freshness::Live
    }
}

/// A running watch; ends when it is dropped. Views between two looks may be skipped, the newest never is.
#[derive(Debug)]
pub struct Watch {
    views: watch::Receiver<View>,
}

impl Watch {
    /// A watch and the end that feeds it: for a [`Registry`](super::Registry) that is not built on
    /// [`Kept`](super::Kept).
    pub fn fed(first: View) -> (Feed, Self) {
        let (feed, views) = watch::channel(first);
        (Feed { views: feed }, Self { views })
    }

    /// The newest view.
    pub fn view(&self) -> View {
        self.views.borrow().clone()
    }

    /// Waits for a view that this watch has not returned from here yet; the one it began with does not count. Cancel
    /// safe. Never returns if the registry is gone for good.
    pub async fn changed(&mut self) -> View {
        if self.views.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.views.borrow_and_update().clone()
    }

    /// Waits until a view passes `wanted`, beginning with the newest. Cancel safe.
    pub async fn until(&mut self, mut wanted: impl FnMut(&View) -> bool) -> View {
        let mut view = self.views.borrow_and_update().clone();
        while !wanted(&view) {
            view = self.changed().await;
        }
        view
    }
}

/// The end that feeds a [`Watch`].
#[derive(Clone, Debug)]
pub struct Feed {
    views: watch::Sender<View>,
}

impl Feed {
    /// Shows `view` unless it equals the newest.
    pub fn show(&self, view: View) {
        self.views.send_if_modified(|newest| {
            let differs = *newest != view;
            *newest = view;
            differs
        });
    }

    /// Marks the members as old, keeping `since` of an earlier mark. Were they new until now?
    pub fn stale(&self, since: Instant) -> bool {
        self.views.send_if_modified(|newest| {
            let live = newest.is_live();
            if live {
                newest.fresh = Freshness::Stale { since };
            }
            live
        })
    }

    /// Completes when the watch is dropped. Cancel safe.
    pub async fn closed(&self) {
        self.views.closed().await;
    }
}
