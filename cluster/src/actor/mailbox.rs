//! The mailbox of one life of an actor: everything that others and the actor's own task share.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use due_core::Uid;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, Sleep},
};

use super::{
    Actor, Cx,
    host::Host,
    refused::Refused,
    timers::{Due, Once, Timers},
};
use crate::{cluster::Cluster, session::Session};

/// What is left of a handler that waits.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A message in a mailbox.
pub(crate) trait Letter<A: Actor>: Send {
    /// Runs it; gives the rest if it waits.
    fn deliver<'a>(self: Box<Self>, actor: &'a mut A, cx: &Cx<A>) -> Option<Waiting<'a>>;

    /// Tells its sender that it is not run.
    fn refuse(self: Box<Self>, why: Refused);
}

/// Why a mailbox gave a letter back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Too much waits already.
    Full,
    /// The actor takes no more; a later life of it may.
    Ending,
}

/// How far the actor's life is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Opening,
    Running,
    /// It is over and its name is free. Holds why it never ran, if it did not.
    Ended(Option<Refused>),
}

impl Phase {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Phase::Ended(_))
    }
}

/// When the actor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    No,
    /// When the mailbox is empty.
    Drained,
    /// After the handler that runs.
    Now,
}

/// What the actor's task does next.
pub(crate) enum Next<A: Actor> {
    Letter(Box<dyn Letter<A>>),
    Timer(Due<A>),
    Result(Once<A>),
    Stop,
}

/// One life of an actor, from the outside.
pub(crate) struct Mailbox<A: Actor> {
    pub(crate) name: Arc<str>,
    pub(crate) key: A::Key,
    pub(crate) host: Arc<Host<A>>,
    pub(crate) cluster: Cluster,
    pub(crate) phase: watch::Sender<Phase>,
    state: Mutex<State<A>>,
}

struct State<A: Actor> {
    letters: VecDeque<(Box<dyn Letter<A>>, usize)>,
    bytes: usize,
    results: VecDeque<Once<A>>,
    timers: Timers<A>,
    /// Work beside the actor; none yet while it is being spawned.
    background: HashMap<u64, Option<AbortHandle>>,
    last: u64,
    attached: HashMap<Uid, Session>,
    stop: Stop,
    /// Timers, results and letters take turns.
    letter_next: bool,
    waker: Option<Waker>,
}

impl<A: Actor> Default for State<A> {
    fn default() -> Self {
        Self {
            letters: VecDeque::new(),
            bytes: 0,
            results: VecDeque::new(),
            timers: Timers::default(),
            background: HashMap::new(),
            last: 0,
            attached: HashMap::new(),
            stop: Stop::No,
            letter_next: false,
            waker: None,
        }
    }
}

/// A suspended actor looks so often whether it still is.
const LOOK: Duration = Duration::from_secs(1);
/// A queue that was longer gives its room back when it is empty.
const KEEP: usize = 64;

impl<A: Actor> Mailbox<A> {
    pub(crate) fn new(name: Arc<str>, key: A::Key, host: Arc<Host<A>>, cluster: Cluster) -> Arc<Self> {
        let (phase, _) = watch::channel(Phase::Opening);
        Arc::new(Self { name, key, host, cluster, phase, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does it take letters?
    pub(crate) fn is_open(&self) -> bool {
        self.lock().stop == Stop::No
    }

    /// Was it told to end at once?
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stop == Stop::Now
    }

    /// Queues a letter of `bytes`, or gives it back.
    pub(crate) fn push(&self, letter: Box<dyn Letter<A>>, bytes: usize) -> Result<(), (Box<dyn Letter<A>>, Closed)> {
        let mut state = self.lock();
        if state.stop != Stop::No {
            return Err((letter, Closed::Ending));
        }
        let crowded = !state.letters.is_empty() && state.bytes.saturating_add(bytes) > A::MAILBOX_BYTES;
        if crowded || state.letters.len() >= A::MAILBOX.max(1) {
            return Err((letter, Closed::Full));
        }
        state.bytes += bytes;
        state.letters.push_back((letter, bytes));
        wake(state);
        Ok(())
    }

    /// Ends the actor, at the latest as `stop` says.
    pub(crate) fn stop(&self, stop: Stop) {
        let mut state = self.lock();
        state.stop = state.stop.max(stop);
        wake(state);
    }

    /// What comes next; wakes the caller when there is something. `sleep` is the caller's one timer.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>, sleep: &mut Option<Pin<Box<Sleep>>>) -> Poll<Next<A>> {
        let mut state = self.lock();
        loop {
            let suspended = self.is_suspended(&state);
            if let Some(next) = state.next(suspended) {
                return Poll::Ready(next);
            }
            let first = if suspended { Some(Instant::now() + LOOK) } else { state.timers.first() };
            if let Some(first) = first {
                let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(first)));
                if sleep.deadline() != first {
                    sleep.as_mut().reset(first);
                }
                if sleep.as_mut().poll(cx).is_ready() && first <= Instant::now() {
                    continue;
                }
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
    }

    /// Is its node cut off from the store, and does no gate speak for those who are attached? Without any, one gate is
    /// enough that reaches the node.
    fn is_suspended(&self, state: &State<A>) -> bool {
        if !self.host.common.own.contact.is_lost() {
            return false;
        }
        match state.attached.is_empty() {
            true => !self.cluster.has_gates(),
            false => state.attached.values().all(Session::is_closed),
        }
    }

    /// Works on the timers.
    pub(crate) fn timers<R>(&self, work: impl FnOnce(&mut Timers<A>) -> R) -> R {
        let mut state = self.lock();
        let done = work(&mut state.timers);
        wake(state);
        done
    }

    /// Starts work beside the actor; it is aborted when the actor ends. `then` gets what it returns.
    pub(crate) fn background<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&mut A, T, &Cx<A>) + Send + 'static,
    ) {
        let number = self.announce();
        let mailbox = Arc::clone(self);
        let task = self.cluster.background(async move {
            let done = Unlisted { mailbox, number };
            let value = work.await;
            done.mailbox.result(number, Box::new(move |actor, cx| then(actor, value, cx)));
        });
        match self.lock().background.get_mut(&number) {
            Some(handle) => *handle = Some(task.abort_handle()),
            // It has ended, or the actor has.
            None => task.abort(),
        }
    }

    /// Puts work on the list before it is spawned: a runtime that ends drops it at once.
    fn announce(&self) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.background.insert(number, None);
        number
    }

    /// A result of work that was not aborted meanwhile.
    fn result(&self, number: u64, run: Once<A>) {
        let mut state = self.lock();
        if state.background.remove(&number).is_some() {
            state.results.push_back(run);
            wake(state);
        }
    }

    /// Aborts background work and forgets results and timers.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        let background = mem::take(&mut state.background);
        let (results, timers) = (mem::take(&mut state.results), mem::take(&mut state.timers));
        drop(state);
        background.into_values().flatten().for_each(|task| task.abort());
        drop((results, timers));
    }

    /// The user's routes of this kind come here.
    pub(crate) fn attach(&self, uid: Uid, session: Session) {
        let before = self.lock().attached.insert(uid, session);
        drop(before);
    }

    pub(crate) fn detach(&self, uid: &Uid) {
        let left = self.lock().attached.remove(uid);
        drop(left);
    }

    /// Whoever is attached.
    pub(crate) fn take_attached(&self) -> HashMap<Uid, Session> {
        mem::take(&mut self.lock().attached)
    }

    /// Closes the mailbox and refuses what is in it.
    pub(crate) fn refuse_all(&self, why: &Refused) {
        let mut state = self.lock();
        state.stop = Stop::Now;
        state.bytes = 0;
        let letters = mem::take(&mut state.letters);
        drop(state);
        letters.into_iter().for_each(|(letter, _)| letter.refuse(why.clone()));
    }
}

impl<A: Actor> State<A> {
    /// What comes next. Who is suspended takes messages, which come from somebody, and nothing of its own.
    fn next(&mut self, suspended: bool) -> Option<Next<A>> {
        if self.stop == Stop::Now {
            return Some(Next::Stop);
        }
        self.letter_next = !self.letter_next;
        let next = match self.letter_next {
            _ if suspended => self.letter(),
            true => self.letter().or_else(|| self.own()),
            false => self.own().or_else(|| self.letter()),
        };
        match next {
            None if self.stop == Stop::Drained => Some(Next::Stop),
            next => next,
        }
    }

    fn letter(&mut self) -> Option<Next<A>> {
        let (letter, bytes) = self.letters.pop_front()?;
        self.bytes -= bytes;
        if self.letters.is_empty() && self.letters.capacity() > KEEP {
            self.letters = VecDeque::new();
        }
        Some(Next::Letter(letter))
    }

    /// What the actor itself asked for.
    fn own(&mut self) -> Option<Next<A>> {
        if self.timers.first().is_some()
            && let Some(due) = self.timers.pop(Instant::now())
        {
            return Some(Next::Timer(due));
        }
        self.results.pop_front().map(Next::Result)
    }
}

fn wake<A: Actor>(mut state: MutexGuard<'_, State<A>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Takes background work off the list when it ends in whatever way.
struct Unlisted<A: Actor> {
    mailbox: Arc<Mailbox<A>>,
    number: u64,
}

impl<A: Actor> Drop for Unlisted<A> {
    fn drop(&mut self) {
        self.mailbox.lock().background.remove(&self.number);
    }
}
