//! Calls of routes by servers: what due does with node-to-node delivery, as a call with an answer.
//!
//! The handler runs in the caller's task; it shares nothing with the shards but what its state shares.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use bytes::Bytes;
use due_core::{Code, Kind, Owner, RouteDef, RouteId, transport::Trace};
use futures_util::FutureExt;
use tokio::{sync::oneshot, time::Instant};

use super::{Order, part::NodeShared};
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{Answer, Body, Late, Origin, Promise, Request, RouteHandler, Running, Start},
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
        let place = self.node.table.find(def.id).ok_or_else(|| Fault::of(Kind::NoRoute))?;
        let limit = self.node.table.mount(place).and_then(|m| m.deadline()).unwrap_or(self.node.deadline);
        let until = Instant::now() + limit;
        let mut handlers = self.take();
        let ran = AssertUnwindSafe(self.run(cluster, &mut handlers, (place, def, from), &called, until)).catch_unwind();
        match tokio::time::timeout_at(until, ran).await {
            Ok(Ok(outcome)) => {
                self.give(handlers);
                outcome
            }
            // After a panic the handlers are made anew.
            Ok(Err(_)) => Err(Fault::of(Kind::Internal)),
            Err(_) => Err(Code::TIMEOUT.into()),
        }
    }

    async fn run(
        &self,
        cluster: &Cluster,
        handlers: &mut [Box<dyn RouteHandler>],
        route: (usize, RouteDef, &Owner),
        called: &Called,
        deadline: Instant,
    ) -> Result<Bytes, Fault> {
        let handler = handlers.get_mut(route.0).ok_or_else(|| Fault::of(Kind::NoRoute))?;
        let mut out = Vec::new();
        let (late, answer_later) = oneshot::channel();
        let late: Arc<dyn Promise> = Arc::new(LateAnswer(Mutex::new(Some(late))));
        let mut begun = false;
        let mut running: Option<Box<dyn Running>> = None;
        let started = std::future::poll_fn(|cx| {
            if let Some(running) = &mut running {
                return running.poll(cx, &mut out).map(Start::Done);
            }
            if std::mem::replace(&mut begun, true) {
                return Poll::Ready(Start::Done(Answer::Nothing));
            }
            let make = || late.clone();
            let rq = Request {
                session: &self.nobody,
                cluster,
                route: route.1,
                seq: 0,
                body: Body::shared(&called.body),
                uid: called.uid.as_ref(),
                deadline,
                trace: Trace::default(),
                origin: Origin::Node(route.2),
                late: Late::new(&make),
            };
            match handler.start(&rq, cx, &mut out) {
                Start::Pending(task) => {
                    running = Some(task);
                    Poll::Pending
                }
                started => Poll::Ready(started),
            }
        })
        .await;
        let (answer, out) = match started {
            Start::Blocking(job) => cluster.run_blocking(job).await?,
            Start::Done(answer) => (answer, out),
            Start::Pending(_) => (Answer::Nothing, out),
        };
        match answer {
            Answer::Reply => Ok(out.into()),
            Answer::Nothing => Ok(Bytes::new()),
            Answer::Fault(fault) => Err(fault),
            Answer::Later => {
                drop(late);
                answer_later.await.unwrap_or_else(|_| Err(Fault::of(Kind::Internal)))
            }
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

/// Where a late answer of a call goes.
struct LateAnswer(Mutex<Option<oneshot::Sender<Result<Bytes, Fault>>>>);

impl Promise for LateAnswer {
    fn answer(&self, outcome: Result<Bytes, Fault>) {
        if let Some(waiting) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = waiting.send(outcome);
        }
    }
}
