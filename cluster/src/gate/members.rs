//! The nodes a gate shard knows, and which of them serves a route.

use std::{collections::HashMap, sync::Arc};

use due_core::{Owner, registry::State};

use crate::link::{NodeTable, TableRoute};

/// How a gate shard reaches a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Up {
    /// A node of the same shard: called, not sent to.
    Here(u8),
    /// A link by slot.
    Link(u32),
    /// It is gone.
    Gone,
}

/// A node process as this gate shard sees it.
pub(crate) struct Member {
    pub(crate) owner: Owner,
    /// Number of its name.
    pub(crate) name: u16,
    pub(crate) state: State,
    pub(crate) weight: u32,
    /// Is it in the registry's view? Without, it gets no new placement, unless it is held.
    pub(crate) listed: bool,
    /// Has it vanished from that view together with most others?
    pub(crate) held: bool,
    pub(crate) up: Up,
    /// Its link has lost the connection, which may come back: what is sent waits, so others get what they can.
    pub(crate) down: bool,
    pub(crate) table: Arc<NodeTable>,
    /// Running weight of the smooth weighted round robin.
    current: i64,
}

impl Member {
    /// Does it get at once what is sent to it?
    fn is_connected(&self) -> bool {
        self.up != Up::Gone && !self.down
    }

    /// Does who is there stay? Not with a node that hangs: it wants to stop.
    pub(crate) fn works(&self) -> bool {
        self.is_connected() && matches!(self.state, State::Work | State::Busy)
    }
}

/// What the gate knows of a route.
pub(crate) struct Route {
    pub(crate) name: u16,
    /// Number of the slot that a stateful one follows: the name's, or that of a kind of actors.
    pub(crate) slot: u16,
    pub(crate) stateful: bool,
    pub(crate) authorized: bool,
    pub(crate) internal: bool,
    pub(crate) answers: bool,
    /// How long its handler may take, in milliseconds.
    pub(crate) limit: u32,
    pub(crate) text: Arc<str>,
    /// Was it logged already that an error closed the session of an old client?
    pub(crate) told: bool,
}

/// How stateless messages choose among the nodes of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatch {
    /// A weighted pick at the session's first message; the session stays there.
    #[default]
    Sticky,
    /// Each message anywhere.
    Random,
    /// Each message to the next one.
    RoundRobin,
    /// Each message by smooth weighted round robin.
    Weighted,
}

/// Nodes and routes of a gate shard. Members keep their number for ever: lanes hold it.
#[derive(Default)]
pub(crate) struct Members {
    list: Vec<Member>,
    names: Vec<String>,
    dense: Vec<u16>,
    sparse: HashMap<i32, u16>,
    routes: Vec<Route>,
    fallback: Option<u16>,
    turn: usize,
    changes: u32,
}

/// Route numbers below this are found by index.
const DENSE: i32 = 4096;
const NONE: u16 = u16::MAX;

impl Members {
    pub(crate) fn get(&self, member: u16) -> Option<&Member> {
        self.list.get(usize::from(member))
    }

    /// Counts what may have changed where messages go; wraps.
    #[inline]
    pub(crate) fn changes(&self) -> u32 {
        self.changes
    }

    pub(crate) fn get_mut(&mut self, member: u16) -> Option<&mut Member> {
        self.changes = self.changes.wrapping_add(1);
        self.list.get_mut(usize::from(member))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Member)> {
        self.list.iter().enumerate().map(|(i, m)| (i as u16, m))
    }

    pub(crate) fn of_owner(&self, owner: &Owner) -> Option<u16> {
        self.iter().find(|(_, m)| &m.owner == owner && m.up != Up::Gone).map(|(i, _)| i)
    }

    /// The number of a node that a user is bound to, also of one that is not linked yet or any more. `slot`: the slot's
    /// name, which begins with the node's.
    pub(crate) fn number_of(&mut self, owner: &Owner, slot: &str) -> u16 {
        if let Some((member, _)) = self.iter().find(|(_, m)| &m.owner == owner) {
            return member;
        }
        if self.list.len() >= usize::from(NONE) {
            return NONE;
        }
        let name = self.name_number(slot.split('/').next().unwrap_or(slot));
        let (state, up, table) = (State::Work, Up::Gone, Arc::default());
        let owner = owner.clone();
        self.list.push(Member {
            owner,
            name,
            state,
            weight: 1,
            listed: true,
            held: false,
            up,
            down: false,
            table,
            current: 0,
        });
        (self.list.len() - 1) as u16
    }

    /// The name of a number.
    pub(crate) fn name_of(&self, number: u16) -> Option<&str> {
        self.names.get(usize::from(number)).map(String::as_str)
    }

    pub(crate) fn name_number(&mut self, name: &str) -> u16 {
        if let Some(i) = self.names.iter().position(|n| n == name) {
            return i as u16;
        }
        self.names.push(name.to_owned());
        (self.names.len() - 1) as u16
    }

    /// The name of a node, or of a slot, by its number.
    pub(crate) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }

    /// The route of a number.
    pub(crate) fn route(&self, id: i32) -> Option<(u16, &Route)> {
        let i = match id {
            0..DENSE => self.dense.get(id as usize).copied().filter(|i| *i != NONE),
            _ => self.sparse.get(&id).copied(),
        };
        let i = i.or(self.fallback)?;
        self.routes.get(usize::from(i)).map(|r| (i, r))
    }

    pub(crate) fn route_at(&mut self, route: u16) -> Option<&mut Route> {
        self.routes.get_mut(usize::from(route))
    }

    /// Adds a node, or takes the new link to one that is known.
    pub(crate) fn join(&mut self, owner: Owner, name: &str, up: Up, table: Arc<NodeTable>) -> u16 {
        let name = self.name_number(name);
        let known = self.iter().find(|(_, m)| m.owner == owner).map(|(i, _)| i);
        let member = known.unwrap_or(self.list.len() as u16);
        let state = State::Work;
        let fresh =
            Member { owner, name, state, weight: 1, listed: true, held: false, up, down: false, table, current: 0 };
        match self.list.get_mut(usize::from(member)) {
            Some(old) => {
                *old = Member { state: old.state, weight: old.weight, listed: old.listed, held: old.held, ..fresh }
            }
            None => self.list.push(fresh),
        }
        self.rebuild();
        member
    }

    /// The node's link is over.
    pub(crate) fn leave(&mut self, member: u16) {
        if let Some(m) = self.get_mut(member) {
            m.up = Up::Gone;
        }
        self.rebuild();
    }

    /// Makes the route map anew from the tables of the nodes that are there. The first node to name a route decides to
    /// which node name it goes.
    fn rebuild(&mut self) {
        self.changes = self.changes.wrapping_add(1);
        let told: HashMap<Arc<str>, bool> = self.routes.iter().map(|r| (r.text.clone(), r.told)).collect();
        self.dense.clear();
        self.sparse.clear();
        self.routes.clear();
        self.fallback = None;
        for (name, table) in self.tables() {
            for route in &table.routes {
                self.add(name, route);
            }
            if table.fallback && self.fallback.is_none() {
                self.fallback = Some(self.routes.len() as u16);
                self.routes.push(fallback_route(name));
            }
        }
        for route in &mut self.routes {
            route.told = told.get(&route.text).copied().unwrap_or(false);
        }
    }

    /// The tables of the nodes that are there; behind them, of each name that nobody serves now, what its last nodes
    /// served: those routes are unavailable, not unknown.
    fn tables(&self) -> Vec<(u16, Arc<NodeTable>)> {
        let (here, gone): (Vec<&Member>, Vec<&Member>) = self.list.iter().partition(|m| m.up != Up::Gone);
        let orphans = gone.into_iter().rev().filter(|m| here.iter().all(|h| h.name != m.name));
        here.iter().copied().chain(orphans).map(|m| (m.name, m.table.clone())).collect()
    }

    fn add(&mut self, name: u16, route: &TableRoute) {
        let number = self.routes.len() as u16;
        let slot = match route.id {
            0..DENSE => {
                let at = route.id as usize;
                if self.dense.len() <= at {
                    self.dense.resize(at + 1, NONE);
                }
                match self.dense.get_mut(at) {
                    Some(slot) => slot,
                    None => return,
                }
            }
            id => self.sparse.entry(id).or_insert(NONE),
        };
        if *slot != NONE {
            return;
        }
        *slot = number;
        let slot = match route.kind.as_str() {
            "" => name,
            kind => {
                self.name_number(&format!("{}/{kind}", self.names.get(usize::from(name)).map_or("", String::as_str)))
            }
        };
        self.routes.push(Route {
            name,
            slot,
            stateful: route.stateful,
            authorized: route.authorized,
            internal: route.internal,
            answers: route.answers,
            limit: route.limit_ms,
            text: route.name.as_str().into(),
            told: false,
        });
    }

    /// May new work of this name go to the member? Work before busy; hang and shut never.
    fn candidates(&self, name: u16) -> impl Iterator<Item = (u16, &Member)> {
        let open = move |state| {
            let there = |m: &Member| (m.listed || m.held) && m.is_connected();
            self.iter().filter(move |(_, m)| m.name == name && m.state == state && there(m))
        };
        let busy = open(State::Work).next().is_none();
        open(if busy { State::Busy } else { State::Work })
    }

    /// Chooses a node for a stateless message; `None` when nobody takes work of this name.
    pub(crate) fn pick(&mut self, name: u16, by: Dispatch, random: u64) -> Option<u16> {
        match by {
            Dispatch::Sticky => self.pick_by_weight(name, random),
            Dispatch::Random => {
                let n = self.candidates(name).count();
                (n > 0).then(|| self.candidates(name).nth((random % n as u64) as usize)).flatten().map(|(i, _)| i)
            }
            Dispatch::RoundRobin => {
                let n = self.candidates(name).count();
                let turn = self.turn;
                self.turn = self.turn.wrapping_add(1);
                (n > 0).then(|| self.candidates(name).nth(turn % n)).flatten().map(|(i, _)| i)
            }
            Dispatch::Weighted => self.pick_smooth(name),
        }
    }

    fn pick_by_weight(&self, name: u16, random: u64) -> Option<u16> {
        let total: u64 = self.candidates(name).map(|(_, m)| u64::from(m.weight)).sum();
        if total == 0 {
            return self.candidates(name).next().map(|(i, _)| i);
        }
        let mut left = random % total;
        for (i, m) in self.candidates(name) {
            match left.checked_sub(u64::from(m.weight)) {
                Some(rest) => left = rest,
                None => return Some(i),
            }
        }
        None
    }

    fn pick_smooth(&mut self, name: u16) -> Option<u16> {
        let candidates: Vec<u16> = self.candidates(name).map(|(i, _)| i).collect();
        let mut total = 0;
        for i in &candidates {
            if let Some(m) = self.list.get_mut(usize::from(*i)) {
                m.current += i64::from(m.weight);
                total += i64::from(m.weight);
            }
        }
        let best = candidates.into_iter().max_by_key(|i| (self.get(*i).map(|m| m.current), std::cmp::Reverse(*i)))?;
        if let Some(m) = self.list.get_mut(usize::from(best)) {
            m.current -= total;
        }
        Some(best)
    }
}

fn fallback_route(name: u16) -> Route {
    Route {
        name,
        slot: name,
        stateful: false,
        authorized: false,
        internal: false,
        answers: true,
        limit: 30_000,
        text: "fallback".into(),
        told: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::Incarnation;

    fn members(weights: &[u32]) -> Members {
        let mut all = Members::default();
        let table = Arc::new(NodeTable { fallback: true, ..NodeTable::default() });
        for (i, weight) in weights.iter().enumerate() {
            let owner = Owner { id: format!("n{i}").into(), incarnation: Incarnation(i as u64) };
            let m = all.join(owner, "game", Up::Link(i as u32), table.clone());
            all.get_mut(m).unwrap().weight = *weight;
        }
        all
    }

    fn counts(all: &mut Members, by: Dispatch, n: u64) -> Vec<u64> {
        let mut counts = vec![0; all.list.len()];
        for i in 0..n {
            counts[usize::from(all.pick(0, by, i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7).unwrap())] += 1;
        }
        counts
    }

    // conformance 39
    #[test]
    fn weights_and_turns_are_kept_to() {
        let all = &mut members(&[4, 2, 1]);
        assert_eq!(counts(all, Dispatch::Weighted, 7000), [4000, 2000, 1000]);
        let turns = counts(all, Dispatch::RoundRobin, 7000);
        assert!(turns.iter().max().unwrap() - turns.iter().min().unwrap() <= 1, "{turns:?}");
        assert!(counts(all, Dispatch::Random, 7000).iter().all(|n| *n > 2000));
        let sticky = counts(all, Dispatch::Sticky, 7000);
        assert!(sticky[0] > sticky[1] && sticky[1] > sticky[2], "{sticky:?}");
    }

    // conformance 38
    #[test]
    fn busy_nodes_are_last_and_hanging_ones_never() {
        let all = &mut members(&[1, 1, 1]);
        all.get_mut(0).unwrap().state = State::Busy;
        all.get_mut(1).unwrap().state = State::Hang;
        assert_eq!(counts(all, Dispatch::Random, 50), [0, 0, 50]);
        all.get_mut(2).unwrap().state = State::Shut;
        assert_eq!(counts(all, Dispatch::RoundRobin, 50), [50, 0, 0]);
        all.get_mut(0).unwrap().state = State::Hang;
        assert_eq!(all.pick(0, Dispatch::Sticky, 1), None);
    }

    #[test]
    fn a_node_whose_link_is_down_gets_nothing_new_that_others_can_take() {
        let all = &mut members(&[1, 1]);
        all.get_mut(0).unwrap().down = true;
        assert!(!all.get(0).unwrap().works());
        assert_eq!(counts(all, Dispatch::Sticky, 50), [0, 50]);
        all.get_mut(0).unwrap().down = false;
        assert_eq!(counts(all, Dispatch::RoundRobin, 50), [25, 25]);
    }

    #[test]
    fn routes_that_nobody_serves_any_more_are_known_until_their_name_has_a_node_again() {
        let table = |id: i32| {
            let json = serde_json::json!({"routes": [{"id": id, "name": "r"}], "fallback": false, "events": false});
            Arc::new(NodeTable::decode(json.to_string().as_bytes()).unwrap())
        };
        let owner = |n| Owner { id: "n".into(), incarnation: Incarnation(n) };
        let all = &mut Members::default();
        let first = all.join(owner(1), "game", Up::Link(1), table(77));
        all.leave(first);
        assert!(all.route(77).is_some() && all.pick(0, Dispatch::Sticky, 0).is_none());
        let second = all.join(owner(2), "game", Up::Link(2), table(78));
        assert!(all.route(77).is_none() && all.route(78).is_some());
        assert_eq!(all.pick(0, Dispatch::Sticky, 0), Some(second));
    }
}
