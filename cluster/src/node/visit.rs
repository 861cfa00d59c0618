//! Messages of other nodes for actors here, and the sessions that come with them.

use std::sync::Arc;

use due_core::{Code, Error, Kind, Owner, Result, RouteDef, RouteId, transport::Head};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::shard::Peer;
use crate::{
    actor::end_of,
    cluster::LinkTo,
    gate::orders::ReplyTo,
    handler::OwnedRequest,
    link::GateOrder,
    peer::{Letter, Visit},
    session::{Made, Session},
    shard::{driver::Shard, inbox::SessionKey},
};

/// Marks the key of a session that has no lane here: the rest of the slot is a link to its gate, the generation that
/// link's number.
const VISITOR: u32 = 1 << 31;
/// With it: the gate is on this very shard, and the rest is its number.
const NEAR: u32 = 1 << 30;

impl Shard {
    /// A message for an actor. It stands in the mailbox when this returns, so that the next one comes behind it.
    pub(super) fn letter_from_afar(&mut self, n: u8, at: (u32, &Owner), head: &Head, body: &[u8]) -> Result<()> {
        let (link, from) = at;
        let letter = Letter::decode(body)?;
        self.check_visit(n, &letter)?;
        let until = Instant::now() + super::afar::limit_of(head);
        let visitor = letter.session.clone().and_then(|visit| self.visitor(n, visit));
        let (Some(node), Some(end)) = (self.nodes.get(usize::from(n)), self.links.get_mut(link as usize)) else {
            return Err(Kind::Gone.into());
        };
        if end.calls.len() >= super::afar::MOST_CALLS {
            return Err(Kind::Overloaded.into());
        }
        let host = node.shared.actors.of_kind(&letter.kind).ok_or_else(|| Error::from(Kind::NoRoute))?;
        let rq = OwnedRequest::of_node(
            (visitor.unwrap_or_else(|| node.nobody.clone()), node.cluster.clone()),
            RouteDef { id: RouteId(letter.route), ..super::caller::NOWHERE },
            (letter.body, letter.uid, until),
            letter.session.is_none().then(|| from.clone()),
        );
        let (inbox, serial, corr) = (self.inbox.clone(), end.serial, head.corr);
        end.calls.insert(corr, None);
        let taken = host.letter(&letter.key.into(), &rq, letter.waited);
        self.service.spawn(async move {
            let outcome = match taken {
                Ok(running) => timeout_at(until, end_of(running)).await.unwrap_or_else(|_| Err(Code::TIMEOUT.into())),
                Err(fault) => Err(fault),
            };
            let answer = Letter::answer(outcome);
            inbox.run(move |shard| shard.call_ended((link, serial), corr, answer));
        });
        Ok(())
    }

    /// A letter of a session whose user is a later login's by now is not taken.
    fn check_visit(&self, n: u8, letter: &Letter) -> Result<()> {
        let user = letter.session.as_ref().and_then(|visit| visit.opened.user.as_ref());
        let outdated = self
            .nodes
            .get(usize::from(n))
            .zip(user)
            .is_some_and(|(node, (uid, epoch))| node.shared.own.speakers.is_outdated(uid, *epoch));
        if outdated { Err(Kind::Stale.into()) } else { Ok(()) }
    }

    /// A handle to a session whose lanes are elsewhere; it reaches its gate by the gate's own link to this node. Without
    /// one it is over.
    fn visitor(&self, n: u8, visit: Visit) -> Option<Session> {
        let node = self.nodes.get(usize::from(n))?;
        let near = self.gates.iter().position(|g| g.own.owner == visit.gate);
        let way = match near {
            Some(g) => {
                let home = self.gates.get(g).and_then(|gate| gate.own.inbox_of(visit.gate_shard));
                home.map(|home| (home, VISITOR | NEAR | g as u32, 0, Arc::default()))
            }
            None => node.cluster.reach_of(&visit.gate, visit.gate_shard).map(|reach| {
                let LinkTo { inbox, link, serial, crowded, .. } = reach;
                (inbox, VISITOR | link, serial as u32, crowded)
            }),
        };
        let over = way.is_none();
        let (home, slot, generation, crowded) =
            way.unwrap_or_else(|| (self.inbox.clone(), u32::MAX, 0, Arc::default()));
        let session = Session::new(Made {
            opened: visit.opened,
            gate: visit.gate,
            gate_shard: visit.gate_shard,
            lane: visit.lane,
            key: SessionKey { node: n, slot, generation },
            home,
            node: node.shared.own.clone(),
            crowded,
        });
        session.0.closed.store(over, std::sync::atomic::Ordering::Release);
        Some(session)
    }

    /// Does a key name a session without a lane here, and by which way is its gate reached?
    pub(super) fn way_of(&self, key: SessionKey) -> Option<Peer> {
        if key.slot & VISITOR == 0 {
            return None;
        }
        if key.slot & NEAR != 0 {
            return Some(Peer::Here((key.slot & 0xff) as u8));
        }
        let link = key.slot & !VISITOR;
        // Another link in the same place leads to another gate.
        let same = self.links.get(link as usize).is_some_and(|end| end.serial as u32 == key.generation);
        Some(Peer::Link(if same { link } else { u32::MAX }))
    }

    pub(super) fn visitor_order(
        &mut self,
        way: Peer,
        lane: u64,
        order: GateOrder,
        waiting: Option<oneshot::Sender<Result<Vec<u8>>>>,
    ) {
        match way {
            Peer::Here(g) => self.gate_order(g, lane, order, waiting.map_or(ReplyTo::Nobody, ReplyTo::Here)),
            Peer::Link(link) => self.link_order(link, lane, &order, waiting),
        }
    }
}
