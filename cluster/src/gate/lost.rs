//! When a node is lost: what its clients are told.

use due_core::{Kind, Owner, net::Farewell};

use super::{client::Request, members::Up, settings::Untold, sweep::reached};
use crate::shard::driver::Shard;

impl Shard {
    /// The link to a node is over. Each request that it had is answered once: as `OwnerLost` if the node may have handled
    /// it (`written` says of which frames that is so), else as `Unavailable`, which says that it certainly did not. Of what
    /// has no answer the client is told how much was under way. Sessions bound to the node find that at their next
    /// stateful message.
    pub(crate) fn node_lost(
        &mut self,
        g: u8,
        (node, member): (&Owner, Option<u16>),
        link: u32,
        written: &dyn Fn(u64) -> bool,
    ) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(member) = member else { return };
        if gate.members.get(member).is_none_or(|m| m.up != Up::Link(link)) {
            return;
        }
        tracing::info!(%node, "the link to a node is over");
        gate.members.leave(member);
        let with_lane = gate.clients.iter().filter(|(_, c)| c.lanes().iter().any(|l| l.member == member));
        let slots: Vec<u32> = with_lane.map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.lane_lost(g, slot, member, written);
        }
    }

    fn lane_lost(&mut self, g: u8, slot: u32, member: u16, written: &dyn Fn(u64) -> bool) {
        let Some(client) = self.client(g, slot) else { return };
        let (owed, notifies) = client.lane_to(member).map_or((0, 0), |l| (l.unanswered, l.notifies));
        client.lanes_mut().retain(|l| l.member != member);
        let mut failed: Vec<Request> = Vec::new();
        if let Some(extras) = &mut client.extras {
            failed = extras.requests.iter().filter(|r| r.member == member).copied().collect();
            extras.requests.retain(|r| r.member != member);
        }
        let hello = client.hello;
        for request in failed {
            let kind = if written(request.number) { Kind::OwnerLost } else { Kind::Unavailable };
            self.tell_fault(g, slot, (request.route, request.seq), (kind.code(), kind.text()));
        }
        if hello && notifies > 0 {
            let text = format!("{notifies} messages without an answer may not have been handled: their node is gone");
            self.tell_fault(g, slot, (0, 0), (Kind::Lost.code(), &text));
        }
        if !hello && owed + notifies > 0 && self.untold(g, slot) == Untold::Close {
            return self.close_client(g, slot, Farewell::Policy, None);
        }
        if self.owes_nothing_more(g, slot) {
            return self.close_client(g, slot, Farewell::Normal, None);
        }
        self.resume(g, slot);
    }

    /// Requests whose time is over at the gate too: a hello client is told so, an old one is closed or hears nothing.
    /// An answer that comes later finds nobody.
    pub(crate) fn unanswered(&mut self, g: u8, slot: u32) {
        let now = self.millis();
        let Some(client) = self.client(g, slot) else { return };
        let mut overdue: Vec<Request> = Vec::new();
        if let Some(extras) = client.extras.as_mut().filter(|_| client.hello) {
            overdue = extras.requests.iter().filter(|r| reached(now, r.until)).copied().collect();
            extras.requests.retain(|r| !reached(now, r.until));
        }
        for request in &overdue {
            if let Some(lane) = client.lane_to(request.member) {
                lane.answered(now);
            }
        }
        let hello = client.hello;
        for lane in client.lanes_mut().iter_mut().filter(|l| !hello && l.unanswered > 0 && reached(now, l.until)) {
            lane.unanswered = 0;
        }
        for request in overdue {
            let kind = Kind::Timeout;
            self.tell_fault(g, slot, (request.route, request.seq), (kind.code(), kind.text()));
        }
        if !hello && self.untold(g, slot) == Untold::Close {
            return self.close_client(g, slot, Farewell::Policy, None);
        }
        if self.owes_nothing_more(g, slot) {
            self.close_client(g, slot, Farewell::Normal, None);
        }
    }

    fn untold(&self, g: u8, slot: u32) -> Untold {
        let gate = self.gates.get(usize::from(g));
        let listener = gate.and_then(|gate| gate.listeners.get(usize::from(gate.clients.get(slot as usize)?.listener)));
        listener.map_or(Untold::Close, |l| l.settings.on_lost)
    }
}
