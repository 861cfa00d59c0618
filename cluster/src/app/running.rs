//! An application that runs.

use std::{fmt, sync::Arc, sync::atomic::Ordering, time::Duration};

use due_core::{
    Error, Kind, Owner, Result, Url,
    mesh::Served,
    registry::{Registration, State},
    transport::Listening,
};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use super::{
    drain::{Drained, SEEN, steps},
    shards::RunningShard,
};
use crate::{
    cluster::Cluster,
    fault::Fault,
    gate::shard::GateSelf,
    node::shard::{Busy, NodeSession},
    shard::{driver::Shard, watchdog::Watchdog},
    stat::Snapshot,
};

/// How long [`super::App::run`] gives its parts to stop.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(30);

/// So long before the deadline nothing more is read of clients; after half of that, connections whose requests are not
/// answered are closed all the same.
const CUT_BEFORE: Duration = Duration::from_secs(2);

/// A hook that runs before a part stops.
pub(crate) type Stopping =
    Box<dyn FnOnce(Cluster) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>> + Send>;

/// A started application. Dropped, it ends without draining.
pub struct Running {
    pub(crate) cluster: Cluster,
    pub(crate) urls: Vec<(String, Url)>,
    pub(crate) gates: Vec<Arc<GateSelf>>,
    pub(crate) shards: Vec<RunningShard>,
    pub(crate) registrations: Vec<Registration>,
    pub(crate) stopping: Vec<Stopping>,
    pub(crate) tasks: Tasks,
    pub(crate) listening: Vec<Listening>,
    /// What meshes serve, with the mesh's name.
    pub(crate) services: Vec<(String, Box<dyn Served>)>,
    pub(crate) stop_limit: Duration,
    #[expect(dead_code, reason = "held for its drop, which ends the thread")]
    pub(crate) watchdog: Option<Watchdog>,
}

/// Tasks that end with the application.
#[derive(Default)]
pub(crate) struct Tasks(pub(crate) Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// The way to sessions, users and backends.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The addresses of all listeners by part name, with their real ports.
    pub fn urls(&self) -> &[(String, Url)] {
        &self.urls
    }

    /// The address of the first listener of a part, or of the one with this scheme (`gate:ws`).
    pub fn url(&self, part: &str) -> Option<&Url> {
        let (name, scheme) = part.split_once(':').map_or((part, None), |(n, s)| (n, Some(s)));
        self.urls.iter().find(|(n, u)| n == name && scheme.is_none_or(|s| u.scheme() == s)).map(|(_, u)| u)
    }

    /// What the process has counted so far.
    pub async fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::default();
        for shard in &self.shards {
            let (tx, rx) = oneshot::channel();
            shard.inbox.run(move |shard| drop(tx.send(shard.snapshot())));
            if let Ok(part) = rx.await {
                all.merge(part);
            }
        }
        all
    }

    /// How long a stop may take: 30 s, or what the setting `drain` says.
    pub fn stop_limit(&self) -> Duration {
        self.stop_limit
    }

    /// Stops: no new users, nodes' hooks, clients told and closed after what is queued for them, calls of meshes ended,
    /// actors stopped, then deregistered. What is left at the deadline is cut, and the error says what that was.
    pub async fn stop(self, deadline: Duration) -> Result<()> {
        let drained = self.drain(deadline).await;
        match drained.left.is_empty() {
            true => Ok(()),
            false => Err(Error::new(Kind::Timeout, "stopped at the deadline").context("left", drained.left.join(", "))),
        }
    }

    /// Stops as [`Running::stop`] does and gives an account of the sessions that had to leave. More than some clients are
    /// told one after the other, within half of the time: they come back elsewhere, and not all at once. All are served
    /// until they leave; one that nothing came of for a second, and that has all its answers, is closed.
    pub async fn drain(mut self, deadline: Duration) -> Drained {
        let until = Instant::now() + deadline;
        let side = &self.cluster.0.side;
        side.health.stopping();
        side.stop_drains();
        for registration in &self.registrations {
            let _ = registration.update(|instance| instance.state = State::Hang);
        }
        for gate in &self.gates {
            gate.draining.store(true, Ordering::Relaxed);
        }
        let hung = Instant::now();
        let mut drained = Drained::default();
        let mut left = Vec::new();
        for hook in std::mem::take(&mut self.stopping) {
            match tokio::time::timeout_at(until, hook(self.cluster.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => tracing::warn!(?fault, "a stopping hook failed"),
                Err(_) => left.push("a stopping hook".to_owned()),
            }
        }
        self.everywhere(|shard| (0..shard.gates.len()).for_each(|g| shard.close_listeners(g as u8)));
        self.tell_clients(until).await;
        let cut = CUT_BEFORE.min(deadline / 2);
        if self.wait_for_clients(until - cut).await > 0 {
            self.everywhere(|shard| (0..shard.gates.len()).for_each(|g| shard.end_clients(g as u8)));
        }
        if self.wait_for_clients(until - cut / 2).await > 0 {
            self.gates.iter().for_each(|gate| gate.ledger.cutting.store(true, Ordering::Relaxed));
            self.everywhere(|shard| (0..shard.gates.len()).for_each(|g| shard.close_clients(g as u8)));
        }
        let clients = self.wait_for_clients(until).await;
        if clients > 0 {
            left.push(format!("{clients} connections"));
        }
        self.gates.iter().for_each(|gate| gate.ledger.add_to(&mut drained));
        drained.dropped = clients as u64;
        drained.sessions = drained.moved + drained.finished + drained.cut + drained.dropped;
        // Their nodes still hear of their end.
        let gates: Vec<Owner> = self.gates.iter().map(|g| g.owner.clone()).collect();
        let sessions = self.wait_for(until, move |shard| shard.sessions(|s| gates.contains(&s.session.0.gate))).await;
        if sessions > 0 {
            left.push(format!("{sessions} sessions whose last handlers have not ended"));
        }
        let busy = self.finish_for_others(hung, until).await;
        if busy > 0 {
            left.push(format!("{busy} sessions of other gates with handlers that have not ended"));
        }
        left.extend(self.close_services(hung, until).await);
        for callee in &self.cluster.0.callees {
            left.extend(callee.node.actors.drain(until).await);
            let (released, failed) = callee.node.own.release_users().await;
            drained.released += released;
            drained.unreached.extend(failed.map(|e| format!("the locator, for users bound to a node: {e}")));
        }
        for registration in std::mem::take(&mut self.registrations) {
            let key = registration.instance().key();
            let failed = match tokio::time::timeout_at(until, registration.close()).await {
                Ok(closed) => closed.err(),
                Err(_) => Some(Error::new(Kind::Timeout, "no time was left for it")),
            };
            drained
                .unreached
                .extend(failed.map(|e| format!("the registry, which lists {key} until its lease is over: {e}")));
        }
        self.shards.iter().for_each(RunningShard::stop);
        for shard in &mut self.shards {
            shard.ended().await;
        }
        drained.left = left;
        tracing::info!(?drained, "the process has stopped");
        drained
    }

    /// Tells all clients to leave, some at a time.
    async fn tell_clients(&self, until: Instant) {
        let clients = self.gates.iter().flat_map(|g| g.connections.iter()).map(|n| n.load(Ordering::Relaxed)).sum();
        let (steps, pause) = steps(clients, until.saturating_duration_since(Instant::now()));
        for step in 1..=steps {
            self.everywhere(move |shard| {
                (0..shard.gates.len()).for_each(|g| shard.drain_clients(g as u8, (step, steps)))
            });
            if step < steps && self.wait_for_clients((Instant::now() + pause).min(until)).await == 0 {
                return;
            }
        }
    }

    /// Tells the registry of another state (`Busy`: takes new work last; `Hang`: takes none, but serves bound users; `Work`)
    /// and waits until it has it. Errors: `Superseded`, `Gone` when the runtime ends.
    pub async fn announce(&self, state: State) -> Result<()> {
        for registration in &self.registrations {
            registration.update(|instance| instance.state = state)?;
            registration.settled().await?;
        }
        Ok(())
    }

    /// Ends as kill -9 would: nobody is told, nothing queued is sent, the registry lists it until its lease is over. Tasks
    /// that handlers spawned on the runtime go on: they are not the application's.
    #[doc(hidden)]
    pub async fn kill(mut self) {
        self.registrations.drain(..).for_each(Registration::abandon);
        self.tasks = Tasks::default();
        self.listening.clear();
        self.services.clear();
        self.shards.iter().for_each(RunningShard::kill);
        for shard in &mut self.shards {
            shard.ended().await;
        }
    }

    fn everywhere(&self, work: impl Fn(&mut Shard) + Clone + Send + 'static) {
        for shard in &self.shards {
            shard.inbox.run(work.clone());
        }
    }

    /// What gates elsewhere have sent is handled to its end: they get time to see that nothing new belongs here, then
    /// this waits until no session has work. Those that have some at the end of the time are counted.
    async fn finish_for_others(&self, hung: Instant, until: Instant) -> usize {
        if self.wait_for(Instant::now(), |shard| shard.sessions(|_| true)).await == 0 {
            return 0;
        }
        tokio::time::sleep_until(until.min(hung + SEEN)).await;
        self.wait_for(until, |shard| shard.sessions(has_work)).await
    }

    /// Callers get time to see that this process takes no calls, then those that run are waited for; what is left.
    async fn close_services(&mut self, hung: Instant, until: Instant) -> Vec<String> {
        let services = std::mem::take(&mut self.services);
        if !services.is_empty() {
            tokio::time::sleep_until(until.min(hung + SEEN)).await;
        }
        crate::mesh::close(services, until).await
    }

    /// Waits until the shards count nothing any more; what they count at the end of the time.
    async fn wait_for(&self, until: Instant, count: impl Fn(&Shard) -> usize + Clone + Send + 'static) -> usize {
        loop {
            let mut left = 0;
            for shard in &self.shards {
                let (tx, rx) = oneshot::channel();
                let count = count.clone();
                shard.inbox.run(move |shard| {
                    let _ = tx.send(count(shard));
                });
                left += rx.await.unwrap_or_default();
            }
            if left == 0 || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Connections that are left when all have ended or the time is over.
    async fn wait_for_clients(&self, until: Instant) -> usize {
        loop {
            let counts = self.gates.iter().flat_map(|g| g.connections.iter());
            let left: usize = counts.map(|n| n.load(Ordering::Relaxed)).sum();
            if left == 0 || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Does a handler run, or a message or an answer wait?
fn has_work(session: &NodeSession) -> bool {
    session.busy != Busy::No || !session.mailbox.is_empty() || !session.late.is_empty()
}

impl Shard {
    fn sessions(&self, which: impl Fn(&NodeSession) -> bool) -> usize {
        self.nodes.iter().flat_map(|n| n.sessions.iter()).filter(|(_, s)| which(s)).count()
    }

    fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::default();
        for gate in &self.gates {
            let name = gate.own.part.name.clone();
            all.gates.entry(name.clone()).or_default().add(&gate.counters);
            *all.connections.entry(name).or_default() += gate.clients.len() as u64;
        }
        for node in &self.nodes {
            let name = node.shared.own.name.clone();
            *all.sessions.entry(name.clone()).or_default() += node.sessions.len() as u64;
            all.nodes.entry(name.clone()).or_default().add(&node.totals);
            for (mount, counters) in node.shared.table.mounts().iter().zip(&node.counters) {
                all.routes.insert((name.clone(), mount.def().name.to_owned()), counters.clone());
            }
        }
        let mut counters = self.counters;
        counters.held = self.pulse.held();
        all.shards.push(counters);
        all.held_by = self.pulse.named();
        all
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Waits for SIGINT or SIGTERM, as [`super::App::run`] does. They are taken from the call on, also before the future is
/// awaited: call it before telling anybody that the process is ready. Inside a tokio runtime.
pub fn signal() -> impl Future<Output = Result<()>> {
    let failed = |e: std::io::Error| Error::new(Kind::Internal, "signals cannot be taken").because(e);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        async move {
            let (mut interrupt, mut terminate) = (interrupt.map_err(failed)?, terminate.map_err(failed)?);
            tokio::select! {
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
            }
        }
    }
    #[cfg(not(unix))]
    async move {
        tokio::signal::ctrl_c().await.map_err(failed)
    }
}
