//! Moving a user from node to node: what the one it leaves was sent is handled before the next one gets anything.

use due_core::transport::{FrameKind, Head};

use super::{
    client::{Lane, Slot},
    orders::set_slot,
};
use crate::{link::lane_of, shard::driver::Shard};

impl Shard {
    /// The session's user is bound to a node from now on. Each other node of that name that may still have messages of
    /// the session is asked to say when they are handled; until all have, nothing more of the client is read. It ends
    /// early only with the link to such a node, never by a cut that the link survives.
    pub(super) fn move_user(&mut self, g: u8, slot: u32, new: Slot) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(to) = gate.members.get(new.member) else { return };
        let name = to.name;
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        if !set_slot(client.slots_mut(), new) {
            return;
        }
        let lane = lane_of(slot, client.generation);
        let waits = |l: &&mut Lane| l.name == name && l.member != new.member && l.frames > 0 && !l.leaving;
        let mut left = Vec::new();
        for before in client.lanes_mut().iter_mut().filter(waits) {
            before.leaving = true;
            left.push(before.member);
        }
        for member in left {
            self.raise_barrier(g, slot, (lane, member));
        }
    }

    fn raise_barrier(&mut self, g: u8, slot: u32, (lane, member): (u64, u16)) {
        let up = self.gates.get(usize::from(g)).and_then(|gate| gate.members.get(member)).map(|m| m.up);
        self.pause(g, slot);
        let head = Head { kind: FrameKind::Barrier, lane, ..Head::default() };
        if !up.is_some_and(|up| self.frame_up(g, up, head, &[])) {
            self.barrier_passed(g, Some(member), lane);
        }
    }

    /// A node has handled all that the session sent it before the barrier.
    pub(super) fn barrier_passed(&mut self, g: u8, member: Option<u16>, lane: u64) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some((slot, client)) = gate.of_lane(lane) else { return };
        let Some(lane) = member.and_then(|m| client.lane_to(m)) else { return };
        lane.leaving = false;
        self.resume(g, slot);
    }
}
