//! Pushes of owners: a node that lost a user and has not heard of it yet does not get through in the user's name
//! (`semantics`: who checks what).

use due_core::transport::{FrameKind, Head, Part};

use super::members::Up;
use crate::{
    link::{Claim, Owned, STALE_ORDER, Writer},
    node::shard::Peer,
    shard::driver::Shard,
};

impl Shard {
    /// Is a push of somebody who was the user's owner once? The node it is of is told who is now.
    pub(super) fn refuses_claim(&mut self, g: u8, member: Option<u16>, lane: u64, claim: Claim) -> bool {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return false };
        let Some((_, client)) = gate.of_lane(lane) else { return false };
        if member.and_then(|m| client.lane_to(m)).is_some_and(|lane| lane.leaving) {
            // It still handles what it was sent as the owner.
            return false;
        }
        let Some(newer) = client.slots().iter().find(|s| claim.is_outdated(s.mark, s.epoch)).copied() else {
            return false;
        };
        let (user, session) = (client.user.as_deref().map(|(uid, _)| uid.clone()), client.id);
        gate.counters.stale += 1;
        let owner = gate.members.get(newer.member).map(|m| m.owner.clone());
        let up = member.and_then(|m| gate.members.get(m)).map(|m| m.up);
        if let (Some(uid), Some(owner), Some(up)) = (user, owner, up) {
            let owned: Owned = (gate.members.name(newer.name).to_owned(), owner, newer.epoch);
            let body = Writer::default().uid(&uid).u128(session.0).owners(&[owned]).done();
            self.tell_stale(g, up, &body);
        }
        true
    }

    /// Not kept where the link is full: each such push tells it anew.
    fn tell_stale(&mut self, g: u8, up: Up, body: &[u8]) {
        let head = Head { kind: FrameKind::Order, route: STALE_ORDER, ..Head::default() };
        match up {
            Up::Here(node) => self.frame_to_node(node, Peer::Here(g), head, body),
            Up::Link(link) => drop(self.link_send(link, head, Part::Copy(body))),
            Up::Gone => {}
        }
    }
}
