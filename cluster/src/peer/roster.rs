//! The members of one kind, as the registry names them, and the last that is known of those it names no more.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use due_core::{
    Owner, Result,
    registry::{Instance, InstanceKind, Registry, View},
};
use tokio::{
    task::JoinHandle,
    time::{Duration, Instant},
};

use super::{REMEMBERED, missed::Missed};

/// What is known of a life.
pub(crate) enum Seen {
    Listed(Instance),
    /// It was listed, and nobody is under its id now.
    Dropped(Instance),
    /// Another life has its id.
    Replaced,
    /// The registry answers and knows nothing of it, nor does this process, and that for some time.
    Never,
    /// The registry does not answer, or may still be about to name it.
    Unsure,
}

pub(crate) struct Roster {
    view: View,
    missed: Missed,
    dropped: VecDeque<Instance>,
    /// Lives that nobody has named yet, and when they were asked about for the first time.
    strangers: VecDeque<(Owner, Instant)>,
    /// Rises whenever others may be members.
    version: Arc<AtomicU64>,
}

/// A live instance is listed by then at the latest.
const LISTED: Duration = Duration::from_secs(6);

impl Roster {
    /// Follows the registry in a task.
    pub(crate) async fn follow(
        registry: &Arc<dyn Registry>,
        kind: InstanceKind,
    ) -> Result<(Arc<Mutex<Self>>, JoinHandle<()>)> {
        let mut watch = registry.watch(kind).await?;
        let window = registry.capability().expiry.1;
        let roster = Arc::new(Mutex::new(Self::new(watch.view(), window)));
        let shown = roster.clone();
        let task = tokio::spawn(async move {
            loop {
                let view = watch.changed().await;
                shown.lock().unwrap_or_else(PoisonError::into_inner).show(view);
            }
        });
        Ok((roster, task))
    }

    /// A registry that never answers.
    #[cfg(test)]
    pub(crate) fn unknown() -> Self {
        Self::new(View::unknown(Instant::now()), Duration::ZERO)
    }

    fn new(view: View, window: Duration) -> Self {
        let mut missed = Missed::new(window);
        missed.see(&view.members, Instant::now());
        Self { view, missed, dropped: VecDeque::new(), strangers: VecDeque::new(), version: Arc::default() }
    }

    fn show(&mut self, view: View) {
        let listed = |all: &[Instance], owner: &Owner| all.iter().any(|m| m.owner() == *owner);
        self.dropped.retain(|m| !listed(&view.members, &m.owner()));
        let gone = self.view.members.iter().filter(|m| !listed(&view.members, &m.owner()));
        self.dropped.extend(gone.cloned());
        while self.dropped.len() > REMEMBERED {
            self.dropped.pop_front();
        }
        self.missed.see(&view.members, Instant::now());
        self.view = view;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Rises whenever others may be members; see [`Roster::members_until`] too.
    pub(crate) fn version(&self) -> Arc<AtomicU64> {
        self.version.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.view.members.len()
    }

    /// Who may get work: the members, and those that the registry has most likely lost by its own fault.
    pub(crate) fn members(&self) -> Arc<[Instance]> {
        let now = Instant::now();
        if self.missed.held(now).next().is_none() {
            return self.view.members.clone();
        }
        self.view.members.iter().chain(self.missed.held(now)).cloned().collect()
    }

    /// Until when the members are the same if the version is, where time changes them.
    pub(crate) fn members_until(&self) -> Option<Instant> {
        self.missed.until()
    }

    /// It cannot be reached: it gets no work unless the registry lists it.
    pub(crate) fn unreachable(&mut self, owner: &Owner) {
        self.missed.forget(owner);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Was it listed once, and is not now?
    pub(crate) fn has_dropped(&self, owner: &Owner) -> bool {
        self.dropped.iter().any(|m| m.owner() == *owner)
    }

    pub(crate) fn look(&mut self, owner: &Owner) -> Seen {
        let same_id = self.view.members.iter().find(|m| m.id == owner.id);
        match same_id {
            Some(member) if member.incarnation == owner.incarnation => return Seen::Listed(member.clone()),
            Some(_) => return Seen::Replaced,
            None => {}
        }
        if let Some(last) = self.dropped.iter().find(|m| m.owner() == *owner) {
            return Seen::Dropped(last.clone());
        }
        match self.view.is_live() && self.is_strange(owner) {
            true => Seen::Never,
            false => Seen::Unsure,
        }
    }

    /// Has the registry had the time to name it?
    fn is_strange(&mut self, owner: &Owner) -> bool {
        if let Some((_, since)) = self.strangers.iter().find(|(o, _)| o == owner) {
            return since.elapsed() >= LISTED;
        }
        if self.strangers.len() >= REMEMBERED {
            self.strangers.pop_front();
        }
        self.strangers.push_back((owner.clone(), Instant::now()));
        false
    }
}
