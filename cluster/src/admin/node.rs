//! What a node's shard tells of its sessions, and any shard of its links.

use due_core::{Uid, transport::LinkState};

use super::{LinkView, Metrics, Totals, UserAtNode};
use crate::{
    link::{
        end::{Asked, LinkEnd},
        past::Pair,
    },
    node::shard::{Busy, NodeSession},
    shard::driver::Shard,
    stat::{GateCounters, NodeCounters, RouteCounters, ShardCounters},
};

impl Shard {
    /// What the shard has counted of a part.
    pub(super) fn metrics_of(&self, part: Asked) -> Metrics {
        let mut all = Metrics::default();
        match part {
            Asked::Gate(g) => {
                let Some(gate) = self.gates.get(usize::from(g)) else { return all };
                (all.connections, all.gate) = (gate.clients.len() as u64, Some(gate.counters));
            }
            Asked::Node(n) => {
                let Some(node) = self.nodes.get(usize::from(n)) else { return all };
                (all.sessions, all.node) = (node.sessions.len() as u64, Some(node.totals));
                all.busy = node.sessions.iter().filter(|(_, s)| has_work(s)).count() as u64;
            }
        }
        all
    }

    /// The same, as little as is followed all the time.
    pub(super) fn totals_of(&self, part: Asked) -> Totals {
        let of_gate = |c: &GateCounters| Totals { logins: c.logins, logouts: c.logouts, errors: c.errors() };
        let of_node = |c: &NodeCounters| Totals { errors: c.errors, ..Totals::default() };
        let totals = match part {
            Asked::Gate(g) => self.gates.get(usize::from(g)).map(|gate| of_gate(&gate.counters)),
            Asked::Node(n) => self.nodes.get(usize::from(n)).map(|node| of_node(&node.totals)),
        };
        totals.unwrap_or_default()
    }

    /// What the shard itself has counted.
    pub(super) fn own_metrics(&self) -> (ShardCounters, Vec<String>) {
        let mut counters = self.counters;
        counters.held = self.pulse.held();
        (counters, self.pulse.named())
    }

    /// Counters of a node's routes, in the order of its table.
    pub(super) fn routes_of(&self, n: u8) -> Vec<RouteCounters> {
        self.nodes.get(usize::from(n)).map(|node| node.counters.clone()).unwrap_or_default()
    }

    /// The sessions of a user at a node.
    pub(super) fn user_at(&self, n: u8, uid: &Uid) -> UserAtNode {
        let mut all = UserAtNode::default();
        let Some(node) = self.nodes.get(usize::from(n)) else { return all };
        for (_, session) in node.sessions.iter().filter(|(_, s)| s.uid.as_ref() == Some(uid)) {
            all.sessions += 1;
            all.waiting += session.mailbox.len() as u64;
            all.busy += u64::from(session.busy != Busy::No);
        }
        all
    }

    /// The links of a part.
    pub(super) fn links_of(&self, part: Asked) -> Vec<LinkView> {
        let mut all = Vec::new();
        let mut told: Vec<Pair> = Vec::new();
        for (_, end) in &self.links {
            let pair = Pair::of(&end.side);
            if pair.part != part {
                continue;
            }
            let mut view = end.view(self.number, &pair);
            if !told.contains(&pair) {
                view.errors += self.past.errors(&pair);
                told.push(pair);
            }
            all.push(view);
        }
        all
    }
}

impl LinkEnd {
    fn view(&self, shard: u16, pair: &Pair) -> LinkView {
        let look = self.look();
        let state = match look.state {
            LinkState::Up => "up",
            LinkState::Down(_) => "down",
            LinkState::Over => "over",
        };
        LinkView {
            shard,
            number: self.serial,
            kind: pair.kind.to_owned(),
            peer: pair.peer.to_string(),
            state: state.to_owned(),
            full: look.full,
            orders: look.orders as u64,
            calls: self.calls.len() as u64,
            sent: look.sent,
            rtt_us: look.round_trip.map(|took| took.as_micros() as u64),
            errors: look.errors,
        }
    }
}

fn has_work(session: &NodeSession) -> bool {
    session.busy != Busy::No || !session.mailbox.is_empty() || !session.late.is_empty()
}
