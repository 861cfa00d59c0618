//! Names the route, or the kind of actor, that holds a shard.
//!
//! A shard writes what it runs into two atomics; a thread of its own looks at them. So a handler costs two stores, and
//! one that never returns is named too.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::Instant;

use crate::node::wake::ASLEEP;

/// How long a handler may hold its shard before it is named.
pub(crate) const LIMIT: Duration = Duration::from_millis(10);

const IDLE: i64 = i64::MIN;
/// Routes are numbers of 32 bits; kinds of actors are numbered from here.
const ACTORS: i64 = 1 << 32;

/// What a shard runs at this moment.
pub(crate) struct Pulse {
    shard: u16,
    running: AtomicI64,
    started: AtomicU64,
    held: AtomicU64,
    /// When the shard had its last turn, in nanoseconds since `born`.
    turn: AtomicU64,
    born: Instant,
    named: Mutex<Vec<String>>,
    /// Kinds of actors that live here, in the order of their numbers.
    kinds: Mutex<Vec<&'static str>>,
}

impl Pulse {
    pub(crate) fn new(shard: u16) -> Arc<Self> {
        Arc::new(Self {
            shard,
            running: AtomicI64::new(IDLE),
            started: AtomicU64::new(0),
            held: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            born: Instant::now(),
            named: Mutex::default(),
            kinds: Mutex::default(),
        })
    }

    /// The shard has a turn.
    pub(crate) fn turned(&self, now: Instant) {
        self.turn.store(now.saturating_duration_since(self.born).as_nanos() as u64, Ordering::Relaxed);
    }

    /// Was the process stopped since the shard's last turn? Its next turn finds out what that means; until then nothing
    /// is done.
    fn has_overslept(&self) -> bool {
        self.born.elapsed() > Duration::from_nanos(self.turn.load(Ordering::Relaxed)) + ASLEEP
    }

    /// A handler of `route` begins; the guard ends it, also when it panics.
    pub(crate) fn enter(&self, route: i32) -> Running<'_> {
        self.begin(route.into())
    }

    fn begin(&self, number: i64) -> Running<'_> {
        // One writer: no need for a locked instruction.
        self.started.store(self.started.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.running.store(number, Ordering::Release);
        Running(self)
    }

    /// The life of an actor of this kind, under the eyes of the watchdog whenever it goes on.
    pub(crate) fn watch(
        self: &Arc<Self>,
        kind: &'static str,
        life: impl Future<Output = ()> + Send + 'static,
    ) -> Watched {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds.iter().position(|k| *k == kind);
        let place = known.unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        Watched { pulse: self.clone(), number: ACTORS + place as i64, life: Box::pin(life) }
    }

    /// What runs under this number.
    fn name(&self, number: i64, route: &impl Fn(i32) -> String) -> String {
        let kind = |place: usize| self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied();
        match usize::try_from(number - ACTORS).ok().and_then(kind) {
            Some(kind) => format!("actor {kind}"),
            None => route(number as i32),
        }
    }

    /// How many handlers held the shard for too long.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The routes and kinds of actors they were of; at most 64.
    pub(crate) fn named(&self) -> Vec<String> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, route: String) {
        self.held.fetch_add(1, Ordering::Relaxed);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < 64 && !named.contains(&route) {
            named.push(route);
        }
    }
}

/// A handler is running.
pub(crate) struct Running<'a>(&'a Pulse);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(IDLE, Ordering::Release);
    }
}

/// The task of an actor, which shows when it runs.
pub(crate) struct Watched {
    pulse: Arc<Pulse>,
    number: i64,
    life: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { pulse, number, life } = &mut *self;
        if pulse.has_overslept() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _running = pulse.begin(*number);
        life.as_mut().poll(cx)
    }
}

/// The thread that looks at all shards; ends when it is dropped.
pub(crate) struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// `name` tells the name of a route.
    pub(crate) fn start(pulses: Vec<Arc<Pulse>>, name: impl Fn(i32) -> String + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let thread = std::thread::Builder::new()
            .name("due-watchdog".to_owned())
            .spawn(move || watch(&pulses, &ended, name))
            .map_err(|e| tracing::warn!(error = %e, "no watchdog: the thread cannot be started"))
            .ok();
        Self { stop, thread }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// What was seen at the last look: (handlers started, already named).
type Seen = (u64, bool);

fn watch(pulses: &[Arc<Pulse>], ended: &AtomicBool, name: impl Fn(i32) -> String) {
    let mut seen: Vec<Seen> = vec![(0, false); pulses.len()];
    while !ended.load(Ordering::Acquire) {
        std::thread::park_timeout(LIMIT);
        for (pulse, seen) in pulses.iter().zip(&mut seen) {
            look(pulse, seen, &name);
        }
    }
}

fn look(pulse: &Pulse, seen: &mut Seen, name: &impl Fn(i32) -> String) {
    let (started, running) = (pulse.started.load(Ordering::Relaxed), pulse.running.load(Ordering::Acquire));
    let same = running != IDLE && seen.0 == started;
    if same && !seen.1 {
        let route = pulse.name(running, name);
        tracing::warn!(
            shard = pulse.shard,
            route,
            "this holds its shard for more than 10 ms, and everybody on the shard waits: mark the handler blocking(..), or let \
             the actor do it in the background, with spawn_blocking"
        );
        pulse.note(route);
    }
    *seen = (started, same);
}
