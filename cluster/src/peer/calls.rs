//! Calls of routes that other processes serve.

use std::time::Duration;

use bytes::{Buf, Bytes};
use due_core::{
    Code, Error, Kind, Owner, Result, RouteDef, Uid,
    locate::Subject,
    registry::{Instance, InstanceKind, State},
};
use tokio::time::Instant;

use super::{
    Peers,
    served::{Served, Serving},
};
use crate::{
    cluster::Cluster,
    fault::Fault,
    link::{Reader, Writer, decode_fault, encode_fault},
};

/// The number of an order to a node that calls a route.
pub(crate) const CALL_ORDER: i32 = 2;
/// The number of an order to a node that is a message for an actor.
pub(crate) const ACTOR_ORDER: i32 = 3;

/// Nodes that are tried one after the other when they cannot be dialed.
const TRIES: usize = 3;
/// So much longer than the route's deadline the caller waits for the node's own word.
const WAY: Duration = Duration::from_secs(1);

/// A call as it travels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Called<B = Bytes> {
    pub(crate) route: i32,
    pub(crate) uid: Option<Uid>,
    pub(crate) body: B,
}

impl<B: AsRef<[u8]>> Called<B> {
    #[cfg(test)]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_called(self.route, self.uid.as_ref(), self.body.as_ref(), &mut bytes);
        bytes
    }
}

impl<'a> Called<&'a [u8]> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self> {
        let r = &mut Reader(body);
        let route = r.u32()? as i32;
        let uid = if r.u8()? == 1 { Some(r.uid()?) } else { None };
        if let Some(uid) = &uid {
            uid.check()?;
        }
        Ok(Self { route, uid, body: r.rest() })
    }

    pub(crate) fn to_owned(&self) -> Called {
        Called { route: self.route, uid: self.uid.clone(), body: Bytes::copy_from_slice(self.body) }
    }
}

/// Appends a call as it travels.
fn put_called(route: i32, uid: Option<&Uid>, body: &[u8], out: &mut Vec<u8>) {
    let w = Writer(std::mem::take(out)).u32(route as u32);
    let w = match uid {
        Some(uid) => w.u8(1).uid(uid),
        None => w.u8(0),
    };
    *out = w.rest(body).done();
}

/// What a call came to, as it travels: a fault keeps its code, whoever's it is.
pub(crate) struct Incoming;

impl Incoming {
    pub(crate) fn encode(outcome: &Result<Bytes, Fault>) -> Vec<u8> {
        match outcome {
            Ok(body) => Writer::sized(body.len() + 1).u8(0).rest(body).done(),
            Err(fault) => Writer::default().u8(1).rest(&encode_fault(fault.code().number(), fault.text())).done(),
        }
    }

    pub(crate) fn decode(mut answer: Bytes) -> Result<Bytes, Fault> {
        match answer.split_first() {
            Some((0, _)) => {
                answer.advance(1);
                Ok(answer)
            }
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

impl Peers {
    /// Asks one node after the other until one can be reached; a node that took the order is the last.
    async fn ask_one(&self, served: &Served, until: Instant, encode: impl FnOnce(&mut Vec<u8>)) -> Result<Bytes> {
        if let [one] = served.all.as_slice()
            && matches!(one.member.state, State::Work | State::Busy)
            && let Some(link) = one.known()
        {
            return link.ask_with(CALL_ORDER, until, encode).await;
        }
        let (mut last, mut waiting, mut tried) = (None, None, Vec::new());
        for _ in 0..TRIES {
            let left = served.all.iter().enumerate().filter(|(at, _)| !tried.contains(at));
            let random = if served.all.len() > 1 { rand::random() } else { 0 };
            let Some(at) = choose(left.map(|(at, one)| (at, &one.member)), random) else { break };
            let Some(one) = served.all.get(at) else { break };
            match one.link(self).await {
                // What is sent there now waits for the connection: others first.
                Ok(link) if link.is_down() => waiting = Some(link),
                Ok(link) => return link.ask_with(CALL_ORDER, until, encode).await,
                Err(e) => last = Some(e),
            }
            tried.push(at);
        }
        match waiting {
            Some(link) => link.ask_with(CALL_ORDER, until, encode).await,
            None => Err(last.unwrap_or_else(|| Error::new(Kind::Unavailable, "no node of this route takes work"))),
        }
    }
}

/// Takes one out by state and weight: see [`choose`].
pub(crate) fn pick(nodes: &mut Vec<Instance>, random: u64) -> Option<Instance> {
    let at = choose(nodes.iter().enumerate(), random)?;
    Some(nodes.swap_remove(at))
}

/// Chooses one by state and weight: those that work before the busy ones, never one that hangs.
fn choose<'a>(nodes: impl Iterator<Item = (usize, &'a Instance)> + Clone, random: u64) -> Option<usize> {
    let works = nodes.clone().any(|(_, m)| m.state == State::Work);
    let state = if works { State::Work } else { State::Busy };
    let open = nodes.filter(|(_, m)| m.state == state);
    let total: u64 = open.clone().map(|(_, m)| u64::from(m.weight)).sum();
    let mut left = random.checked_rem(total).unwrap_or(0);
    let chosen = { open }.find(|(_, m)| {
        let here = left < u64::from(m.weight) || total == 0;
        left = left.saturating_sub(u64::from(m.weight));
        here
    });
    chosen.map(|(at, _)| at)
}

impl Cluster {
    /// Calls a route that no node of this process serves. For a stateful one with the user's node.
    pub(crate) async fn call_far(&self, def: RouteDef, uid: Option<&Uid>, body: Vec<u8>) -> Result<Bytes, Fault> {
        let peers = self.peers();
        let serving = peers.serving(def.id).await;
        let Some(first) = serving.all.first() else { return Err(Fault::of(peers.why_unserved(def.id))) };
        let until = Instant::now() + Duration::from_millis(serving.limit_ms.into()) + WAY;
        let encode = |out: &mut Vec<u8>| put_called(def.id.0, uid, &body, out);
        let answer = match first.stateful {
            // Boxed, so that a call of any other route is a small future.
            true => {
                let member = Box::pin(self.owner_of(uid, first)).await?;
                Box::pin(peers.link(&member)).await?.ask_with(CALL_ORDER, until, encode).await?
            }
            false => peers.ask_one(&serving, until, encode).await?,
        };
        Incoming::decode(answer)
    }

    /// The node that a user is bound to for a stateful route.
    async fn owner_of(&self, uid: Option<&Uid>, serving: &Serving) -> Result<Instance, Fault> {
        let uid = uid.ok_or_else(|| Fault::new(Kind::NotBound.into(), "a stateful route: call it for a user"))?;
        let slot = match serving.kind.as_str() {
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
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn calls_and_what_they_come_to_survive_the_wire() {
        for uid in [None, Some(Uid::from(7)), Some(Uid::from("ann"))] {
            let called = Called { route: -3, uid, body: Bytes::from_static(b"abc") };
            let bytes = called.encode();
            assert_eq!(Called::read(&bytes).unwrap().to_owned(), called);
            (0..bytes.len() - 3).for_each(|cut| assert!(Called::read(&bytes[..cut]).is_err(), "{cut}"));
        }
        assert!(Called::read(&Called { route: 1, uid: Some(Uid::from(-1)), body: Bytes::new() }.encode()).is_err());
        assert_eq!(Incoming::decode(Incoming::encode(&Ok(Bytes::from_static(b"abc"))).into()).unwrap(), b"abc"[..]);
        for fault in [Fault::of(Kind::NotBound), Fault::new(Code::new(1001, "taken"), "ann is taken")] {
            let got =
                Incoming::decode(Incoming::encode(&Err(Fault::new(fault.code(), fault.text().to_owned()))).into());
            let got = got.unwrap_err();
            assert_eq!((got.code().number(), got.text()), (fault.code().number(), fault.text()));
        }
        assert!(Incoming::decode(Bytes::new()).is_err() && Incoming::decode(vec![9].into()).is_err());
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
