//! Pushes to channels: those that come together are encoded once and delivered member by member, not message by message.

use std::collections::HashMap;

use bytes::Bytes;
use due_core::net::Framing;
use due_protocol::due::Head as Numbers;

use super::{
    orders::{ReplyTo, count},
    outbound::{PushOf, Pushed},
    shard::ListenerEnd,
};
use crate::{
    link::{Audience, Counts, FLAG_THEN_CLOSE, GateOrder},
    shard::driver::Shard,
};

/// Bytes of pushes that are put together for the members of a channel; more go one by one.
const WIRE: usize = 256 * 1024;
/// From this size on members share the bytes: a copy for each of many would be cold when it is written.
const REFER_FROM: usize = 1024;

/// A push to a channel of a gate.
pub(crate) struct Fan {
    pub(crate) gate: u8,
    pub(crate) channel: String,
    pub(crate) route: i32,
    pub(crate) flags: u8,
    pub(crate) body: Vec<u8>,
    pub(crate) reply: ReplyTo,
}

impl Fan {
    fn push(&self) -> PushOf<'_> {
        PushOf { route: self.route, flags: self.flags, body: &self.body }
    }
}

/// The pushes to one channel, by their places.
struct Group<'a> {
    gate: u8,
    channel: &'a str,
    places: Vec<usize>,
}

/// What the pushes of a group are on the wire, for each listener that has members; `None`: they cannot go together.
#[derive(Default)]
struct Wires(Vec<(u8, Option<Bytes>)>);

impl Wires {
    fn of<'a>(&mut self, number: u8, listener: &ListenerEnd, all: impl Iterator<Item = &'a Fan>) -> Option<&Bytes> {
        let known = self.0.iter().position(|(n, _)| *n == number);
        let at = known.unwrap_or_else(|| {
            self.0.push((number, encode(listener, all)));
            self.0.len() - 1
        });
        self.0.get(at).and_then(|(_, wire)| wire.as_ref())
    }
}

fn encode<'a>(listener: &ListenerEnd, all: impl Iterator<Item = &'a Fan>) -> Option<Bytes> {
    let mut wire = Vec::new();
    for fan in all {
        let numbers = Numbers { route: fan.route, seq: 0 };
        listener.dialect.put_data(numbers, &fan.body, Framing::Stream, &mut wire).ok()?;
        if fan.flags & FLAG_THEN_CLOSE != 0 || wire.len() > WIRE {
            return None;
        }
    }
    Some(wire.into())
}

impl Shard {
    /// Takes a push to a channel; it is delivered with those that follow at once, see [`Shard::run_fans`].
    pub(crate) fn add_fan(&mut self, fan: Fan) {
        let shards = self.gates.get(usize::from(fan.gate)).and_then(|gate| gate.own.shards.get());
        let alone = shards.is_some_and(|all| matches!(all.as_slice(), [(shard, _)] if *shard == self.number));
        if alone {
            return self.fans.push(fan);
        }
        self.run_fans();
        let to = Audience::Channel(fan.channel);
        let order = GateOrder::Push { to, route: fan.route, flags: fan.flags, body: fan.body };
        self.gate_order(fan.gate, 0, order, fan.reply);
    }

    /// Delivers what was added: call it before anything else is done to clients.
    pub(crate) fn run_fans(&mut self) {
        if self.fans.is_empty() {
            return;
        }
        let mut fans = std::mem::take(&mut self.fans);
        let counts = self.deliver(&fans);
        for (fan, counts) in fans.drain(..).zip(counts) {
            self.answer_counts(fan.reply, counts);
        }
        self.fans = fans;
    }

    /// Each member gets its pushes in the order they came.
    fn deliver(&mut self, fans: &[Fan]) -> Vec<Counts> {
        let (groups, mut counts) = (grouped(fans), vec![Counts::default(); fans.len()]);
        let mut later = false;
        for group in &groups {
            let mut wires = Wires::default();
            let mut together = 0;
            for slot in self.members_of(group.gate, group.channel) {
                if groups.len() > 1 && self.is_in_several(group.gate, slot) {
                    later = true;
                } else if self.append_all((group, slot), fans, &mut wires) {
                    together += 1;
                } else {
                    group.places.iter().for_each(|at| self.deliver_one(slot, (fans, *at), &mut counts));
                }
            }
            for at in &group.places {
                if let Some(counts) = counts.get_mut(*at) {
                    counts.queued += together;
                }
            }
        }
        if later {
            self.deliver_in_order(fans, &mut counts);
        }
        counts
    }

    /// For members of several channels: what goes to one must not overtake what goes to another.
    fn deliver_in_order(&mut self, fans: &[Fan], counts: &mut [Counts]) {
        for (at, fan) in fans.iter().enumerate() {
            for slot in self.members_of(fan.gate, &fan.channel) {
                if self.is_in_several(fan.gate, slot) {
                    self.deliver_one(slot, (fans, at), counts);
                }
            }
        }
    }

    fn deliver_one(&mut self, slot: u32, of: (&[Fan], usize), counts: &mut [Counts]) {
        let (fans, at) = of;
        let (Some(fan), Some(counts)) = (fans.get(at), counts.get_mut(at)) else { return };
        match self.push_to_slot(fan.gate, slot, fan.push()) {
            // Left between the look and the push: nobody was addressed.
            Pushed::Gone => {}
            pushed => count(counts, pushed),
        }
    }

    fn members_of(&self, g: u8, channel: &str) -> Vec<u32> {
        self.gates.get(usize::from(g)).map(|gate| gate.channels.members(channel).to_vec()).unwrap_or_default()
    }

    fn is_in_several(&mut self, g: u8, slot: u32) -> bool {
        self.client(g, slot).is_some_and(|c| c.extras.as_ref().is_some_and(|e| e.channels.len() > 1))
    }

    /// Appends all pushes of a group to the outbox of a member, if it has room and is a stream; else nothing.
    fn append_all(&mut self, to: (&Group<'_>, u32), fans: &[Fan], wires: &mut Wires) -> bool {
        let (group, slot) = to;
        let Some(gate) = self.gates.get_mut(usize::from(group.gate)) else { return false };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return false };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return false };
        if !client.is_open() || client.conn.framing() != Framing::Stream {
            return false;
        }
        let all = group.places.iter().filter_map(|at| fans.get(*at));
        let Some(wire) = wires.of(client.listener, listener, all) else { return false };
        if client.waiting() + wire.len() >= listener.settings.outbox {
            return false;
        }
        if wire.len() < REFER_FROM {
            client.out.prime(&mut self.pool);
            client.out.append(wire);
        } else {
            client.out.refer(wire);
        }
        gate.counters.pushes += group.places.len() as u64;
        if !std::mem::replace(&mut client.dirty, true) {
            self.dirty.push((group.gate, slot));
        }
        true
    }
}

/// Pushes by channel, in the order of the first of each.
fn grouped(fans: &[Fan]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<(u8, &str), usize> = HashMap::new();
    for (at, fan) in fans.iter().enumerate() {
        let (gate, channel) = (fan.gate, fan.channel.as_str());
        let group = *known.entry((gate, channel)).or_insert_with(|| {
            groups.push(Group { gate, channel, places: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(group) {
            group.places.push(at);
        }
    }
    groups
}
