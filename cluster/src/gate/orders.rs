//! What nodes ask of a gate beside messages.

use std::sync::{Arc, Mutex, PoisonError};

use due_core::{Kind, Result, net::Farewell};
use tokio::sync::oneshot;

use super::{
    awaited::Counting,
    client::Slot,
    outbound::{PushOf, Pushed},
};
use crate::{
    link::{Audience, Counts, GateOrder, Writer, mark_of},
    shard::{driver::Shard, inbox::Inbox},
};

/// Where the answer to an order goes.
pub(crate) enum ReplyTo {
    Nobody,
    /// Over a link of this shard.
    Link {
        link: u32,
        corr: u64,
    },
    /// To a task of this process.
    Here(oneshot::Sender<Result<Vec<u8>>>),
    /// The same, for the counts of a push at its place.
    Counts(Arc<Counting>, usize),
}

/// Adds up the counts of a gate's shards; the last one answers.
struct Tally {
    state: Mutex<(Counts, usize, Option<ReplyTo>)>,
    home: Arc<Inbox>,
}

impl Tally {
    fn done(&self, counts: Counts) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.add(counts);
        state.1 -= 1;
        if state.1 == 0
            && let Some(to) = state.2.take()
        {
            let counts = state.0;
            drop(state);
            self.home.run(move |shard| shard.answer_counts(to, counts));
        }
    }
}

impl Shard {
    pub(crate) fn answer(&mut self, to: ReplyTo, result: Result<Vec<u8>>) {
        match to {
            ReplyTo::Nobody => {}
            ReplyTo::Link { link, corr } => self.link_answer(link, corr, result),
            ReplyTo::Here(waiting) => drop(waiting.send(result)),
            // Who waits learns of an error by the end of its channel.
            ReplyTo::Counts(counting, at) => {
                if let Ok(counts) = result.and_then(|body| Counts::decode(&body)) {
                    counting.counted([(at, counts)].into_iter());
                }
            }
        }
    }

    pub(crate) fn answer_counts(&mut self, to: ReplyTo, counts: Counts) {
        match to {
            ReplyTo::Nobody => {}
            ReplyTo::Counts(counting, at) => counting.counted([(at, counts)].into_iter()),
            to => self.answer(to, Ok(counts.encode())),
        }
    }

    /// An order of this very process to a gate on this shard.
    pub(crate) fn gate_order_here(&mut self, g: u8, order: GateOrder, waiting: oneshot::Sender<Result<Vec<u8>>>) {
        self.gate_order(g, 0, order, ReplyTo::Here(waiting));
    }

    /// Carries an order out; those about one session name its lane.
    pub(crate) fn gate_order(&mut self, g: u8, lane: u64, order: GateOrder, to: ReplyTo) {
        match order {
            GateOrder::Push { to: audience, route, flags, body } => {
                self.push_order(g, audience, (route, flags, body), to)
            }
            GateOrder::Stat => {
                let body = self.stat_of(g);
                self.answer(to, Ok(body));
            }
            GateOrder::IsOnline(uid) => {
                let online = self.gates.get(usize::from(g)).is_some_and(|gate| gate.own.users.find(&uid).is_some());
                self.answer(to, Ok(vec![online.into()]));
            }
            GateOrder::Ip(uid) => self.on_user(g, &uid, to, |shard, g, slot| {
                let ip = shard.client(g, slot).map(|c| c.conn.peer().ip().to_string());
                ip.unwrap_or_default().into_bytes()
            }),
            GateOrder::Disconnect { uid, forced, code, text } => self.on_user(g, &uid, to, move |shard, g, slot| {
                shard.close_by_order(g, slot, forced, (code, &text));
                vec![1]
            }),
            GateOrder::Kick { uid, below, .. } => {
                self.kicked_from_afar(g, &uid, below);
                self.answer(to, Ok(Vec::new()));
            }
            order => self.session_order_at_gate(g, lane, order, to),
        }
    }

    fn session_order_at_gate(&mut self, g: u8, lane: u64, order: GateOrder, to: ReplyTo) {
        let found = self.gates.get_mut(usize::from(g)).and_then(|gate| gate.of_lane(lane));
        let slot = match found {
            Some((slot, client)) if client.is_open() => slot,
            _ => return self.answer(to, Err(Kind::Gone.into())),
        };
        match order {
            GateOrder::Bind(uid) => return self.bind(g, slot, uid, to),
            GateOrder::Unbind => self.unbind(g, slot),
            GateOrder::Subscribe(channel) => self.subscribe(g, slot, &channel),
            GateOrder::Unsubscribe(channel) => self.unsubscribe(g, slot, &channel),
            GateOrder::Close { forced, code, text } => self.close_by_order(g, slot, forced, (code, &text)),
            GateOrder::Slot { name, owner, epoch } => {
                let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
                let number = gate.members.name_number(&name);
                if let Some(member) = gate.members.of_owner(&owner) {
                    self.move_user(g, slot, Slot { name: number, mark: mark_of(&name), member, epoch });
                }
            }
            GateOrder::Unslot { name } => {
                let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
                let number = gate.members.name_number(&name);
                if let Some(client) = gate.clients.get_mut(slot as usize) {
                    client.slots_mut().retain(|s| s.name != number);
                }
            }
            _ => {}
        }
        self.answer(to, Ok(Vec::new()));
    }

    fn close_by_order(&mut self, g: u8, slot: u32, forced: bool, why: (u32, &str)) {
        if forced {
            self.note_end(g, slot, ("closed", ""));
            return self.drop_client(g, slot);
        }
        let kick = (why.0 != 0).then_some(why);
        let farewell = if kick.is_some() { Farewell::Policy } else { Farewell::Normal };
        self.close_client(g, slot, farewell, kick);
    }

    fn subscribe(&mut self, g: u8, slot: u32, channel: &str) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let channels = &mut client.extras.get_or_insert_with(Box::default).channels;
        if channels.iter().any(|c| &**c == channel) {
            return;
        }
        channels.push(channel.into());
        client.several = channels.len() > 1;
        gate.channels.subscribe(channel, slot);
    }

    fn unsubscribe(&mut self, g: u8, slot: u32, channel: &str) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        if let Some(client) = gate.clients.get_mut(slot as usize) {
            let channels = &mut client.extras.get_or_insert_with(Box::default).channels;
            channels.retain(|c| &**c != channel);
            client.several = channels.len() > 1;
        }
        gate.channels.unsubscribe(channel, slot);
    }

    fn stat_of(&self, g: u8) -> Vec<u8> {
        let Some(gate) = self.gates.get(usize::from(g)) else { return Vec::new() };
        let all = gate.own.connections.iter().map(|n| n.load(std::sync::atomic::Ordering::Relaxed) as u64).sum();
        Writer::default().u64(all).u64(gate.own.users.len()).done()
    }

    /// Does something with a user's connection on whichever shard of the gate it is.
    fn on_user<F>(&mut self, g: u8, uid: &due_core::Uid, to: ReplyTo, act: F)
    where
        F: FnOnce(&mut Shard, u8, u32) -> Vec<u8> + Send + 'static,
    {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let Some(seat) = gate.own.users.find(uid) else { return self.answer(to, Ok(Vec::new())) };
        let inbox = gate.own.inbox_of(seat.shard);
        let home = self.inbox.clone();
        let work = move |shard: &mut Shard| {
            let slot =
                shard.gates.get_mut(usize::from(g)).and_then(|gate| gate.of_lane(seat.lane)).map(|(slot, _)| slot);
            let body = slot.map(|slot| act(shard, g, slot)).unwrap_or_default();
            home.run(move |shard| shard.answer(to, Ok(body)));
        };
        match inbox {
            Some(inbox) => drop(inbox.run(work)),
            None => work(self),
        }
    }

    /// Sorts a push by shard, hands each its part, and answers with the sum.
    fn push_order(&mut self, g: u8, to: Audience, push: (i32, u8, Vec<u8>), reply: ReplyTo) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let shards: Vec<(u16, Arc<Inbox>)> = gate.own.shards.get().cloned().unwrap_or_default();
        let mut offline = 0;
        let parts: Vec<(u16, Targets)> = match to {
            Audience::Users(uids) => {
                let mut lanes: Vec<(u16, u64)> = Vec::new();
                for uid in &uids {
                    match gate.own.users.find(uid) {
                        Some(seat) => lanes.push((seat.shard, seat.lane)),
                        None => offline += 1,
                    }
                }
                by_shard(lanes)
            }
            Audience::Sessions(lanes) => by_shard(lanes),
            Audience::Channel(name) => {
                let name: Arc<str> = name.into();
                shards.iter().map(|(n, _)| (*n, Targets::Channel(name.clone()))).collect()
            }
            Audience::Everyone { bound } => shards.iter().map(|(n, _)| (*n, Targets::Everyone { bound })).collect(),
        };
        let own = Counts { offline, ..Counts::default() };
        if let [(shard, targets)] = parts.as_slice()
            && *shard == self.number
        {
            let mut counts = self.push_here(g, targets, PushOf { route: push.0, flags: push.1, body: &push.2 });
            counts.add(own);
            return self.answer_counts(reply, counts);
        }
        let state = Mutex::new((own, parts.len() + 1, Some(reply)));
        let tally = Arc::new(Tally { state, home: self.inbox.clone() });
        let body: Arc<[u8]> = push.2.into();
        for (shard, targets) in parts {
            let (part, body) = (tally.clone(), body.clone());
            let work = move |shard: &mut Shard| {
                let push = PushOf { route: push.0, flags: push.1, body: &body };
                part.done(shard.push_here(g, &targets, push));
            };
            match shards.iter().find(|(n, _)| *n == shard) {
                Some(_) if shard == self.number => work(self),
                Some((_, inbox)) => drop(inbox.run(work)),
                None => tally.done(Counts { unknown: 1, ..Counts::default() }),
            }
        }
        tally.done(Counts::default());
    }

    fn push_here(&mut self, g: u8, targets: &Targets, push: PushOf<'_>) -> Counts {
        let mut counts = Counts::default();
        match targets {
            Targets::Lanes(lanes) => {
                for lane in lanes {
                    count(&mut counts, self.push_to_lane(g, *lane, push));
                }
            }
            Targets::Channel(name) => {
                let Some(gate) = self.gates.get(usize::from(g)) else { return counts };
                let members = gate.channels.members(name).to_vec();
                self.push_to_slots(g, members, push, &mut counts);
            }
            Targets::Everyone { bound } => {
                let Some(gate) = self.gates.get(usize::from(g)) else { return counts };
                let slots = gate.clients.iter().filter(|(_, c)| c.is_open() && (!bound || c.user.is_some()));
                let slots = slots.map(|(slot, _)| slot as u32).collect();
                self.push_to_slots(g, slots, push, &mut counts);
            }
        }
        counts
    }

    fn push_to_slots(&mut self, g: u8, slots: Vec<u32>, push: PushOf<'_>, counts: &mut Counts) {
        for slot in slots {
            match self.push_to_slot(g, slot, push) {
                // Left between the look and the push: nobody was addressed.
                Pushed::Gone => {}
                pushed => count(counts, pushed),
            }
        }
    }
}

enum Targets {
    Lanes(Vec<u64>),
    Channel(Arc<str>),
    Everyone { bound: bool },
}

fn by_shard(mut lanes: Vec<(u16, u64)>) -> Vec<(u16, Targets)> {
    lanes.sort_by_key(|(shard, _)| *shard);
    lanes
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|run| Some((run.first()?.0, Targets::Lanes(run.iter().map(|(_, lane)| *lane).collect()))))
        .collect()
}

pub(super) fn count(counts: &mut Counts, pushed: Pushed) {
    match pushed {
        Pushed::Queued => counts.queued += 1,
        Pushed::Full => counts.full += 1,
        Pushed::Unfit => counts.unknown += 1,
        Pushed::Gone => counts.offline += 1,
    }
}

/// Takes a node slot over unless a higher epoch is known; says whether it did.
pub(crate) fn set_slot(slots: &mut Vec<Slot>, new: Slot) -> bool {
    match slots.iter_mut().find(|s| s.name == new.name) {
        Some(old) if old.epoch > new.epoch => return false,
        Some(old) => *old = new,
        None => slots.push(new),
    }
    true
}
