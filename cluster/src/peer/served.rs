//! Who serves a route, as far as the nodes have told.
//!
//! A node is asked for its table once. One that does not tell it is asked again after a pause, by one caller for all; who
//! finds somebody else that serves the route does not wait for it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_core::{
    Kind, Owner, Result, RouteId,
    registry::{Instance, InstanceKind},
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{DIAL, Peers, link::PeerLink};
use crate::link::{NodeTable, TABLE_ORDER};

/// How long a node may take to tell its routes.
const TABLE_LIMIT: Duration = Duration::from_secs(3);
/// A node that does not tell its routes is asked again after the first of these, then twice as long, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The nodes of other processes that serve a route.
pub(super) struct Served {
    pub(super) all: Vec<Serving>,
    /// How long an answer may take.
    pub(super) limit_ms: u32,
    /// The version of the members that this was made of, and until when it holds at most.
    version: u64,
    until: Option<Instant>,
}

/// A node that serves a route.
pub(super) struct Serving {
    pub(super) member: Instance,
    /// The kind of actors whose slot a stateful route follows.
    pub(super) kind: String,
    pub(super) stateful: bool,
    link: Mutex<Weak<PeerLink>>,
}

impl Serving {
    /// The link to it, see [`Peers::link`].
    pub(super) async fn link(&self, peers: &Peers) -> Result<Arc<PeerLink>> {
        if let Some(link) = self.known() {
            return Ok(link);
        }
        let link = Box::pin(peers.link(&self.member)).await?;
        *self.place() = Arc::downgrade(&link);
        Ok(link)
    }

    /// The same if it is there.
    pub(super) fn known(&self) -> Option<Arc<PeerLink>> {
        self.place().upgrade().filter(|link| !link.is_over())
    }

    fn place(&self) -> MutexGuard<'_, Weak<PeerLink>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What nodes have told.
pub(super) struct Told {
    known: Mutex<Known>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
    version: Arc<AtomicU64>,
}

#[derive(Default)]
struct Known {
    tables: HashMap<u64, Arc<NodeTable>>,
    /// By route number: few, and looked up by every call.
    served: BTreeMap<i32, Arc<Served>>,
    silent: HashMap<Owner, Silent>,
}

/// A node that did not tell its routes.
struct Silent {
    again: Instant,
    pause: Duration,
}

impl Told {
    /// `version` rises whenever the nodes change.
    pub(super) fn new(version: Arc<AtomicU64>) -> Self {
        Self { known: Mutex::default(), asking: tokio::sync::Mutex::default(), version }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asking(&self) -> bool {
        self.asking.try_lock().is_err()
    }

    /// What was found before, if nothing has changed since.
    fn found(&self, route: RouteId) -> Option<Arc<Served>> {
        let known = self.known();
        let served = known.served.get(&route.0)?;
        let fresh = served.version == self.version.load(Ordering::Acquire);
        (fresh && served.until.is_none_or(|until| Instant::now() < until)).then(|| served.clone())
    }
}

impl Known {
    /// Those whose table nobody has told and who may be asked now.
    fn due(&self, nodes: &[Instance], now: Instant) -> Vec<Instance> {
        let untold = nodes.iter().filter(|m| !self.tables.contains_key(&m.routes));
        untold.filter(|m| self.silent.get(&m.owner()).is_none_or(|s| s.again <= now)).cloned().collect()
    }

    /// When somebody may be asked again.
    fn again(&self, nodes: &[Instance]) -> Option<Instant> {
        let untold = nodes.iter().filter(|m| !self.tables.contains_key(&m.routes));
        untold.filter_map(|m| self.silent.get(&m.owner())).map(|silent| silent.again).min()
    }

    /// It is asked now, by one for all.
    fn asked(&mut self, owner: Owner) {
        let again = Instant::now() + DIAL + TABLE_LIMIT;
        self.silent.entry(owner).or_insert(Silent { again, pause: PAUSES.0 }).again = again;
    }

    fn fell_silent(&mut self, owner: &Owner) {
        if let Some(silent) = self.silent.get_mut(owner) {
            silent.again = Instant::now() + silent.pause;
            silent.pause = (silent.pause * 2).min(PAUSES.1);
        }
    }
}

impl Peers {
    /// Nodes of other processes that serve the route.
    pub(super) async fn serving(self: &Arc<Self>, route: RouteId) -> Arc<Served> {
        match self.told.found(route) {
            Some(served) => served,
            None => Box::pin(self.find(route)).await,
        }
    }

    async fn find(self: &Arc<Self>, route: RouteId) -> Arc<Served> {
        let (served, due) = self.look(route);
        if served.all.is_empty() && (due || self.told.is_asking()) {
            self.ask(self.others()).await;
            return self.look(route).0;
        }
        if due && !self.told.is_asking() {
            drop(self.ask(self.others()));
        }
        served
    }

    /// The tables of all nodes, one node of each; nodes that cannot be asked are passed over.
    pub(crate) async fn all_tables(self: &Arc<Self>) -> BTreeMap<u64, Arc<NodeTable>> {
        let nodes = self.nodes();
        let due = !self.told.known().due(&nodes, Instant::now()).is_empty();
        if due || self.told.is_asking() {
            self.ask(nodes.to_vec()).await;
        }
        let known = self.told.known();
        let of = |m: &Instance| Some((m.routes, known.tables.get(&m.routes)?.clone()));
        nodes.iter().filter_map(of).collect()
    }

    /// Nobody who is listed serves the route. Is that for now only? A node of it was listed before, or one that is does
    /// not tell its routes.
    pub(super) fn why_unserved(&self, route: RouteId) -> Kind {
        let known = self.told.known();
        let named = known.tables.values().any(|table| table.routes.iter().any(|r| r.id == route.0));
        let untold = self.nodes().iter().any(|member| !known.tables.contains_key(&member.routes));
        if named || untold { Kind::Unavailable } else { Kind::NoRoute }
    }

    /// One's own nodes are not dialed: it would be for every call again.
    fn others(&self) -> Vec<Instance> {
        self.nodes().iter().filter(|member| member.owner() != self.own).cloned().collect()
    }

    /// Who serves the route by what is known; is anybody to be asked?
    fn look(&self, route: RouteId) -> (Arc<Served>, bool) {
        // Before the members: what comes between makes this look old.
        let version = self.told.version.load(Ordering::Acquire);
        let (nodes, others) = (self.nodes(), self.others());
        let held = self.roster(InstanceKind::Node).members_until();
        let mut known = self.told.known();
        let serving = |member: &Instance| {
            let route = known.tables.get(&member.routes)?.routes.iter().find(|r| r.id == route.0)?;
            let serving = Serving {
                member: member.clone(),
                kind: route.kind.clone(),
                stateful: route.stateful,
                link: Mutex::default(),
            };
            Some((serving, route.limit_ms))
        };
        let (all, limits): (Vec<_>, Vec<_>) = nodes.iter().filter_map(serving).unzip();
        let limit_ms = limits.into_iter().max().unwrap_or_default();
        let due = !known.due(&others, Instant::now()).is_empty();
        let until = held.into_iter().chain(known.again(&others)).min();
        let served = Arc::new(Served { all, limit_ms, version, until });
        known.served.retain(|_, served| served.version == version);
        // A route that nobody serves is no route of this cluster: it is not kept.
        if !due && !served.all.is_empty() {
            known.served.insert(route.0, served.clone());
        }
        (served, due)
    }

    /// Asks those of the nodes whose table is not known and whose pause is over: one of each table, then the next of it.
    /// Whoever comes meanwhile waits for the end. What was begun goes on when nobody waits any more.
    fn ask(self: &Arc<Self>, nodes: Vec<Instance>) -> impl Future<Output = ()> + use<> {
        let peers = self.clone();
        let asked = self.service.spawn(async move {
            let _asking = peers.told.asking.lock().await;
            let due = peers.due_of(&nodes);
            join_all(due.values().map(|same| peers.ask_same(same))).await;
        });
        async { drop(asked.await) }
    }

    /// Whom to ask, those of one table together.
    fn due_of(&self, nodes: &[Instance]) -> BTreeMap<u64, Vec<Instance>> {
        let listed: HashSet<Owner> = self.nodes().iter().map(Instance::owner).collect();
        let mut known = self.told.known();
        known.silent.retain(|owner, _| listed.contains(owner));
        let mut due: BTreeMap<u64, Vec<Instance>> = BTreeMap::new();
        known.due(nodes, Instant::now()).into_iter().for_each(|m| due.entry(m.routes).or_default().push(m));
        due
    }

    async fn ask_same(&self, same: &[Instance]) {
        for member in same {
            self.told.known().asked(member.owner());
            match self.ask_table(member).await {
                Ok(table) => {
                    let mut known = self.told.known();
                    known.tables.insert(member.routes, Arc::new(table));
                    // What was found without it is old.
                    known.served.clear();
                    return;
                }
                Err(e) => {
                    tracing::debug!(node = %member.id, error = %e, "a node does not tell its routes");
                    self.told.known().fell_silent(&member.owner());
                }
            }
        }
    }

    async fn ask_table(&self, member: &Instance) -> Result<NodeTable> {
        let until = Instant::now() + TABLE_LIMIT;
        let body = self.link(member).await?.ask((TABLE_ORDER, Vec::new()), until).await?;
        NodeTable::decode(&body)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use due_core::{
        Url,
        registry::{self, Registry, State},
        transport::{Acceptor, Dialer, Link, Listening, Transport, memory},
    };

    use super::*;
    use crate::link::TableRoute;

    /// Counts who comes, and takes nobody.
    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Acceptor for Counts {
        fn accept(&self, _: Dialer, _: Box<dyn Link>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn who_serves_a_route_is_not_asked_of_oneself() {
        let transport = Arc::new(memory::Memory::default());
        let registry: Arc<dyn Registry> = Arc::new(registry::Kept::new(registry::memory::Memory::default()));
        let (mut counts, mut held, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for (id, routes) in [("own", 1), ("other", 2)] {
            let url = Url::parse(&format!("memory://{id}")).unwrap();
            let node = Instance::new(InstanceKind::Node, id, "game");
            let node = Instance { routes, state: State::Work, endpoints: vec![url.to_string()], ..node };
            let count = Arc::new(Counts::default());
            let listening = transport.listen(&url, node.owner(), count.clone()).await.unwrap();
            owners.push(node.owner());
            held.push((listening, registry.register(node).await.unwrap()));
            counts.push(count);
        }
        let (peers, _following) = Peers::new(owners[0].clone(), &registry, transport).await.unwrap();
        assert_eq!(peers.nodes().len(), 2);
        assert!(peers.serving(RouteId(1)).await.all.is_empty(), "both hang up");
        let came: Vec<_> = counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect();
        assert_eq!(came, [0, 1]);
    }

    /// Dials nobody, and counts who wants to.
    #[derive(Default)]
    struct Silence(AtomicUsize);

    #[async_trait::async_trait]
    impl Transport for Silence {
        async fn listen(&self, _: &Url, _: Owner, _: Arc<dyn Acceptor>) -> Result<Listening> {
            Err(Kind::Unsupported.into())
        }

        async fn connect(&self, _: &Url, _: Dialer, _: &Owner) -> Result<Box<dyn Link>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            // Nobody answers: the dial takes its whole time.
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_is_dialed_once_for_all_and_then_after_pauses() {
        let registry: Arc<dyn Registry> = Arc::new(registry::Kept::new(registry::memory::Memory::default()));
        let node = Instance::new(InstanceKind::Node, "mute", "game");
        let node = Instance { routes: 1, state: State::Work, endpoints: vec!["memory://mute".to_owned()], ..node };
        let own = Instance::new(InstanceKind::Node, "own", "game").owner();
        let (_held, silence) = (registry.register(node).await.unwrap(), Arc::new(Silence::default()));
        let (peers, _following) = Peers::new(own, &registry, silence.clone()).await.unwrap();
        let dials = || silence.0.load(Ordering::Relaxed);
        join_all((0..100).map(|_| peers.serving(RouteId(1)))).await;
        assert_eq!(dials(), 1);
        assert_eq!(peers.why_unserved(RouteId(1)), Kind::Unavailable);
        // A call a millisecond, for a minute: each dial takes two seconds and is followed by a pause.
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            assert!(peers.serving(RouteId(1)).await.all.is_empty());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!((15..=30).contains(&dials()), "{}", dials());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_found_serves_while_another_node_is_mute() {
        let registry: Arc<dyn Registry> = Arc::new(registry::Kept::new(registry::memory::Memory::default()));
        let mut held = Vec::new();
        for (id, routes) in [("mute", 1), ("told", 2)] {
            let node = Instance::new(InstanceKind::Node, id, "game");
            let node = Instance { routes, state: State::Work, endpoints: vec![format!("memory://{id}")], ..node };
            held.push(registry.register(node).await.unwrap());
        }
        let own = Instance::new(InstanceKind::Node, "own", "game").owner();
        let (peers, _following) = Peers::new(own, &registry, Arc::new(Silence::default())).await.unwrap();
        let (name, kind) = (String::new(), String::new());
        let (stateful, authorized, internal, answers) = (false, false, false, true);
        let route = TableRoute { id: 5, name, stateful, authorized, internal, answers, limit_ms: 7, kind };
        let table = NodeTable { routes: vec![route], ..NodeTable::default() };
        peers.told.known().tables.insert(2, Arc::new(table));
        let begin = Instant::now();
        for _ in 0..100 {
            let served = peers.serving(RouteId(5)).await;
            let ids: Vec<_> = served.all.iter().map(|one| one.member.id.to_string()).collect();
            assert_eq!((ids, served.limit_ms), (vec!["told".to_owned()], 7));
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        // The same answer is given again as long as nobody comes or goes.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let served = peers.serving(RouteId(5)).await;
        assert!(Arc::ptr_eq(&served, &peers.serving(RouteId(5)).await));
        drop(held.pop());
        while !peers.serving(RouteId(5)).await.all.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
