//! Actors and timers from the outside: what a [`Cluster`] offers.

use std::{future::Future, sync::Arc, time::Duration};

use due_core::{Kind, Result};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval_at, sleep},
};

use super::{Actor, Addr, host::Host, mailbox::Phase, refused::Refused};
use crate::{cluster::Cluster, session::NodeSelf};

impl Cluster {
    /// The address of an actor by its key. Nothing happens before the first message, which opens the actor if it is not
    /// open; the kind's opener is that of `Node::actors`.
    pub fn actor<A: Actor>(&self, key: &A::Key) -> Addr<A> {
        Addr::of_key(self.clone(), key.clone())
    }

    /// Starts an actor from a state that exists, on the node of this process that declares its kind, and waits until it
    /// has started. It needs no opener. Errors: `Duplicate` if the key is taken, `Unavailable` if no node of this process
    /// hosts actors or the locator cannot be reached, what [`Actor::started`] failed with.
    pub async fn spawn<A: Actor>(&self, key: A::Key, actor: A) -> Result<Addr<A>> {
        let host = self.host_of::<A>(&key).map_err(Refused::error)?;
        let mailbox = host.spawn(&key, self, actor).map_err(Refused::error)?;
        let mut phase = mailbox.phase.subscribe();
        let started = phase.wait_for(|phase| !matches!(phase, Phase::Opening)).await;
        match started.as_deref() {
            Ok(Phase::Ended(Some(why))) => Err(why.clone().error()),
            _ => Ok(Addr::of(mailbox)),
        }
    }

    /// Runs `task` once, `delay` from now, beside the shards. Abort the handle to cancel it.
    pub fn after<F>(&self, delay: Duration, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.background(async move {
            sleep(delay).await;
            task.await
        })
    }

    /// Runs `task` every `period` (at least 1 ms), `period` from now for the first time, one run after the other, beside
    /// the shards. A period that passes while a run goes on is skipped. Abort the handle to cancel it.
    pub fn every<F, Fut>(&self, period: Duration, mut task: F) -> JoinHandle<()>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.background(async move {
            let period = period.max(Duration::from_millis(1));
            let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                task().await;
            }
        })
    }

    /// The kind on the node of this process that has the actor, or else declares the kind, or else is the first.
    pub(crate) fn host_of<A: Actor>(&self, key: &A::Key) -> std::result::Result<Arc<Host<A>>, Refused> {
        let nodes = || self.0.callees.iter().map(|callee| &callee.node.actors);
        let mut known: Vec<Arc<Host<A>>> = nodes().filter_map(|actors| actors.known::<A>()).collect();
        if let Some(at) = known.iter().position(|host| host.find(key).is_some()) {
            return Ok(known.swap_remove(at));
        }
        let at = known.iter().position(|host| host.open.is_some()).unwrap_or(0);
        if at < known.len() {
            return Ok(known.swap_remove(at));
        }
        let first = nodes().next().ok_or_else(|| {
            Refused::new(Kind::Unavailable, "no node runs in this process, and messages between nodes are not carried")
        })?;
        first.host::<A>()
    }

    /// The kind on a certain node of this process.
    pub(crate) fn host_on<A: Actor>(&self, node: &Arc<NodeSelf>) -> std::result::Result<Arc<Host<A>>, Refused> {
        let actors = self.0.callees.iter().map(|callee| &callee.node.actors).find(|actors| actors.is_of(node));
        actors.ok_or_else(|| Refused::new(Kind::Unavailable, "the node is not there"))?.host::<A>()
    }
}
