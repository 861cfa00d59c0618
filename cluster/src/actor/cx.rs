//! The actor's own side.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    Actor, Addr, TimerId,
    mailbox::{Mailbox, Stop},
};
use crate::cluster::Cluster;

/// An actor's own side: its address, timers, background work. Cheap to clone; an extractor in the actor's handlers.
///
/// Whatever runs later gets `&mut A` again, in turn with the messages, and never after the actor has ended.
pub struct Cx<A: Actor>(pub(crate) Arc<Mailbox<A>>);

impl<A: Actor> Cx<A> {
    /// Which one of its kind it is.
    pub fn key(&self) -> &A::Key {
        &self.0.key
    }

    /// Its address. After its end it answers `Gone`, also when another one was opened by the same key.
    pub fn addr(&self) -> Addr<A> {
        Addr::of(Arc::clone(&self.0))
    }

    /// The way out.
    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// Runs `run` once, `delay` from now. Timers that are due together run in the order in which they were set.
    pub fn after<F>(&self, delay: Duration, run: F) -> TimerId
    where
        F: FnOnce(&mut A, &Cx<A>) + Send + 'static,
    {
        self.0.timers(|timers| timers.after(delay, Box::new(run)))
    }

    /// Runs `run` again and again, `period` (at least 1 ms) from now for the first time. A period that passes while the
    /// actor is held by a handler is skipped, not made up for.
    ///
    /// No timer runs while the actor may be another node's: when no gate speaks for those who are attached and the locator
    /// has not answered for 15 s, until one of both does.
    pub fn every<F>(&self, period: Duration, run: F) -> TimerId
    where
        F: FnMut(&mut A, &Cx<A>) + Send + 'static,
    {
        self.0.timers(|timers| timers.every(period, Box::new(run)))
    }

    /// Stops a timer; one that has run already is no error. When this returns it does not run any more.
    pub fn cancel(&self, timer: TimerId) {
        let cancelled = self.0.timers(|timers| timers.cancel(timer));
        drop(cancelled);
    }

    /// Runs `work` beside the actor, then `then` inside it with what `work` returned; the mailbox goes on meanwhile.
    /// Several results come in the order in which the work ended. Work that is left when the actor ends is aborted; if
    /// `work` panics, `then` is not called.
    pub fn background<T, F>(&self, work: impl Future<Output = T> + Send + 'static, then: F)
    where
        T: Send + 'static,
        F: FnOnce(&mut A, T, &Cx<A>) + Send + 'static,
    {
        self.0.background(work, then);
    }

    /// Ends the actor after the handler that runs: what waits is answered with `Unavailable` (it did not happen),
    /// [`Actor::stopped`] runs, attached sessions are detached, and the name is free again.
    pub fn stop(&self) {
        self.0.stop(Stop::Now);
    }
}

impl<A: Actor> Clone for Cx<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> fmt::Debug for Cx<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cx({}/{})", A::KIND, self.0.name)
    }
}
