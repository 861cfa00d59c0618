//! Starting an application, step by step.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use due_core::{
    Error, Incarnation, Kind, Owner, Result, Url,
    registry::{Instance, InstanceKind, Registration, Registry, State},
    transport::{Acceptor, Dialer, Link, Listening, Transport},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{
    App, Shards,
    connect::{Finder, Near},
    running::{Running, Tasks},
    shards::{Layout, RunningShard, Seat},
};
use crate::{
    actor::{NodeActors, Place},
    admin::{Side as Answers, beside},
    cluster::{Backends, Cluster, Inner, LinkTo, Reach},
    gate::{
        ListenerSettings,
        budget::Budget,
        heal::Healer,
        shard::{GateSelf, GateShard, ListenerEnd},
        users::Users,
    },
    link::{
        NodeTable, Opened, TableRoute,
        end::{Asked, Side},
    },
    mesh::Mesh,
    node::{
        Node, Order,
        bound::Bindings,
        call::Callee,
        contact::Contact,
        heal::Warden,
        part::{NodeShared, common_encryptor},
        shard::NodeShard,
        speakers::Speakers,
        wake::Doubt,
    },
    peer::{
        Peers,
        probe::{Dialing, labels},
    },
    session::{Made, NodeSelf, Session},
    shard::{
        driver::Setup,
        inbox::{Inbox, SessionKey},
        watchdog::Watchdog,
    },
};

/// The longest deadline that gates keep, in milliseconds: some days, far from the end of their clocks.
const MAX_LIMIT_MS: u128 = 1 << 29;
/// How long the first look at the nodes may take.
const FIRST_VIEW: Duration = Duration::from_secs(10);
/// How long a start waits for servers that do not answer, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);
/// The longest pause between two looks at the clients.
const LONGEST_SWEEP: Duration = Duration::from_secs(1);

pub(crate) async fn start(mut app: App) -> Result<Running> {
    app.apply()?;
    let serial = app.nodes.iter().any(|n| n.order == Order::Node);
    let roles = (!app.gates.is_empty(), !app.nodes.is_empty());
    let layout = Layout::new(app.shards, roles, app.shared, serial);
    let shared = layout.gates == layout.nodes && !layout.gates.is_empty();
    let seats: Vec<Seat> = (0..layout.count).map(Seat::new).collect();
    let (transport, backends) = open(&app).await?;
    let registry = backends.registry.clone();

    let encryptor = common_encryptor(&app.nodes)?;
    let nodes: Vec<Arc<NodeShared>> = std::mem::take(&mut app.nodes)
        .into_iter()
        .map(|n| describe(n, &backends))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .map(|d| {
            app.hooks.push(d.1);
            d.0
        })
        .collect();
    let owners: Vec<Owner> = app.gates.iter().map(|g| owner(g.id.as_ref(), &g.name)).collect();
    let own = nodes.first().map(|n| &n.own.owner).or(owners.first()).cloned();
    let own = own.unwrap_or_else(|| owner(None, "process"));
    backends.registry.probe_with(Arc::new(Dialing { own: own.clone(), transport: transport.clone() }));
    let (peers, following) = Peers::new(own, &registry, transport.clone()).await?;
    let described = app.gates.iter().zip(owners);
    let gates: Vec<Arc<GateSelf>> = described.map(|g| gate_self(g, (&backends, &peers), &layout, &seats)).collect();
    let listeners = listeners(&app, &nodes)?;
    let cluster = Cluster(Arc::new(Inner {
        backends,
        gates: Mutex::new(near_gates(shared, &gates, &layout, &seats)),
        callees: callees(&nodes, &layout, &seats),
        peers,
        side: Answers::new(gates.clone(), nodes.clone(), seats.iter().map(|s| s.inbox.clone()).collect()),
        service: Handle::current(),
        pool: Arc::new(tokio::sync::Semaphore::new(crate::cluster::BLOCKING)),
        encryptor,
    }));
    let shards = run_shards((app.shards, sweep(&listeners)), &layout, &seats, (&gates, &nodes), &cluster)?;
    let names: Vec<Arc<NodeShared>> = nodes.clone();
    let watchdog = (app.shards != Shards::Inline)
        .then(|| Watchdog::start(seats.iter().map(|s| s.pulse.clone()).collect(), move |id| route_name(&names, id)));
    let mut running = Running {
        cluster,
        urls: Vec::new(),
        gates: gates.clone(),
        shards,
        registrations: Vec::new(),
        stopping: Vec::new(),
        tasks: Tasks(following),
        listening: Vec::new(),
        services: Vec::new(),
        stop_limit: app.drain,
        watchdog,
    };
    #[cfg(feature = "http")]
    beside::probe(&mut running, std::mem::take(&mut app.probes)).await?;
    let inboxes = |numbers: &[u16]| -> Vec<(u16, Arc<Inbox>)> {
        numbers.iter().filter_map(|n| Some((*n, seats.get(usize::from(*n))?.inbox.clone()))).collect()
    };
    start_nodes(&mut running, &app, &nodes, (&registry, &transport), inboxes(&layout.nodes)).await?;
    run_hooks(&mut running, &mut app).await?;
    let near = if shared { near_nodes(&nodes) } else { Vec::new() };
    let mut registered: Vec<Registration> = Vec::new();
    for (index, gate) in gates.iter().enumerate() {
        let finder = Finder {
            gate: gate.clone(),
            index: index as u8,
            shards: inboxes(&layout.gates),
            near: near.clone(),
            transport: transport.clone(),
            expiry: registry.capability().expiry.1,
        };
        find_nodes(&mut running, &registry, finder, nodes.len()).await?;
    }
    bind(&mut running, &app, &gates, listeners, inboxes(&layout.gates)).await?;
    for (index, gate) in gates.iter().enumerate() {
        let Some((_, inbox)) = inboxes(&layout.gates).into_iter().next() else { continue };
        let ear = Ear { gate: index as u8, inbox };
        let url = transport_url(&app.urls.transport, format!("{}.gate", gate.owner.id), nodes.len() + index)?;
        let listening = transport.listen(&url, gate.owner.clone(), Arc::new(ear)).await?;
        let mut instance = instance(InstanceKind::Gate, &gate.owner, &gate.part.name);
        instance.endpoints = vec![listening.url.to_string()];
        registered.push(registry.register(instance).await?);
        running.listening.push(listening);
    }
    running.registrations.splice(0..0, registered);
    for (index, node) in nodes.iter().enumerate() {
        let shards = inboxes(&layout.nodes).into_iter().map(|(_, inbox)| (inbox, index as u8)).collect();
        let warden = Warden::new(node.clone(), running.cluster.clone(), shards);
        running.tasks.0.push(tokio::spawn(warden.run()));
    }
    start_topics(&mut running, &nodes, inboxes(&layout.nodes)).await?;
    start_meshes(&mut running, std::mem::take(&mut app.meshes)).await?;
    beside::start(&mut running, &mut app).await?;
    Ok(running)
}

async fn open(app: &App) -> Result<(Arc<dyn Transport>, Backends)> {
    let drivers = &app.drivers;
    let urls = &app.urls.parsed()?;
    let transport = drivers.transport.open(&urls.transport).await?;
    let backends = Backends {
        registry: patient("registry", || drivers.registry.open(&urls.registry)).await?,
        locator: patient("locator", || drivers.locator.open(&urls.locator)).await?,
        bus: patient("eventbus", || drivers.eventbus.open(&urls.eventbus)).await?,
        config: patient("config", || drivers.config.open(&urls.config)).await?,
        lock: patient("lock", || drivers.lock.open(&urls.lock)).await?,
        cache: patient("cache", || drivers.cache.open(&urls.cache)).await?,
    };
    Ok((transport, backends))
}

/// Tries again while a server does not answer: servers and processes that start together are ready in any order.
async fn patient<T, F: Future<Output = Result<T>>>(what: &'static str, open: impl Fn() -> F) -> Result<T> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match open().await {
            Err(e) if e.retry() != due_core::Retry::Never && tokio::time::Instant::now() < until => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(what, error = ?e, "a server does not answer; trying again");
                }
                tokio::time::sleep(AGAIN).await;
            }
            end => return end,
        }
    }
}

fn owner(id: Option<&String>, name: &str) -> Owner {
    let made_up = || format!("{name}-{:08x}", rand::random::<u32>());
    Owner { id: id.cloned().unwrap_or_else(made_up).into(), incarnation: Incarnation::random() }
}

fn instance(kind: InstanceKind, owner: &Owner, name: &str) -> Instance {
    let mut instance = Instance::new(kind, owner.id.clone(), name);
    instance.incarnation = owner.incarnation;
    instance.labels = labels();
    instance.state = State::Work;
    instance
}

/// The hooks of a node.
pub(crate) type Hooks = (Vec<super::running::Stopping>, Vec<super::running::Stopping>, u32);

fn describe(mut node: Node, backends: &Backends) -> Result<(Arc<NodeShared>, Hooks)> {
    let (doors, limit) = (node.routes.take_doors(), node.deadline);
    let mut table = node.routes.build().map_err(|e| e.context("node", &node.name))?;
    if let Some(by) = &node.encryptor {
        table = table.sealed(by);
    }
    let routes = table.routes().map(|m| TableRoute {
        id: m.def().id.0,
        name: m.def().name.to_owned(),
        stateful: m.def().flags.stateful,
        authorized: m.def().flags.authorized,
        internal: m.def().flags.internal,
        answers: m.answers(),
        limit_ms: m.deadline().unwrap_or(limit).as_millis().min(MAX_LIMIT_MS) as u32,
        kind: doors.iter().find(|door| door.follows(m.def())).map_or("", |door| door.kind()).to_owned(),
    });
    let encoded = NodeTable {
        routes: routes.collect(),
        fallback: table.fallback().is_some(),
        events: table.has_events(),
        kinds: node.actors.names(),
    };
    let own = Arc::new(NodeSelf {
        owner: owner(node.id.as_ref(), &node.name),
        locator: backends.locator.clone(),
        bindings: Bindings::new(&node.name),
        speakers: Speakers::default(),
        encryptor: node.encryptor,
        doubt: Doubt::default(),
        contact: Contact::default(),
        name: node.name,
    });
    let actors = NodeActors::new(node.actors, &doors, own.clone(), node.deadline);
    let shared = NodeShared {
        actors: actors.map_err(|e| e.context("node", &own.name))?,
        table,
        slots: encoded.slots(&own.name),
        encoded: Arc::new(encoded),
        order: node.order,
        deadline: node.deadline,
        fenced: node.fenced,
        own,
    };
    Ok((Arc::new(shared), (node.started, node.stopping, node.weight)))
}

fn gate_self(
    described: (&crate::gate::Gate, Owner),
    others: (&Backends, &Arc<Peers>),
    layout: &Layout,
    seats: &[Seat],
) -> Arc<GateSelf> {
    let ((part, owner), (backends, peers)) = (described, others);
    let shards = OnceLock::new();
    let all = layout.gates.iter().filter_map(|n| Some((*n, seats.get(usize::from(*n))?.inbox.clone())));
    let _ = shards.set(all.collect());
    Arc::new(GateSelf {
        owner,
        locator: backends.locator.clone(),
        users: Users::default(),
        budget: Budget::default(),
        blocked: Default::default(),
        peers: peers.clone(),
        cids: AtomicU64::new(0),
        connections: part.listen.iter().map(|_| AtomicUsize::new(0)).collect(),
        draining: AtomicBool::new(false),
        ledger: Default::default(),
        gap: Notify::new(),
        shards,
        part: part.clone(),
    })
}

fn near_gates(shared: bool, gates: &[Arc<GateSelf>], layout: &Layout, seats: &[Seat]) -> BTreeMap<Owner, Vec<Reach>> {
    let inbox = layout.gates.first().and_then(|n| seats.get(usize::from(*n))).map(|s| s.inbox.clone());
    let reach = |gate: usize| Some(vec![Reach::Here { inbox: inbox.clone()?, gate: gate as u8 }]);
    match shared || layout.nodes.is_empty() {
        true => gates.iter().enumerate().filter_map(|(i, g)| Some((g.owner.clone(), reach(i)?))).collect(),
        false => BTreeMap::new(),
    }
}

fn near_nodes(nodes: &[Arc<NodeShared>]) -> Vec<Near> {
    let near = |(index, node): (usize, &Arc<NodeShared>)| Near {
        owner: node.own.owner.clone(),
        name: node.own.name.clone(),
        index: index as u8,
        table: node.encoded.clone(),
    };
    nodes.iter().enumerate().map(near).collect()
}

fn route_name(nodes: &[Arc<NodeShared>], id: i32) -> String {
    let id = due_core::RouteId(id);
    let named = nodes.iter().find_map(|n| n.table.mount(n.table.find(id)?).map(|m| m.def().name));
    named.map_or_else(|| format!("route {id}"), str::to_owned)
}

/// A listener that is described but not bound: gate, settings, dialect, address.
type Described = (usize, ListenerSettings, due_protocol::due::Dialect, Url);

/// Reads the listeners' URLs and refuses a route that one of them is too narrow for.
fn listeners(app: &App, nodes: &[Arc<NodeShared>]) -> Result<Vec<Described>> {
    let mut all = Vec::new();
    for (index, gate) in app.gates.iter().enumerate() {
        for text in &gate.listen {
            let url = Url::parse(text)?;
            let (settings, dialect, network) = ListenerSettings::read(&url)?;
            let routes = nodes.iter().flat_map(|n| n.encoded.routes.iter());
            if let Some(route) = routes.filter(|r| !r.internal).find(|r| !dialect.fits(r.id)) {
                return Err(Error::config(format!(
                    "route `{}` has the number {}, which does not fit the {} route bytes of the listener {url}: give it a \
                     smaller number or the listener a larger route-bytes",
                    route.name,
                    route.id,
                    dialect.settings().route_bytes
                )));
            }
            all.push((index, settings, dialect, network));
        }
    }
    Ok(all)
}

fn run_shards(
    how: (Shards, Duration),
    layout: &Layout,
    seats: &[Seat],
    parts: (&[Arc<GateSelf>], &[Arc<NodeShared>]),
    cluster: &Cluster,
) -> Result<Vec<RunningShard>> {
    let mut all = Vec::new();
    for (number, seat) in seats.iter().enumerate() {
        let number = number as u16;
        let gates = parts.0.iter().filter(|_| layout.gates.contains(&number));
        let nodes = parts.1.iter().filter(|_| layout.nodes.contains(&number)).enumerate();
        let setup = Setup {
            number,
            service: Handle::current(),
            gates: gates.map(|gate| GateShard::new(gate.clone())).collect(),
            nodes: nodes
                .map(|(i, node)| {
                    let nobody = nobody(node, &seat.inbox, i as u8);
                    NodeShard::new(node.clone(), i as u8, cluster.clone(), nobody)
                })
                .collect(),
            sweep: how.1,
            ready: seat.ready.clone(),
            inbox: seat.inbox.clone(),
            pulse: seat.pulse.clone(),
            side: cluster.0.side.clone(),
        };
        all.push(RunningShard::start(setup, how.0 == Shards::Inline)?);
    }
    Ok(all)
}

/// Clients are looked at once a second, more often where a listener's times are shorter than that.
fn sweep(listeners: &[Described]) -> Duration {
    let times = |s: &ListenerSettings| [s.heartbeat, s.authorize, s.slow_after, s.open_frame];
    let set = listeners.iter().flat_map(|(_, settings, ..)| times(settings)).filter(|t| !t.is_zero());
    let shortest = set.min().unwrap_or(LONGEST_SWEEP * 4);
    (shortest / 4).clamp(Duration::from_millis(10), LONGEST_SWEEP)
}

fn callees(nodes: &[Arc<NodeShared>], layout: &Layout, seats: &[Seat]) -> Vec<Callee> {
    let home = layout.nodes.first().and_then(|n| seats.get(usize::from(*n))).map(|s| s.inbox.clone());
    let all = || layout.nodes.iter().filter_map(|n| Some(seats.get(usize::from(*n))?.inbox.clone())).collect();
    let callee = |(i, node): (usize, &Arc<NodeShared>)| {
        let nobody = nobody(node, home.as_ref()?, i as u8);
        node.actors.settle(Place { shards: all(), nobody: nobody.clone() });
        Some(Callee::new(node.clone(), nobody))
    };
    nodes.iter().enumerate().filter_map(callee).collect()
}

/// A session that is over: stands where a handler has none.
fn nobody(node: &NodeShared, home: &Arc<Inbox>, index: u8) -> Session {
    let session = Session::new(Made {
        opened: Opened::nobody(),
        gate: node.own.owner.clone(),
        gate_shard: 0,
        lane: 0,
        key: SessionKey { node: index, slot: u32::MAX, generation: 0 },
        home: home.clone(),
        node: node.own.clone(),
        crowded: Arc::default(),
    });
    session.0.closed.store(true, std::sync::atomic::Ordering::Release);
    session
}

/// Gives new links to the node's shards in turn of the gates' shards.
struct Hand {
    node: u8,
    shards: Vec<(u16, Arc<Inbox>)>,
    cluster: Cluster,
}

impl Acceptor for Hand {
    fn accept(&self, from: Dialer, link: Box<dyn Link>) {
        let at = usize::from(from.shard) % self.shards.len().max(1);
        let Some((_, inbox)) = self.shards.get(at) else { return };
        let (node, cluster, reach) = (self.node, self.cluster.clone(), inbox.clone());
        if from.shard == Dialer::ORDERS {
            let side = Side::Asker { part: Asked::Node(node), from: from.owner };
            inbox.run(move |shard| {
                shard.add_link(link, side);
            });
            return;
        }
        inbox.run(move |shard| {
            let gate_shard = from.shard;
            // It has one link at a time: the one before is given up, though it may still wait for its connection here.
            shard.end_links_of(node, &from.owner, gate_shard);
            let link = shard.add_link(link, Side::Node { node, gate: from.owner.clone(), gate_shard });
            let Some(end) = shard.links.get(link as usize) else { return };
            let (serial, crowded) = (end.serial, end.crowded.clone());
            cluster.add_reach(from.owner, Reach::Link(LinkTo { inbox: reach, link, gate_shard, serial, crowded }));
        });
    }
}

/// Gives links of other processes to a gate's first shard.
struct Ear {
    gate: u8,
    inbox: Arc<Inbox>,
}

impl Acceptor for Ear {
    fn accept(&self, from: Dialer, link: Box<dyn Link>) {
        if from.shard == Dialer::ORDERS {
            let side = Side::Asker { part: Asked::Gate(self.gate), from: from.owner };
            self.inbox.run(move |shard| {
                shard.add_link(link, side);
            });
        }
    }
}

async fn start_nodes(
    running: &mut Running,
    app: &App,
    nodes: &[Arc<NodeShared>],
    backends: (&Arc<dyn Registry>, &Arc<dyn Transport>),
    shards: Vec<(u16, Arc<Inbox>)>,
) -> Result<()> {
    for (index, node) in nodes.iter().enumerate() {
        let own = &node.own;
        let hand = Hand { node: index as u8, shards: shards.clone(), cluster: running.cluster.clone() };
        let url = transport_url(&app.urls.transport, own.owner.id.to_string(), index)?;
        let listening: Listening = backends.1.listen(&url, own.owner.clone(), Arc::new(hand)).await?;
        let mut instance = instance(InstanceKind::Node, &own.owner, &own.name);
        instance.endpoints = vec![listening.url.to_string()];
        instance.weight = app.hooks.get(index).map_or(1, |h| h.2);
        instance.routes = node.encoded.fingerprint();
        running.registrations.push(backends.0.register(instance).await?);
        running.listening.push(listening);
    }
    Ok(())
}

/// Where a part listens for other processes. In memory each at its own name; of several parts in one process with a port
/// of its own each takes the next one.
fn transport_url(text: &str, name: String, nth: usize) -> Result<Url> {
    let url = Url::parse(text)?;
    if url.scheme() == "memory" {
        return Ok(url.with_host(name));
    }
    let port = url.host().rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)));
    match port {
        Some((host, port)) if port != 0 && nth > 0 => {
            let next = port.checked_add(nth as u16).ok_or_else(|| {
                Error::config(format!(
                    "{url}: {nth} parts of this process listen on the ports behind it; give a lower one"
                ))
            })?;
            Ok(url.with_host(format!("{host}:{next}")))
        }
        _ => Ok(url),
    }
}

async fn run_hooks(running: &mut Running, app: &mut App) -> Result<()> {
    for (started, stopping, _) in std::mem::take(&mut app.hooks) {
        for hook in started {
            hook(running.cluster.clone())
                .await
                .map_err(|fault| Error::new(Kind::Internal, format!("a started hook failed: {}", fault.text())))?;
        }
        running.stopping.extend(stopping);
    }
    Ok(())
}

async fn find_nodes(
    running: &mut Running,
    registry: &Arc<dyn Registry>,
    finder: Finder,
    own_nodes: usize,
) -> Result<()> {
    let mut watch = registry.watch(InstanceKind::Node).await?;
    // The nodes of this very process are registered: wait until the view shows them.
    let _ = tokio::time::timeout(FIRST_VIEW, watch.until(|view| view.members.len() >= own_nodes)).await;
    let (gate, index) = (finder.gate.clone(), finder.index);
    if let Some((_, inbox)) = finder.shards.first() {
        let healer = Healer { gate: gate.clone(), index, shards: finder.shards.clone() };
        running.tasks.0.push(tokio::spawn(Finder::follow_logins(gate, index, inbox.clone())));
        running.tasks.0.push(tokio::spawn(healer.run()));
        let blocks = crate::gate::blocks::follow(&finder.gate, index, running.cluster.config()).await;
        running.tasks.0.push(blocks);
    }
    let (tx, first) = oneshot::channel();
    running.tasks.0.push(tokio::spawn(finder.run(watch, tx)));
    let _ = tokio::time::timeout(FIRST_VIEW, first).await;
    Ok(())
}

async fn bind(
    running: &mut Running,
    app: &App,
    gates: &[Arc<GateSelf>],
    listeners: Vec<Described>,
    shards: Vec<(u16, Arc<Inbox>)>,
) -> Result<()> {
    for (index, settings, dialect, url) in listeners {
        let network = app.drivers.network.open(&url).await?;
        let bound = network.bind(&url, shards.len()).await?;
        for ((_, inbox), listener) in shards.iter().zip(bound.listeners) {
            let (settings, url) = (settings.clone(), bound.url.clone());
            inbox.run(move |shard| {
                shard.add_listener(index as u8, |number, waker, mark| ListenerEnd {
                    listener,
                    url,
                    number,
                    dialect,
                    settings,
                    mark,
                    waker,
                    next_tick: 1,
                });
            });
        }
        let name = gates.get(index).map_or_else(String::new, |g| g.part.name.clone());
        running.urls.push((name, bound.url));
    }
    Ok(())
}

async fn start_meshes(running: &mut Running, meshes: Vec<Mesh>) -> Result<()> {
    for mesh in meshes {
        let own = owner(mesh.id.as_ref(), &mesh.name);
        let serving = mesh.start(own, &running.cluster).await?;
        running.registrations.push(serving.registration);
        for service in serving.services {
            running.urls.push((serving.name.clone(), service.endpoint().clone()));
            running.services.push((serving.name.clone(), service));
        }
    }
    Ok(())
}

/// Subscribes the nodes' topics; events of one topic are handled one after the other.
async fn start_topics(running: &mut Running, nodes: &[Arc<NodeShared>], shards: Vec<(u16, Arc<Inbox>)>) -> Result<()> {
    let Some((_, inbox)) = shards.first() else { return Ok(()) };
    for (index, node) in nodes.iter().enumerate() {
        for place in node.table.topics() {
            let Some(topic) = node.table.mount(place).map(|m| m.def().name) else { continue };
            let bus = running.cluster.bus();
            let subscription = patient("eventbus", || bus.subscribe(topic, due_core::bus::Options::default())).await?;
            let task = super::topics::follow(subscription, inbox.clone(), (index as u8, place), topic);
            running.tasks.0.push(tokio::spawn(task));
        }
    }
    Ok(())
}
