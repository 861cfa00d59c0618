//! Calls of routes that other processes serve.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use due_core::{
    Code, Error, Kind, Owner, Result, RouteDef, RouteId, Uid,
    locate::Subject,
    registry::{Instance, InstanceKind, State},
};
use tokio::time::Instant;

use super::{Peers, link::Order};
use crate::{
    cluster::Cluster,
    fault::Fault,
    link::{NodeTable, Reader, TABLE_ORDER, TableRoute, Writer, decode_fault, encode_fault},
};

/// The number of an order to a node that calls a route.
pub(crate) const CALL_ORDER: i32 = 2;
/// The number of an order to a node that is a message for an actor.
pub(crate) const ACTOR_ORDER: i32 = 3;

/// Nodes that are tried one after the other when they cannot be dialed.
const TRIES: usize = 3;
/// How long a node may take to tell its routes.
const TABLE_LIMIT: Duration = Duration::from_secs(3);
/// So much longer than the route's deadline the caller waits for the node's own word.
const WAY: Duration = Duration::from_secs(1);

/// A call as it travels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Called {
    pub(crate) route: i32,
    pub(crate) uid: Option<Uid>,
    pub(crate) body: Bytes,
}

impl Called {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let w = Writer::default().u32(self.route as u32);
        let w = match &self.uid {
            Some(uid) => w.u8(1).uid(uid),
            None => w.u8(0),
        };
        w.rest(&self.body).done()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let r = &mut Reader(body);
        let route = r.u32()? as i32;
        let uid = if r.u8()? == 1 { Some(r.uid()?) } else { None };
        if let Some(uid) = &uid {
            uid.check()?;
        }
        Ok(Self { route, uid, body: Bytes::copy_from_slice(r.rest()) })
    }
}

/// What a call came to, as it travels: a fault keeps its code, whoever's it is.
pub(crate) struct Incoming;

impl Incoming {
    pub(crate) fn encode(outcome: &Result<Bytes, Fault>) -> Vec<u8> {
        match outcome {
            Ok(body) => Writer::default().u8(0).rest(body).done(),
            Err(fault) => Writer::default().u8(1).rest(&encode_fault(fault.code().number(), fault.text())).done(),
        }
    }

    pub(crate) fn decode(answer: Vec<u8>) -> Result<Bytes, Fault> {
        match answer.split_first() {
            Some((0, _)) => Ok(Bytes::from(answer).slice(1..)),
            Some((1, rest)) => {
                let (number, text) = decode_fault(rest);
                Err(Fault::new(code_of(number), text))
            }
            _ => Err(Fault::of(Kind::Malformed)),
        }
    }
}

/// The code of a number that came over a link. Two processes may have other texts for it: compare numbers.
fn code_of(number: u32) -> Code {
    match Kind::from_code(number) {
        Some(kind) => kind.into(),
        None if number >= 1000 => Code::new(number, "a fault of another node"),
        None => Code::INTERNAL,
    }
}

/// A node that serves a route.
struct Serving {
    member: Instance,
    route: TableRoute,
}

impl Peers {
    /// What the node serves; asked once for all nodes of one table.
    pub(crate) async fn table(&self, member: &Instance) -> Result<Arc<NodeTable>> {
        let known = || self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known().get(&member.routes) {
            return Ok(table.clone());
        }
        let until = Instant::now() + TABLE_LIMIT;
        let body = self.link(member).await?.ask((TABLE_ORDER, Vec::new()), until).await?;
        let table = Arc::new(NodeTable::decode(&body)?);
        known().insert(member.routes, table.clone());
        Ok(table)
    }

    /// The tables of all nodes, one node of each; nodes that cannot be asked are passed over.
    pub(crate) async fn all_tables(&self) -> BTreeMap<u64, Arc<NodeTable>> {
        self.tables_of(self.nodes().iter()).await
    }

    async fn tables_of(&self, nodes: impl Iterator<Item = &Instance>) -> BTreeMap<u64, Arc<NodeTable>> {
        let mut all = BTreeMap::new();
        for member in nodes {
            if all.contains_key(&member.routes) {
                continue;
            }
            match self.table(member).await {
                Ok(table) => drop(all.insert(member.routes, table)),
                Err(e) => tracing::debug!(node = %member.id, error = %e, "a node does not tell its routes"),
            }
        }
        all
    }

    /// Nodes of other processes that serve the route. One's own is not dialed: it would be for every call again.
    async fn serving(&self, route: RouteId) -> Vec<Serving> {
        let tables = self.tables_of(self.nodes().iter().filter(|member| member.owner() != self.own)).await;
        let named = |member: &Instance| {
            let route = tables.get(&member.routes)?.routes.iter().find(|r| r.id == route.0)?;
            Some(Serving { member: member.clone(), route: route.clone() })
        };
        self.nodes().iter().filter_map(named).collect()
    }

    /// Nobody who is listed serves the route. Is that for now only? A node of it was listed before, or one that is does
    /// not tell its routes.
    fn why_unserved(&self, route: RouteId) -> Kind {
        let known = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let named = known.values().any(|table| table.routes.iter().any(|r| r.id == route.0));
        let untold = self.nodes().iter().any(|member| !known.contains_key(&member.routes));
        if named || untold { Kind::Unavailable } else { Kind::NoRoute }
    }

    /// Asks one node after the other until one can be reached; a node that took the order is the last.
    async fn ask_one(&self, mut nodes: Vec<Instance>, order: Order, until: Instant) -> Result<Vec<u8>> {
        let mut last = Error::new(Kind::Unavailable, "no node of this route takes work");
        let mut waiting = None;
        for _ in 0..TRIES {
            let Some(member) = pick(&mut nodes, rand::random()) else { break };
            match self.link(&member).await {
                // What is sent there now waits for the connection: others first.
                Ok(link) if link.is_down() => waiting = Some(link),
                Ok(link) => return link.ask(order, until).await,
                Err(e) => last = e,
            }
        }
        match waiting {
            Some(link) => link.ask(order, until).await,
            None => Err(last),
        }
    }
}

/// Takes one out by state and weight: those that work before the busy ones, never one that hangs.
pub(crate) fn pick(nodes: &mut Vec<Instance>, random: u64) -> Option<Instance> {
    nodes.retain(|m| matches!(m.state, State::Work | State::Busy));
    let state = if nodes.iter().any(|m| m.state == State::Work) { State::Work } else { State::Busy };
    let open = || nodes.iter().enumerate().filter(|(_, m)| m.state == state);
    let total: u64 = open().map(|(_, m)| u64::from(m.weight)).sum();
    let mut left = random.checked_rem(total).unwrap_or(0);
    let chosen = open().find(|(_, m)| {
        let here = left < u64::from(m.weight) || total == 0;
        left = left.saturating_sub(u64::from(m.weight));
        here
    });
    let at = chosen.map(|(at, _)| at)?;
    Some(nodes.swap_remove(at))
}

impl Cluster {
    /// Calls a route that no node of this process serves. For a stateful one with the user's node.
    pub(crate) async fn call_far(&self, def: RouteDef, uid: Option<&Uid>, body: Bytes) -> Result<Bytes, Fault> {
        let peers = self.peers();
        let serving = peers.serving(def.id).await;
        let Some(first) = serving.first() else { return Err(Fault::of(peers.why_unserved(def.id))) };
        let limit = serving.iter().map(|s| s.route.limit_ms).max().unwrap_or_default();
        let until = Instant::now() + Duration::from_millis(limit.into()) + WAY;
        let called = Called { route: def.id.0, uid: uid.cloned(), body };
        let order = (CALL_ORDER, called.encode());
        let answer = match first.route.stateful {
            true => {
                let member = self.owner_of(uid, first).await?;
                peers.link(&member).await?.ask(order, until).await?
            }
            false => peers.ask_one(serving.into_iter().map(|s| s.member).collect(), order, until).await?,
        };
        Incoming::decode(answer)
    }

    /// The node that a user is bound to for a stateful route.
    async fn owner_of(&self, uid: Option<&Uid>, serving: &Serving) -> Result<Instance, Fault> {
        let uid = uid.ok_or_else(|| Fault::new(Kind::NotBound.into(), "a stateful route: call it for a user"))?;
        let slot = match serving.route.kind.as_str() {
            "" => serving.member.name.clone(),
            kind => format!("{}/{kind}", serving.member.name),
        };
        let record = self.locator().locate(Subject::from(uid.clone())).await?;
        let owner: Owner =
            record.node.get(slot.as_str()).map(|s| s.owner.clone()).ok_or(Kind::NotBound).map_err(Fault::of)?;
        if self.peers().is_gone(InstanceKind::Node, &owner).await {
            return Err(Fault::of(Kind::OwnerLost));
        }
        Ok(self.peers().member(InstanceKind::Node, &owner)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use due_core::{
        Url,
        registry::{self, Registry},
        transport::{Acceptor, Dialer, Link, Transport, memory},
    };

    use super::*;

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
        assert!(peers.serving(RouteId(1)).await.is_empty(), "both hang up");
        let came: Vec<_> = counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect();
        assert_eq!(came, [0, 1]);
    }

    #[test]
    fn calls_and_what_they_come_to_survive_the_wire() {
        for uid in [None, Some(Uid::from(7)), Some(Uid::from("ann"))] {
            let called = Called { route: -3, uid, body: Bytes::from_static(b"abc") };
            let bytes = called.encode();
            assert_eq!(Called::decode(&bytes).unwrap(), called);
            (0..bytes.len() - 3).for_each(|cut| assert!(Called::decode(&bytes[..cut]).is_err(), "{cut}"));
        }
        assert!(Called::decode(&Called { route: 1, uid: Some(Uid::from(-1)), body: Bytes::new() }.encode()).is_err());
        assert_eq!(Incoming::decode(Incoming::encode(&Ok(Bytes::from_static(b"abc")))).unwrap(), b"abc"[..]);
        for fault in [Fault::of(Kind::NotBound), Fault::new(Code::new(1001, "taken"), "ann is taken")] {
            let got = Incoming::decode(Incoming::encode(&Err(Fault::new(fault.code(), fault.text().to_owned()))));
            let got = got.unwrap_err();
            assert_eq!((got.code().number(), got.text()), (fault.code().number(), fault.text()));
        }
        assert!(Incoming::decode(vec![]).is_err() && Incoming::decode(vec![9]).is_err());
    }

    #[test]
    fn working_nodes_are_picked_by_weight_then_busy_ones_and_hanging_ones_never() {
        let node =
            |id: &str, state, weight| Instance { state, weight, ..Instance::new(InstanceKind::Node, id, "game") };
        let all = [
            node("hangs", State::Hang, 9),
            node("one", State::Work, 1),
            node("three", State::Work, 3),
            node("busy", State::Busy, 5),
        ];
        let mut counts = BTreeMap::new();
        for random in 0..400 {
            let mut left = all.to_vec();
            *counts.entry(pick(&mut left, random).unwrap().id.to_string()).or_insert(0) += 1;
            let order: Vec<_> = std::iter::from_fn(|| pick(&mut left, random)).map(|m| m.id.to_string()).collect();
            assert_eq!((order.len(), order.last().map(String::as_str)), (2, Some("busy")));
        }
        assert_eq!(counts, BTreeMap::from([("one".to_owned(), 100), ("three".to_owned(), 300)]));
        assert!(pick(&mut vec![node("idle", State::Work, 0)], 7).is_some(), "weight 0 takes work if nobody else does");
    }
}
