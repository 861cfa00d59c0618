//! How a gate finds its nodes: the registry says who there is, links and route tables follow.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due_core::{
    Error, InstanceId, Kind, Owner, Result, Url,
    locate::Event,
    registry::{Instance, Watch},
    transport::{Dialer, Transport},
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{
    gate::{members::Up, shard::GateSelf},
    link::{NodeTable, TABLE_ORDER, end::Side},
    peer::missed::Missed,
    shard::{driver::Shard, inbox::Inbox},
};

/// A node of the gate's own process and shards: called, not sent to.
#[derive(Clone)]
pub(crate) struct Near {
    pub(crate) owner: Owner,
    pub(crate) name: String,
    pub(crate) index: u8,
    pub(crate) table: Arc<NodeTable>,
}

/// What a gate needs to find its nodes.
pub(crate) struct Finder {
    pub(crate) gate: Arc<GateSelf>,
    pub(crate) index: u8,
    pub(crate) shards: Vec<(u16, Arc<Inbox>)>,
    pub(crate) near: Vec<Near>,
    pub(crate) transport: Arc<dyn Transport>,
    /// The longest time until the registry drops a killed node.
    pub(crate) expiry: Duration,
}

/// Keeps the links to one life of a node, one for each shard; dropped, it makes no new ones.
struct Keeper {
    owner: Owner,
    listed: watch::Sender<bool>,
    links: Vec<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Keeper {
    fn has_links(&self) -> bool {
        self.links.iter().any(|(alive, _)| alive.load(Ordering::Acquire))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.links.iter().for_each(|(_, task)| task.abort());
    }
}

/// One link of a keeper.
struct Kept {
    inbox: Arc<Inbox>,
    member: Instance,
    listed: watch::Receiver<bool>,
    /// There is a link, or there will be at once.
    alive: Arc<AtomicBool>,
}

/// First and longest pause between two tries to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Finder {
    /// Follows the registry for ever. `first` is told when the nodes of the first view are linked or have failed once.
    pub(crate) async fn run(self, mut watch: Watch, first: oneshot::Sender<()>) {
        let finder = Arc::new(self);
        let mut keepers: HashMap<InstanceId, Keeper> = HashMap::new();
        let mut first = Some(first);
        let mut view = watch.view();
        let mut missed = Missed::new(finder.expiry);
        loop {
            missed.see(&view.members, Instant::now());
            let mut linked = Vec::new();
            for member in view.members.iter() {
                match keepers.get(&member.id) {
                    Some(keeper) if keeper.owner == member.owner() => drop(keeper.listed.send_replace(true)),
                    _ => {
                        let (keeper, up) = finder.keep(member);
                        linked.extend(up);
                        keepers.insert(member.id.clone(), keeper);
                    }
                }
            }
            if let Some(first) = first.take() {
                for up in linked {
                    let _ = tokio::time::timeout(PAUSE.1, up).await;
                }
                finder.show(&view.members, &missed);
                let _ = first.send(());
            } else {
                finder.show(&view.members, &missed);
            }
            keepers.retain(|id, keeper| {
                let listed = view.members.iter().any(|m| m.id == *id);
                keeper.listed.send_replace(listed);
                listed || keeper.has_links()
            });
            view = match missed.until() {
                Some(at) => match timeout_at(at, watch.changed()).await {
                    Ok(view) => view,
                    Err(_) => watch.view(),
                },
                None => watch.changed().await,
            };
        }
    }

    /// Starts keeping the links of all shards to a node; the receivers tell when each is up for the first time.
    fn keep(self: &Arc<Self>, member: &Instance) -> (Keeper, Vec<oneshot::Receiver<()>>) {
        let mut keeper = Keeper { owner: member.owner(), listed: watch::Sender::new(true), links: Vec::new() };
        if let Some(near) = self.near.iter().find(|n| n.owner == member.owner()) {
            for (_, inbox) in &self.shards {
                let (near, gate) = (near.clone(), self.index);
                inbox.run(move |shard| shard.join_near(gate, near));
            }
            return (keeper, Vec::new());
        }
        let mut ups = Vec::new();
        for (number, inbox) in self.shards.clone() {
            let (tx, up) = oneshot::channel();
            ups.push(up);
            let (finder, member, listed) = (self.clone(), member.clone(), keeper.listed.subscribe());
            let alive = Arc::new(AtomicBool::new(false));
            let link = Kept { inbox, member, listed, alive: alive.clone() };
            let task = tokio::spawn(async move { finder.keep_link(number, link, tx).await });
            keeper.links.push((alive, task));
        }
        (keeper, ups)
    }

    async fn keep_link(&self, number: u16, mut kept: Kept, up: oneshot::Sender<()>) {
        let mut up = Some(up);
        let mut pause = PAUSE.0;
        loop {
            // A node that is not listed keeps the link it has; nobody tries to make a new one.
            if kept.listed.wait_for(|listed| *listed).await.is_err() {
                return;
            }
            kept.alive.store(true, Ordering::Release);
            match self.link(number, &kept.inbox, &kept.member).await {
                Ok(closed) => {
                    up.take().map(|up| up.send(()));
                    pause = PAUSE.0;
                    let _ = closed.await;
                }
                Err(e) => {
                    up.take().map(|up| up.send(()));
                    tracing::warn!(node = %kept.member.id, error = %e, "no link to a node; trying again");
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
            kept.alive.store(false, Ordering::Release);
            tokio::time::sleep(pause).await;
        }
    }

    /// Connects one shard to a node and takes its routes in; gives a receiver that ends with the link.
    async fn link(&self, number: u16, inbox: &Arc<Inbox>, member: &Instance) -> Result<oneshot::Receiver<()>> {
        let endpoint = member.endpoints.first().ok_or_else(|| Error::new(Kind::Unavailable, "no endpoint"))?;
        let (url, owner) = (Url::parse(endpoint)?, member.owner());
        let dialer = Dialer { owner: self.gate.owner.clone(), shard: number };
        let link = self.transport.connect(&url, dialer, &owner).await?;
        let (alive, closed) = oneshot::channel();
        let (ask, answer) = oneshot::channel();
        let (placed, place) = oneshot::channel();
        let (gate, name) = (self.index, member.name.clone());
        let side = Side::Gate { gate, node: owner.clone(), member: None };
        inbox.run(move |shard| {
            let number = shard.add_link(link, side);
            shard.link_alive(number, alive);
            shard.link_ask(number, 0, TABLE_ORDER, &[], Some(ask));
            let _ = placed.send(number);
        });
        let gone = || Error::from(Kind::Unavailable);
        let table = NodeTable::decode(&answer.await.map_err(|_| gone())??)?;
        let number = place.await.map_err(|_| gone())?;
        let (done, joined) = oneshot::channel();
        inbox.run(move |shard| {
            shard.join_far(gate, number, (owner, &name), Arc::new(table));
            let _ = done.send(());
        });
        joined.await.map_err(|_| gone())?;
        Ok(closed)
    }

    /// Tells all shards the states and weights of the nodes.
    fn show(&self, members: &Arc<[Instance]>, missed: &Missed) {
        let held: Arc<[Owner]> = missed.held(Instant::now()).map(Instance::owner).collect();
        if !held.is_empty() {
            tracing::warn!(
                nodes = held.len(),
                "most nodes vanished from the registry at once; they go on getting work"
            );
        }
        for (_, inbox) in &self.shards {
            let (members, held, gate) = (members.clone(), held.clone(), self.index);
            inbox.run(move |shard| shard.show_members(gate, &members, &held));
        }
    }

    /// Follows the locator's feed: a user that logs in elsewhere leaves here.
    /// What the feed may have lost is looked for by the healer, who is told of each gap.
    pub(crate) async fn follow_logins(gate: Arc<GateSelf>, index: u8, inbox: Arc<Inbox>) {
        let mut lost = false;
        loop {
            let mut feed = match gate.locator.watch().await {
                Ok(feed) => feed,
                Err(e) => {
                    tracing::warn!(error = %e, "the locator cannot be watched; trying again");
                    tokio::time::sleep(PAUSE.1).await;
                    lost = true;
                    continue;
                }
            };
            if std::mem::take(&mut lost) {
                gate.gap.notify_one();
            }
            loop {
                match feed.next().await {
                    Event::Change(change) => {
                        inbox.run(move |shard| shard.bound_elsewhere(index, &change));
                    }
                    Event::Gap => {
                        tracing::warn!("the locator's feed has a gap; bindings are checked");
                        gate.gap.notify_one();
                    }
                }
            }
        }
    }
}

impl Shard {
    fn join_near(&mut self, g: u8, near: Near) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let member = gate.members.join(near.owner, &near.name, Up::Here(near.index), near.table);
        let Some(node) = self.nodes.get_mut(usize::from(near.index)) else { return };
        if node.member_of.len() <= usize::from(g) {
            node.member_of.resize(usize::from(g) + 1, None);
        }
        if let Some(slot) = node.member_of.get_mut(usize::from(g)) {
            *slot = Some(member);
        }
    }

    fn join_far(&mut self, g: u8, link: u32, node: (Owner, &str), table: Arc<NodeTable>) {
        if !self.links.contains(link as usize) {
            return;
        }
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let unfit: Vec<_> = gate
            .listeners
            .iter()
            .flat_map(|l| table.routes.iter().filter(|r| !r.internal && !l.dialect.fits(r.id)).map(|r| (&l.url, r)))
            .collect();
        for (url, route) in unfit {
            tracing::warn!(route = route.name, id = route.id, listener = %url, "the listener is too narrow for a route");
        }
        let member = gate.members.join(node.0, node.1, Up::Link(link), table);
        self.link_member(link, member);
    }

    fn show_members(&mut self, g: u8, members: &[Instance], held: &[Owner]) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let known: Vec<(u16, Owner)> = gate.members.iter().map(|(i, m)| (i, m.owner.clone())).collect();
        for (i, owner) in known {
            let listed = members.iter().find(|m| m.owner() == owner);
            let Some(member) = gate.members.get_mut(i) else { continue };
            (member.listed, member.held) = (listed.is_some(), held.contains(&owner));
            if let Some(instance) = listed {
                (member.state, member.weight) = (instance.state, instance.weight);
            }
        }
    }
}
