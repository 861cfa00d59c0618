//! The way out of a handler: pushes to many, events, actors, other servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use bytes::Bytes;
use due_core::{
    Call, Codec, Encryptor, Error, Kind, Notify, Owner, Push, Result, RouteDef, RouteId, Topic, Uid,
    bus::EventBus,
    cache::Cache,
    config::ConfigSource,
    locate::{Locator, Subject},
    lock::Lock,
    registry::{InstanceKind, Registry},
};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::{
    admin::Side,
    fault::Fault,
    handler::{Answer, Job},
    link::{Audience, Counts, FLAG_THEN_CLOSE, GateOrder, class_bits},
    node::{call::Callee, part::NodeShared},
    peer::{Called, Peers},
    session::{ORDER_LIMIT, Session, encode_error, sealed_body},
    shard::inbox::Inbox,
};

/// A handle to the cluster as one process sees it. Cheap to clone; an extractor, the state of an `Http` part, and what
/// `Running::cluster` returns.
#[derive(Clone)]
pub struct Cluster(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) backends: Backends,
    pub(crate) gates: Mutex<BTreeMap<Owner, Vec<Reach>>>,
    /// The nodes of this process, for calls within it.
    pub(crate) callees: Vec<Callee>,
    /// Other processes.
    pub(crate) peers: Arc<Peers>,
    pub(crate) service: tokio::runtime::Handle,
    /// Blocking handlers that may run at once.
    pub(crate) pool: Arc<tokio::sync::Semaphore>,
    /// The encryptor of this process's nodes.
    pub(crate) encryptor: Option<Arc<dyn Encryptor>>,
    /// What this process answers to those who ask its parts.
    pub(crate) side: Arc<Side>,
}

/// Blocking handlers that may run at once in a process; more wait, their sessions with them.
pub(crate) const BLOCKING: usize = 64;

/// The opened backends of a process.
#[derive(Clone)]
pub(crate) struct Backends {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) locator: Arc<dyn Locator>,
    pub(crate) bus: Arc<dyn EventBus>,
    pub(crate) config: Arc<dyn ConfigSource>,
    pub(crate) lock: Arc<dyn Lock>,
    pub(crate) cache: Arc<dyn Cache>,
}

/// How this process reaches a gate.
#[derive(Clone)]
pub(crate) enum Reach {
    /// The gate's shard is here.
    Here { inbox: Arc<Inbox>, gate: u8 },
    /// A node shard here has a link to it.
    Link(LinkTo),
}

/// A link of a gate's shard to a node shard here.
#[derive(Clone)]
pub(crate) struct LinkTo {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) link: u32,
    pub(crate) gate_shard: u16,
    /// Tells it from others in the same place, and whether it is full.
    pub(crate) serial: u64,
    pub(crate) crowded: Arc<AtomicBool>,
}

impl Reach {
    fn order(&self, order: GateOrder, answer: oneshot::Sender<Result<Vec<u8>>>) -> bool {
        match self {
            Reach::Here { inbox, gate } => {
                let gate = *gate;
                inbox.run(move |shard| shard.gate_order_here(gate, order, answer))
            }
            Reach::Link(LinkTo { inbox, link, .. }) => {
                let link = *link;
                inbox.run(move |shard| shard.link_order(link, 0, &order, Some(answer)))
            }
        }
    }
}

/// Whom a push reaches.
#[derive(Clone, Debug)]
pub enum To<'a> {
    /// One user, wherever connected.
    User(Uid),
    /// Many users; one that is offline changes nothing for the others.
    Users(&'a [Uid]),
    /// These sessions.
    Sessions(&'a [Session]),
    /// The subscribers of a channel, on all gates.
    Channel(&'a str),
    /// Every connection with a user.
    Bound,
    /// Every connection.
    Everyone,
}

/// What became of a push: the gates' own counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Stands in the outbox of a connection.
    pub queued: usize,
    /// Refused or dropped by a full outbox; with a full link its gate counts once.
    pub full: usize,
    /// Users who are connected nowhere, sessions that are gone.
    pub offline: usize,
    /// Gates that did not answer in time, and targets whose listener cannot carry the route: it is not known what
    /// became of these.
    pub unknown: usize,
}

impl Cluster {
    /// Sends to many and waits for the gates' counts (at most 3 s a gate; a silent gate counts as unknown).
    pub async fn push<T, C: Codec<T>>(&self, to: To<'_>, push: Push<T, C>, value: &T) -> Result<Sent> {
        self.push_with(to, push, value, 0).await
    }

    /// Sends, and closes each connection gracefully once it is written.
    pub async fn push_then_close<T, C: Codec<T>>(&self, to: To<'_>, push: Push<T, C>, value: &T) -> Result<Sent> {
        self.push_with(to, push, value, FLAG_THEN_CLOSE).await
    }

    async fn push_with<T, C: Codec<T>>(&self, to: To<'_>, push: Push<T, C>, value: &T, flags: u8) -> Result<Sent> {
        let def = push.def();
        let flags = flags | class_bits(def.flags.class);
        if let To::Channel(channel) = to
            && let Some((inbox, gate)) = self.only_gate()
        {
            crate::session::check_channel(channel)?;
            let queued = inbox.fan((gate, channel), (def.id.0, flags), |out| self.encode::<T, C>(def.id, value, out));
            return match queued {
                Ok(wait) => Ok(Sent::of(wait.end_of_one().await)),
                Err(e) if e.kind() == Kind::Full => Ok(Sent { full: 1, ..Sent::default() }),
                Err(e) if e.kind() == Kind::Gone => Ok(Sent::of(None)),
                Err(e) => Err(e),
            };
        }
        let mut body = Vec::new();
        self.encode::<T, C>(def.id, value, &mut body)?;
        // Boxed, so that a push to a channel is a small future.
        Box::pin(self.push_to_gates(to, (def.id.0, flags), &body)).await
    }

    /// Appends the body of a push.
    pub(crate) fn encode<T, C: Codec<T>>(&self, route: RouteId, value: &T, out: &mut Vec<u8>) -> Result<()> {
        match &self.0.encryptor {
            Some(by) if !C::RAW => out.extend_from_slice(&sealed_body::<T, C>(&**by, route, value)?),
            _ => C::default().encode(value, out).map_err(encode_error)?,
        }
        Ok(())
    }

    async fn push_to_gates(&self, to: To<'_>, (route, flags): (i32, u8), body: &[u8]) -> Result<Sent> {
        let make = |to| GateOrder::Push { to, route, flags, body: body.to_vec() };
        let mut sent = Sent::default();
        let mut orders: Vec<(Owner, GateOrder)> = Vec::new();
        match to {
            To::User(uid) => self.by_gate(&[uid], &mut sent, |uids| make(Audience::Users(uids)), &mut orders).await?,
            To::Users(uids) => self.by_gate(uids, &mut sent, |uids| make(Audience::Users(uids)), &mut orders).await?,
            To::Sessions(sessions) => {
                let mut grouped: BTreeMap<Owner, Vec<(u16, u64)>> = BTreeMap::new();
                for s in sessions {
                    grouped.entry(s.0.gate.clone()).or_default().push((s.0.gate_shard, s.0.lane));
                }
                orders.extend(grouped.into_iter().map(|(gate, all)| (gate, make(Audience::Sessions(all)))));
            }
            To::Channel(name) => {
                crate::session::check_channel(name)?;
                orders.extend(self.all_gates().into_iter().map(|g| (g, make(Audience::Channel(name.to_owned())))));
            }
            To::Bound => {
                orders.extend(self.all_gates().into_iter().map(|g| (g, make(Audience::Everyone { bound: true }))))
            }
            To::Everyone => {
                orders.extend(self.all_gates().into_iter().map(|g| (g, make(Audience::Everyone { bound: false }))))
            }
        }
        let asked = orders.into_iter().map(|(gate, order)| self.counted(gate, order));
        for counts in join_all(asked).await {
            sent.queued += counts.queued as usize;
            sent.full += counts.full as usize;
            sent.offline += counts.offline as usize;
            sent.unknown += counts.unknown as usize;
        }
        Ok(sent)
    }

    /// The one gate of the cluster, if it is of this process.
    pub(crate) fn only_gate(&self) -> Option<(Arc<Inbox>, u8)> {
        let reaches = self.reaches();
        let mut all = reaches.values();
        match (all.next()?.first(), all.next(), self.0.callees.is_empty()) {
            (Some(Reach::Here { inbox, gate }), None, false) => Some((inbox.clone(), *gate)),
            _ => None,
        }
    }

    pub(crate) async fn counted(&self, gate: Owner, order: GateOrder) -> Counts {
        let targets = match &order {
            GateOrder::Push { to: Audience::Users(all), .. } => all.len(),
            GateOrder::Push { to: Audience::Sessions(all), .. } => all.len(),
            _ => 1,
        };
        let counts = self.order(&gate, order).await.and_then(|body| Counts::decode(&body));
        counts.unwrap_or_else(|e| {
            tracing::debug!(%gate, error = %e, "a gate did not count a push");
            let targets = targets as u32;
            match e.kind() {
                // The link took nothing.
                Kind::Full => Counts { full: targets, ..Counts::default() },
                _ => Counts { unknown: targets, ..Counts::default() },
            }
        })
    }

    /// Sorts users by the gate that holds them; those held by nobody are offline.
    async fn by_gate(
        &self,
        uids: &[Uid],
        sent: &mut Sent,
        make: impl Fn(Vec<Uid>) -> GateOrder,
        orders: &mut Vec<(Owner, GateOrder)>,
    ) -> Result<()> {
        let mut grouped: BTreeMap<Owner, Vec<Uid>> = BTreeMap::new();
        for uid in uids {
            if uid.check().is_err() {
                // Nobody can be bound to it, so nobody is.
                sent.offline += 1;
                continue;
            }
            match self.gate_of(uid).await? {
                Some(gate) => grouped.entry(gate).or_default().push(uid.clone()),
                None => sent.offline += 1,
            }
        }
        orders.extend(grouped.into_iter().map(|(gate, uids)| (gate, make(uids))));
        Ok(())
    }

    /// The gate that holds a user's connection; `None` if there is none.
    pub async fn gate_of(&self, uid: &Uid) -> Result<Option<Owner>> {
        let record = self.0.backends.locator.locate(Subject::from(uid.clone())).await?;
        Ok(record.gate.map(|slot| slot.owner))
    }

    /// The nodes a user is bound to, by node name.
    pub async fn nodes_of(&self, uid: &Uid) -> Result<BTreeMap<Arc<str>, Owner>> {
        let record = self.0.backends.locator.locate(Subject::from(uid.clone())).await?;
        Ok(record.node.into_iter().map(|(name, slot)| (name, slot.owner)).collect())
    }

    /// Is the user connected? A user that nobody knows, or whose gate is gone, is `Ok(false)`; a store or a gate that
    /// cannot be asked is an error.
    pub async fn is_online(&self, uid: &Uid) -> Result<bool> {
        let Some(gate) = self.gate_of(uid).await? else { return Ok(false) };
        match self.order(&gate, GateOrder::IsOnline(uid.clone())).await {
            Ok(body) => Ok(body.first() == Some(&1)),
            Err(_) if self.0.peers.is_gone(InstanceKind::Gate, &gate).await => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Where the user speaks from; `Offline` if nowhere.
    pub async fn ip(&self, uid: &Uid) -> Result<std::net::IpAddr> {
        let gate = self.gate_of(uid).await?.ok_or(Kind::Offline)?;
        let body = self.order(&gate, GateOrder::Ip(uid.clone())).await?;
        let text = String::from_utf8_lossy(&body);
        text.parse().map_err(|_| Error::from(Kind::Offline))
    }

    /// Connections on all gates, and how many of them have a user.
    pub async fn stat(&self) -> Result<Stat> {
        let asked = self.all_gates().into_iter().map(|gate| async move { self.order(&gate, GateOrder::Stat).await });
        let mut all = Stat::default();
        for body in join_all(asked).await {
            let body = body?;
            let r = &mut crate::link::Reader(&body);
            all.connections += r.u64()?;
            all.users += r.u64()?;
        }
        Ok(all)
    }

    /// Ends a user's connection, after what is queued for it or at once. `false` if the user is offline.
    pub async fn disconnect(&self, uid: &Uid, forced: bool) -> Result<bool> {
        let Some(gate) = self.gate_of(uid).await? else { return Ok(false) };
        let order = GateOrder::Disconnect { uid: uid.clone(), forced, code: 0, text: String::new() };
        let body = self.order(&gate, order).await?;
        Ok(body.first() == Some(&1))
    }

    /// Calls a route of a node, internal routes too, and waits for its answer. A node of this process that serves it is
    /// preferred, and the handler runs in the caller's task; else one is picked by state and weight, and of a stateful
    /// route the user's ([`Cluster::call_for`]); there the handler runs on a shard as far as it gets without waiting. The handler has no session: one that takes a `Session` gets one that is
    /// over. Dropped, a call that runs here ends; one that runs elsewhere does if its route is `cancellable`.
    ///
    /// Errors: `NoRoute` if no node serves it, `WouldDeadlock` for a node of this process with `Order::Node`, `Timeout`
    /// at the route's deadline, `Unavailable` if no node can be reached or the link ended before the answer (it may have
    /// happened then), `Overloaded` when too many calls wait, else the handler's own. Codes of another process keep
    /// their number and text.
    pub async fn call<Q, P, C: Codec<Q> + Codec<P>>(&self, route: Call<Q, P, C>, request: &Q) -> Result<P, Fault> {
        let body = self.call_raw::<Q, C>(route.def(), None, request).await?;
        Ok(C::default().decode(&body)?)
    }

    /// Calls a route for a user: the handler sees that uid, and a stateful route runs on the node that the user is bound
    /// to. Errors: as of [`Cluster::call`], `NotBound`, and `OwnerLost` if that node is gone.
    pub async fn call_for<Q, P, C: Codec<Q> + Codec<P>>(
        &self,
        uid: &Uid,
        route: Call<Q, P, C>,
        request: &Q,
    ) -> Result<P, Fault> {
        let body = self.call_raw::<Q, C>(route.def(), Some(uid), request).await?;
        Ok(C::default().decode(&body)?)
    }

    /// Runs the handler of a route without an answer; as [`Cluster::call`], and returns when it has ended.
    pub async fn notify<Q, C: Codec<Q>>(&self, route: Notify<Q, C>, request: &Q) -> Result<(), Fault> {
        self.call_raw::<Q, C>(route.def(), None, request).await.map(drop)
    }

    /// The same for a user; see [`Cluster::call_for`].
    pub async fn notify_for<Q, C: Codec<Q>>(&self, uid: &Uid, route: Notify<Q, C>, request: &Q) -> Result<(), Fault> {
        self.call_raw::<Q, C>(route.def(), Some(uid), request).await.map(drop)
    }

    async fn call_raw<Q, C: Codec<Q>>(&self, def: RouteDef, uid: Option<&Uid>, request: &Q) -> Result<Bytes, Fault> {
        let mut body = Vec::new();
        C::default().encode(request, &mut body)?;
        if let Some(uid) = uid {
            uid.check()?;
        }
        match self.near(def, uid).await? {
            Some(callee) => {
                let called = Called { route: def.id.0, uid: uid.cloned(), body: body.into() };
                callee.call(self, def, called).await
            }
            None => self.call_far(def, uid, body).await,
        }
    }

    /// The node of this process that a call goes to: one that serves the route, for a user the one it is bound to.
    async fn near(&self, def: RouteDef, uid: Option<&Uid>) -> Result<Option<&Callee>, Fault> {
        let serving = |c: &&Callee| c.serves(def.id);
        let Some(uid) = uid.filter(|_| def.flags.stateful) else {
            return Ok(self.0.callees.iter().find(serving));
        };
        if !self.0.callees.iter().any(|c| c.serves(def.id)) {
            return Ok(None);
        }
        let record = self.0.backends.locator.locate(Subject::from(uid.clone())).await?;
        let owns = |c: &&Callee| record.node.values().any(|slot| slot.owner == c.node.own.owner);
        Ok(self.0.callees.iter().filter(serving).find(owns))
    }

    /// A node of this process as it is called.
    pub(crate) fn callee(&self, node: &Arc<NodeShared>) -> Option<&Callee> {
        self.0.callees.iter().find(|callee| Arc::ptr_eq(&callee.node, node))
    }

    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.0.peers
    }

    /// Runs a blocking job on the bounded pool.
    pub(crate) async fn run_blocking(&self, job: Job) -> Result<(Answer, Vec<u8>), Fault> {
        let _permit = self.0.pool.clone().acquire_owned().await;
        self.0.service.spawn_blocking(job).await.map_err(|_| Fault::of(Kind::Internal))
    }

    /// Publishes an event; subscribers are `Routes::topic` handlers anywhere in the cluster.
    pub async fn publish<T, C: Codec<T>>(&self, topic: Topic<T, C>, value: &T) -> Result<due_core::bus::Receipt> {
        let mut body = Vec::new();
        C::default().encode(value, &mut body).map_err(encode_error)?;
        self.0.backends.bus.publish(topic.def().name, None, body.into()).await
    }

    /// The registry: who is alive. Calls by name find their members here.
    pub fn registry(&self) -> &dyn Registry {
        &*self.0.backends.registry
    }

    /// The locator.
    pub fn locator(&self) -> &Arc<dyn Locator> {
        &self.0.backends.locator
    }

    /// The event bus.
    pub fn bus(&self) -> &Arc<dyn EventBus> {
        &self.0.backends.bus
    }

    /// The source of live settings.
    pub fn config(&self) -> &Arc<dyn ConfigSource> {
        &self.0.backends.config
    }

    /// The locks.
    pub fn lock(&self) -> &Arc<dyn Lock> {
        &self.0.backends.lock
    }

    /// The cache.
    pub fn cache(&self) -> &Arc<dyn Cache> {
        &self.0.backends.cache
    }

    /// Runs a task beside the shards, on the runtime that started the application; it ends with that runtime.
    pub fn background<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.service.spawn(task)
    }

    /// Gates are linked to all nodes; a process without nodes asks the registry for the others.
    /// Does any gate reach this process, or is it here?
    pub(crate) fn has_gates(&self) -> bool {
        !self.reaches().is_empty()
    }

    pub(crate) fn all_gates(&self) -> Vec<Owner> {
        let mut all: BTreeSet<Owner> = self.reaches().keys().cloned().collect();
        if self.0.callees.is_empty() {
            all.extend(self.0.peers.gates());
        }
        all.into_iter().collect()
    }

    fn reaches(&self) -> std::sync::MutexGuard<'_, BTreeMap<Owner, Vec<Reach>>> {
        self.0.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link of one shard of a gate.
    pub(crate) fn reach_of(&self, gate: &Owner, shard: u16) -> Option<LinkTo> {
        let of_shard = |reach: &Reach| match reach {
            Reach::Link(to) if to.gate_shard == shard => Some(to.clone()),
            _ => None,
        };
        self.reaches().get(gate)?.iter().find_map(of_shard)
    }

    /// Are there nodes in other processes?
    pub(crate) fn has_other_nodes(&self) -> bool {
        self.0.peers.nodes_listed() > self.0.callees.len()
    }

    pub(crate) fn add_reach(&self, gate: Owner, reach: Reach) {
        self.reaches().entry(gate).or_default().push(reach);
    }

    pub(crate) fn remove_link(&self, inbox: &Arc<Inbox>, link: u32) {
        let gone = |r: &Reach| matches!(r, Reach::Link(LinkTo { inbox: i, link: l, .. }) if Arc::ptr_eq(i, inbox) && *l == link);
        let mut all = self.reaches();
        all.retain(|_, reaches| {
            reaches.retain(|r| !gone(r));
            !reaches.is_empty()
        });
    }

    pub(crate) async fn order(&self, gate: &Owner, order: GateOrder) -> Result<Vec<u8>> {
        let reach = self.reaches().get(gate).and_then(|all| all.first().cloned());
        let Some(reach) = reach else {
            let until = tokio::time::Instant::now() + ORDER_LIMIT;
            return self.0.peers.ask_gate(gate, (order.number(), order.encode()), until).await;
        };
        let (tx, rx) = oneshot::channel();
        if !reach.order(order, tx) {
            return Err(Kind::Unavailable.into());
        }
        match tokio::time::timeout(ORDER_LIMIT, rx).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Kind::Unavailable.into()),
            Err(_) => Err(Kind::Timeout.into()),
        }
    }
}

impl Sent {
    /// A push that nobody has counted in time is unknown.
    pub(crate) fn of(counts: Option<Counts>) -> Self {
        let Some(Counts { queued, full, offline, unknown }) = counts else {
            return Self { unknown: 1, ..Self::default() };
        };
        let [queued, full, offline, unknown] = [queued, full, offline, unknown].map(|n| n as usize);
        Self { queued, full, offline, unknown }
    }
}

/// Connections of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// All connections.
    pub connections: u64,
    /// Those with a user.
    pub users: u64,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("gates", &self.all_gates()).finish()
    }
}
