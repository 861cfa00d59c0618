//! One task that drives many clients.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use due_core::{Error, Result, net::Scratch};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};

use crate::hub::{Hub, Peer};

/// Drives any number of clients in one task with one read buffer and one timer: for bots and load.
///
/// A client whose builder names none gets one of its own. Clones are the same event loop; its task ends when all clones
/// and all its clients are gone. Start one for each core that shall drive clients.
#[derive(Clone)]
pub struct EventLoop {
    keeper: Arc<Keeper>,
}

struct Keeper(Arc<Hub>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl EventLoop {
    /// Spawns the task on the tokio runtime of the caller, which needs its I/O and time enabled. A `Config` error outside
    /// of a runtime. When the runtime stops, its clients are closed.
    pub fn start() -> Result<Self> {
        let runtime =
            Handle::try_current().map_err(|e| Error::config("clients are built inside a tokio runtime").because(e))?;
        let hub = Arc::<Hub>::default();
        // A turn is bounded by itself; the budget of a task would only cut it into many.
        runtime.spawn(tokio::task::unconstrained(Task::new(hub.clone())));
        Ok(Self { keeper: Arc::new(Keeper(hub)) })
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.keeper.0
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").finish_non_exhaustive()
    }
}

/// Deadlines are met this much late at most, so that those of many clients fall together.
const TICK: Duration = Duration::from_millis(10);

struct Task {
    hub: Arc<Hub>,
    scratch: Scratch,
    batch: Vec<Arc<Peer>>,
    start: Instant,
    /// Tick and slot of each client that waits for a time.
    timers: BTreeSet<(u64, usize)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Task {
    fn new(hub: Arc<Hub>) -> Self {
        let (batch, timers, sleep) = (Vec::new(), BTreeSet::new(), None);
        Self { hub, scratch: Scratch::new(), batch, start: Instant::now(), timers, sleep }
    }

    fn turn(&mut self, peer: &Arc<Peer>, now: Instant) {
        peer.begin_turn();
        let waker = Waker::from(peer.clone());
        let mut line = peer.line();
        let next = line.turn(&mut Context::from_waker(&waker), &mut self.scratch, now);
        let due = next.due.map(|due| self.tick(due).max(self.tick(now) + 1));
        if line.armed != due {
            line.armed.map(|tick| self.timers.remove(&(tick, peer.slot())));
            due.map(|tick| self.timers.insert((tick, peer.slot())));
            line.armed = due;
        }
        drop(line);
        if next.over {
            self.hub.remove(peer);
        } else if next.again {
            peer.queue();
        }
    }

    /// The first tick that is not before `at`.
    fn tick(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
    }

    fn at(&self, tick: u64) -> Instant {
        self.start + TICK.saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX))
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            while let Some(&(tick, slot)) = self.timers.first() {
                if self.at(tick) > now {
                    break;
                }
                self.timers.pop_first();
                let Some(peer) = self.hub.peer(slot) else { continue };
                peer.line().armed = None;
                self.turn(&peer, now);
            }
            let Some(&(tick, _)) = self.timers.first() else { return Poll::Pending };
            let next = self.at(tick);
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if sleep.deadline() != next {
                sleep.as_mut().reset(next);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut batch = std::mem::take(&mut this.batch);
        if !this.hub.take(cx, &mut batch) {
            return Poll::Ready(());
        }
        let now = Instant::now();
        batch.drain(..).for_each(|peer| this.turn(&peer, now));
        this.batch = batch;
        this.poll_timers(cx)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.hub.stop();
    }
}
