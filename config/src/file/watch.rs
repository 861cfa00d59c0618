//! Watches: one task and one set of system watches for all of a source.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due_core::{
    Error, Kind, Result,
    config::{Watch, feed},
};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use super::{
    disk::{Disk, Listing},
    settings::Settings,
    source::blocking,
    tell::Told,
};

/// What is never the same twice is told as it is after this time.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Hub {
    disk: Arc<Disk>,
    settings: Settings,
    state: Mutex<State>,
    nudged: Notify,
    signs: Arc<Signs>,
    eyes: Arc<Mutex<Eyes>>,
}

#[derive(Default)]
struct State {
    watches: Vec<Told>,
    running: bool,
}

/// What the system's events say.
#[derive(Default)]
struct Signs {
    changed: Notify,
    /// The directory itself went away or was replaced.
    broke: AtomicBool,
}

type Lists = BTreeMap<String, Result<Listing>>;

impl Hub {
    pub(super) fn new(disk: Arc<Disk>, settings: Settings) -> Arc<Self> {
        let (state, nudged, signs, eyes) = (Mutex::default(), Notify::new(), Arc::default(), Arc::default());
        Arc::new(Self { disk, settings, state, nudged, signs, eyes })
    }

    /// A new watch. The task sees whatever changes after the list that it begins with.
    pub(super) async fn watch(self: &Arc<Self>, prefix: &str) -> Result<Watch> {
        self.open_eyes().await;
        let first = self.steady(prefix).await?;
        if let Some(why) = first.bad.get(prefix) {
            let text = format!("cannot be read: {why}");
            return Err(Error::new(Kind::Unavailable, text).context("key", prefix));
        }
        for (key, why) in &first.bad {
            tracing::warn!(key = &**key, why, "a setting cannot be read and is left out");
        }
        let (feed, watch) = feed();
        let told = Told::new(prefix.to_owned(), feed, first.entries);
        let mut state = self.lock();
        state.watches.push(told);
        if !std::mem::replace(&mut state.running, true) {
            tokio::spawn(run(self.clone()));
        }
        drop(state);
        self.nudge();
        Ok(watch)
    }

    /// Something may have changed.
    pub(super) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Ends all watches.
    pub(super) fn end(&self) {
        self.lock().watches.clear();
        self.nudge();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// The task goes on; `false` once nobody watches, and the next watch starts another.
    fn goes_on(&self) -> bool {
        let mut state = self.lock();
        state.watches.retain(|w| !w.feed.is_unwatched());
        state.running = !state.watches.is_empty();
        state.running
    }

    /// Makes sure that the system reports changes, before what it reports on is read.
    async fn open_eyes(&self) {
        let (eyes, signs) = (self.eyes.clone(), self.signs.clone());
        let open = move |disk: &Disk| {
            locked(&eyes).open(disk, &signs);
            Ok(())
        };
        let _ = blocking(&self.disk, open).await;
    }

    /// A list that was the same twice.
    async fn steady(&self, prefix: &str) -> Result<Listing> {
        let over = Instant::now() + PATIENCE;
        let mut first = self.list(prefix.to_owned()).await?;
        loop {
            time::sleep(self.settings.quiet).await;
            let second = self.list(prefix.to_owned()).await?;
            if first.entries == second.entries || Instant::now() > over {
                return Ok(second);
            }
            first = second;
        }
    }

    async fn list(&self, prefix: String) -> Result<Listing> {
        blocking(&self.disk, move |disk| disk.list(&prefix)).await
    }

    /// What each watch would see now.
    async fn lists(&self) -> Lists {
        let prefixes: BTreeSet<_> = self.lock().watches.iter().map(|w| w.prefix.clone()).collect();
        let read = |disk: &Disk| {
            Ok(prefixes
                .into_iter()
                .map(|prefix| {
                    let list = disk.list(&prefix);
                    (prefix, list)
                })
                .collect())
        };
        blocking(&self.disk, read).await.unwrap_or_default()
    }

    /// Looks until what is new was the same twice, and tells it.
    async fn look(&self) {
        let over = Instant::now() + PATIENCE;
        let mut first = self.lists().await;
        let broke = self.signs.broke.swap(false, Ordering::AcqRel);
        if !self.news(&first, broke) {
            return;
        }
        loop {
            time::sleep(self.settings.quiet).await;
            let second = self.lists().await;
            let last = Instant::now() > over;
            let steady = self.tell(if last { &second } else { &first }, &second);
            if steady || last {
                return;
            }
            first = second;
        }
    }

    fn news(&self, lists: &Lists, broke: bool) -> bool {
        let now = Instant::now();
        let mut news = false;
        for watch in &mut self.lock().watches {
            if broke || matches!(lists.get(&watch.prefix), Some(Err(_))) {
                watch.break_off();
            }
            if let Some(Ok(list)) = lists.get(&watch.prefix) {
                news |= watch.differs(list, now);
            }
        }
        news
    }

    fn tell(&self, first: &Lists, second: &Lists) -> bool {
        let now = Instant::now();
        let mut steady = true;
        for watch in &mut self.lock().watches {
            match (first.get(&watch.prefix), second.get(&watch.prefix)) {
                (Some(Ok(first)), Some(Ok(second))) => steady &= watch.tell(first, second, now),
                (Some(Err(_)), _) | (_, Some(Err(_))) => watch.break_off(),
                _ => {}
            }
        }
        steady
    }
}

async fn run(hub: Arc<Hub>) {
    while hub.goes_on() {
        hub.open_eyes().await;
        hub.look().await;
        let event = tokio::select! {
            () = hub.signs.changed.notified() => true,
            () = hub.nudged.notified() => false,
            () = time::sleep(hub.settings.reread) => false,
        };
        if event {
            quiet(&hub).await;
        }
    }
    let state = hub.lock();
    if !state.running {
        locked(&hub.eyes).watcher = None;
    }
}

/// Waits until no event came for a while: an editor makes many for one change.
async fn quiet(hub: &Hub) {
    let over = Instant::now() + PATIENCE;
    while Instant::now() < over {
        let more = time::timeout(hub.settings.quiet, hub.signs.changed.notified()).await;
        if more.is_err() {
            return;
        }
    }
}

/// The system's watch of the directory. Where there is none, the regular look remains.
#[derive(Default)]
struct Eyes {
    watcher: Option<RecommendedWatcher>,
    warned: bool,
}

impl Eyes {
    /// Watches the directory if it is not watched, or was replaced by another.
    fn open(&mut self, disk: &Disk, signs: &Arc<Signs>) {
        if self.watcher.is_some() && !signs.broke.load(Ordering::Acquire) {
            return;
        }
        self.watcher = match watcher(disk, signs) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    let path = disk.folder.display();
                    tracing::warn!(%path, %error, "the system reports no changes of this directory; it is read again and again");
                }
                None
            }
        };
    }
}

/// Never the file itself: one atomic replacement ends a watch on it.
fn watcher(disk: &Disk, signs: &Arc<Signs>) -> notify::Result<RecommendedWatcher> {
    let (signs, folder) = (signs.clone(), disk.folder.clone());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.as_ref().is_ok_and(|e| is_break(e, &folder)) {
            signs.broke.store(true, Ordering::Release);
        }
        // A lost event is a reason to look too.
        if event.as_ref().map_or(true, is_change) {
            signs.changed.notify_one();
        }
    })?;
    let mode = if disk.only.is_some() { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
    watcher.watch(&disk.folder, mode)?;
    Ok(watcher)
}

fn is_break(event: &Event, folder: &Path) -> bool {
    matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)))
        && event.paths.iter().any(|path| path == folder)
}

/// Reading makes events too: they are none of a change.
fn is_change(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
