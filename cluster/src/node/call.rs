//! Calls of routes by servers: what due does with node-to-node delivery, as a call with an answer.
//!
//! The handler runs in the caller's task; it shares nothing with the shards but what its state shares.

use std::{
    cell::OnceCell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::{Code, Kind, Owner, RouteDef, RouteId, Uid, transport::Trace};
use futures_util::FutureExt;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{Order, part::NodeShared};
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{Answer, Body, Late, Origin, Promise, Request, RouteHandler, Start},
    peer::Called,
    session::Session,
};

/// A node of this process as others in it call it.
pub(crate) struct Callee {
    pub(crate) node: Arc<NodeShared>,
    nobody: Session,
    /// Sets of handlers that no call uses now.
    spare: Mutex<Vec<Vec<Box<dyn RouteHandler>>>>,
}

/// Sets of handlers that are kept.
const SPARES: usize = 16;

impl Callee {
    pub(crate) fn new(node: Arc<NodeShared>, nobody: Session) -> Self {
        Self { node, nobody, spare: Mutex::default() }
    }

    /// Does it serve the route by name, not only by its fallback?
    pub(crate) fn serves(&self, route: RouteId) -> bool {
        self.node.table.find(route).is_some()
    }

    /// Runs the route's handler with this body and gives its answer; an empty one for a route that answers nothing.
    pub(crate) async fn call(&self, cluster: &Cluster, def: RouteDef, called: Called) -> Result<Bytes, Fault> {
        if self.node.order == Order::Node {
            return Err(Fault::of(Kind::WouldDeadlock));
        }
        self.begin(cluster, def, self.owner(), called).await
    }

    /// The same for another process. A node of one handler at a time takes it in turn with the others.
    pub(crate) async fn answer(
        &self,
        cluster: &Cluster,
        def: RouteDef,
        from: &Owner,
        called: Called,
    ) -> Result<Bytes, Fault> {
        let mut turn = None;
        if self.node.order == Order::Node {
            let (granted, grant) = oneshot::channel();
            let n = self.nobody.0.key.node;
            self.nobody.0.home.run(move |shard| shard.serial_turn(n, granted));
            turn = Some(grant.await.map_err(|_| Fault::of(Kind::Unavailable))?);
        }
        let outcome = self.begin(cluster, def, from, called).await;
        drop(turn);
        outcome
    }

    async fn begin(&self, cluster: &Cluster, def: RouteDef, from: &Owner, called: Called) -> Result<Bytes, Fault> {
        let start = |cx: &mut Context<'_>| {
            self.start(cluster, (def, from), (called.uid.as_ref(), Body::shared(&called.body)), cx)
        };
        match poll_fn(|cx| Poll::Ready(start(cx))).await {
            Begun::Ended(outcome) => outcome,
            Begun::Waits(waiting) => waiting.end(cluster).await,
        }
    }

    /// Runs the first part of the route's handler on this thread; most have no other.
    pub(crate) fn start(
        &self,
        cluster: &Cluster,
        (def, from): (RouteDef, &Owner),
        (uid, body): (Option<&Uid>, Body<'_>),
        cx: &mut Context<'_>,
    ) -> Begun {
        let Some(place) = self.node.table.find(def.id) else { return Begun::Ended(Err(Fault::of(Kind::NoRoute))) };
        let limit = self.node.table.mount(place).and_then(|m| m.deadline()).unwrap_or(self.node.deadline);
        let until = Instant::now() + limit;
        let (late, mut out) = (OnceCell::new(), Vec::new());
        let promise = || -> Arc<dyn Promise> { late.get_or_init(LateAnswer::made).0.clone() };
        let rq = Request {
            session: &self.nobody,
            cluster,
            route: def,
            seq: 0,
            body,
            uid,
            deadline: until,
            trace: Trace::default(),
            origin: Origin::Node(from),
            late: Late::new(&promise),
        };
        let mut handlers = self.take();
        let started = catch_unwind(AssertUnwindSafe(|| handlers.get_mut(place).map(|h| h.start(&rq, cx, &mut out))));
        let started = match started {
            Ok(started) => started,
            // After a panic the handlers are made anew.
            Err(_) => return Begun::Ended(Err(Fault::of(Kind::Internal))),
        };
        self.give(handlers);
        match started {
            None => Begun::Ended(Err(Fault::of(Kind::NoRoute))),
            Some(Start::Done(Answer::Reply)) => Begun::Ended(Ok(out.into())),
            Some(Start::Done(Answer::Nothing)) => Begun::Ended(Ok(Bytes::new())),
            Some(Start::Done(Answer::Fault(fault))) => Begun::Ended(Err(fault)),
            Some(started) => Begun::Waits(Waiting { started, out, late: late.into_inner(), until }),
        }
    }

    fn owner(&self) -> &Owner {
        &self.node.own.owner
    }

    fn take(&self) -> Vec<Box<dyn RouteHandler>> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| self.node.table.handlers())
    }

    fn give(&self, handlers: Vec<Box<dyn RouteHandler>>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARES {
            spare.push(handlers);
        }
    }
}

/// How a call began.
pub(crate) enum Begun {
    Ended(Result<Bytes, Fault>),
    Waits(Waiting),
}

/// A handler that did not end at once.
pub(crate) struct Waiting {
    started: Start,
    out: Vec<u8>,
    late: Option<LateOf>,
    until: Instant,
}

impl Waiting {
    /// Its end, at its route's deadline at the latest.
    pub(crate) async fn end(self, cluster: &Cluster) -> Result<Bytes, Fault> {
        let until = self.until;
        match timeout_at(until, AssertUnwindSafe(self.run(cluster)).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Fault::of(Kind::Internal)),
            Err(_) => Err(Code::TIMEOUT.into()),
        }
    }

    async fn run(self, cluster: &Cluster) -> Result<Bytes, Fault> {
        let (answer, out) = match self.started {
            Start::Blocking(job) => cluster.run_blocking(job).await?,
            Start::Done(answer) => (answer, self.out),
            Start::Pending(mut task) => {
                let mut out = self.out;
                (poll_fn(|cx| task.poll(cx, &mut out)).await, out)
            }
        };
        match (answer, self.late) {
            (Answer::Reply, _) => Ok(out.into()),
            (Answer::Nothing, _) => Ok(Bytes::new()),
            (Answer::Fault(fault), _) => Err(fault),
            (Answer::Later, Some((promise, answer))) => {
                drop(promise);
                answer.await.unwrap_or_else(|_| Err(Fault::of(Kind::Internal)))
            }
            (Answer::Later, None) => Err(Fault::of(Kind::Internal)),
        }
    }
}

/// Where a late answer of a call goes.
struct LateAnswer(Mutex<Option<oneshot::Sender<Result<Bytes, Fault>>>>);

/// A late answer, and who waits for it.
type LateOf = (Arc<dyn Promise>, oneshot::Receiver<Result<Bytes, Fault>>);

impl LateAnswer {
    fn made() -> LateOf {
        let (late, answer) = oneshot::channel();
        (Arc::new(Self(Mutex::new(Some(late)))), answer)
    }
}

impl Promise for LateAnswer {
    fn answer(&self, outcome: Result<Bytes, Fault>) {
        if let Some(waiting) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = waiting.send(outcome);
        }
    }
}
