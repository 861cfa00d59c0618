//! Pushes to channels: those that come together are encoded once and delivered member by member, not message by message.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Context,
};

use bytes::Bytes;
use due_core::net::Framing;
use due_protocol::due::Head as Numbers;

use super::{
    at_once::AtOnce,
    awaited::Counting,
    client::Client,
    orders::{ReplyTo, count},
    outbound::{PushOf, Pushed},
    shard::ListenerEnd,
};
use crate::{
    link::{Counts, FLAG_THEN_CLOSE},
    shard::{driver::Shard, inbox::Inbox},
};

/// Bytes of pushes that are put together for the members of a channel; more go one by one.
const WIRE: usize = 256 * 1024;
/// From this size on members share the bytes: a copy for each of many would be cold when it is written.
const REFER_FROM: usize = 1024;
/// Members that are fetched from memory together: about as many places as a core waits for at a time.
const TOGETHER: usize = 8;
/// Bytes of a head at most: an estimate that saves growing.
const HEAD: usize = 16;

/// A push to a channel of a gate. Its bytes stand elsewhere: the channel's name, then the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fan {
    pub(crate) gate: u8,
    pub(crate) flags: u8,
    pub(crate) route: i32,
    pub(crate) from: usize,
    pub(crate) body: usize,
    pub(crate) end: usize,
}

/// Pushes to channels in the order they came.
#[derive(Default)]
pub(crate) struct Fans {
    list: Vec<Fan>,
    replies: Vec<ReplyTo>,
    pub(crate) bytes: Vec<u8>,
}

impl Fans {
    fn add(&mut self, fan: Fan, reply: ReplyTo) {
        self.list.push(fan);
        self.replies.push(reply);
    }

    fn channel(&self, fan: &Fan) -> &str {
        std::str::from_utf8(self.name(fan)).unwrap_or_default()
    }

    fn name(&self, fan: &Fan) -> &[u8] {
        self.bytes.get(fan.from..fan.body).unwrap_or_default()
    }

    fn push(&self, fan: &Fan) -> PushOf<'_> {
        let body = self.bytes.get(fan.body..fan.end).unwrap_or_default();
        PushOf { route: fan.route, flags: fan.flags, body }
    }
}

/// The pushes to one channel: the first and the last of a chain.
struct Group {
    first: u32,
    last: u32,
    len: u32,
}

/// Pushes by channel, in the order of the first of each.
#[derive(Default)]
pub(crate) struct Groups {
    all: Vec<Group>,
    /// The push behind each one in its chain.
    next: Vec<u32>,
    /// Tells this grouping from those before it.
    round: u64,
    members: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Groups {
    fn clear(&mut self) {
        self.round += 1;
        self.all.clear();
        self.next.clear();
    }

    /// Adds the next push to a group, at most one behind the last.
    fn add(&mut self, group: Option<u32>) {
        let at = self.next.len() as u32;
        self.next.push(NONE);
        let Some(group) = group else { return };
        match self.all.get_mut(group as usize) {
            Some(group) => {
                let last = std::mem::replace(&mut group.last, at);
                group.len += 1;
                if let Some(next) = self.next.get_mut(last as usize) {
                    *next = at;
                }
            }
            None => self.all.push(Group { first: at, last: at, len: 1 }),
        }
    }

    fn places(&self, group: &Group) -> impl Iterator<Item = usize> + Clone {
        let next = |at: &u32| self.next.get(*at as usize).copied().filter(|next| *next != NONE);
        std::iter::successors(Some(group.first), next).map(|at| at as usize)
    }
}

/// What the pushes of a group are on the wire, for each listener that has members; `None`: they cannot go together.
#[derive(Default)]
struct Wires(Vec<(u8, Option<Bytes>)>);

impl Wires {
    fn of<'a>(
        &mut self,
        number: u8,
        listener: &ListenerEnd,
        all: impl Iterator<Item = PushOf<'a>> + Clone,
    ) -> Option<&Bytes> {
        let known = self.0.iter().position(|(n, _)| *n == number);
        let at = known.unwrap_or_else(|| {
            self.0.push((number, encode(listener, all)));
            self.0.len() - 1
        });
        self.0.get(at).and_then(|(_, wire)| wire.as_ref())
    }
}

/// Writes to a client for which nothing waits, and says how much; the rest, and why there is one, is left for the end of the
/// turn.
fn write_now(client: &mut Client, wire: &Bytes, at_once: &mut AtOnce) -> Option<usize> {
    if client.dirty || !client.out.is_empty() {
        return None;
    }
    at_once.wrote();
    let out = &mut at_once.out;
    out.refer(wire);
    let _ = client.conn.poll_write(&mut Context::from_waker(&client.waker), out);
    let written = wire.len().saturating_sub(out.len());
    if !out.is_empty() {
        client.out = std::mem::take(out);
    }
    Some(written)
}

fn encode<'a>(listener: &ListenerEnd, all: impl Iterator<Item = PushOf<'a>> + Clone) -> Option<Bytes> {
    let size: usize = all.clone().map(|push| push.body.len() + HEAD).sum();
    if size > WIRE {
        return None;
    }
    let mut wire = Vec::with_capacity(size);
    for push in all {
        let numbers = Numbers { route: push.route, seq: 0 };
        listener.dialect.put_data(numbers, push.body, Framing::Stream, &mut wire).ok()?;
        if push.flags & FLAG_THEN_CLOSE != 0 {
            return None;
        }
    }
    Some(wire.into())
}

/// Counts that one list waits for.
type Together = (Arc<Counting>, Vec<(usize, Counts)>);

/// Adds up what the shards of a gate count; the last of them answers.
struct Tally {
    state: Mutex<(Vec<Counts>, usize, Vec<ReplyTo>)>,
    home: Arc<Inbox>,
}

impl Tally {
    fn done(&self, counts: &[Counts]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.iter_mut().zip(counts).for_each(|(sum, more)| sum.add(*more));
        state.1 -= 1;
        if state.1 == 0 {
            let (counts, replies) = (std::mem::take(&mut state.0), std::mem::take(&mut state.2));
            drop(state);
            self.home.run(move |shard| shard.answer_fans(replies.into_iter(), &counts));
        }
    }
}

impl Shard {
    /// Takes a push to a channel from a link; it is delivered with those that follow at once, see [`Shard::run_fans`].
    pub(crate) fn add_fan_of(&mut self, gate: u8, channel: &str, push: PushOf<'_>, reply: ReplyTo) {
        let bytes = &mut self.fans.bytes;
        let from = bytes.len();
        bytes.extend_from_slice(channel.as_bytes());
        let body = bytes.len();
        bytes.extend_from_slice(push.body);
        let end = bytes.len();
        self.add_fan(Fan { gate, flags: push.flags, route: push.route, from, body, end }, reply);
    }

    /// The same for a push whose bytes stand here already.
    pub(crate) fn add_fan(&mut self, fan: Fan, reply: ReplyTo) {
        if self.fans.list.first().is_some_and(|first| first.gate != fan.gate) {
            self.run_fans();
        }
        self.fans.add(fan, reply);
    }

    /// Delivers what was added: call it before anything else is done to clients.
    pub(crate) fn run_fans(&mut self) {
        let Some(gate) = self.fans.list.first().map(|fan| fan.gate) else { return };
        let mut fans = std::mem::take(&mut self.fans);
        let shards = self.gates.get(usize::from(gate)).and_then(|gate| gate.own.shards.get());
        match shards {
            Some(all) if !matches!(all.as_slice(), [(shard, _)] if *shard == self.number) => {
                let all = all.clone();
                self.spread(&all, &mut fans);
            }
            _ => {
                let counts = self.deliver(&fans);
                self.answer_fans(fans.replies.drain(..), &counts);
            }
        }
        fans.list.clear();
        // What is not delivered yet stands in the same bytes.
        if !self.obeying {
            fans.bytes.clear();
        }
        self.fans = fans;
    }

    /// Has each shard of the gate deliver to the members that it has.
    fn spread(&mut self, shards: &[(u16, Arc<Inbox>)], fans: &mut Fans) {
        let (list, replies) = (std::mem::take(&mut fans.list), std::mem::take(&mut fans.replies));
        let from = list.first().map_or(0, |fan| fan.from);
        let end = list.last().map_or(0, |fan| fan.end);
        let moved = |fan: &Fan| Fan { from: fan.from - from, body: fan.body - from, end: fan.end - from, ..*fan };
        let bytes = fans.bytes.get(from..end).unwrap_or_default().to_vec();
        let moved = Arc::new(Fans { list: list.iter().map(moved).collect(), replies: Vec::new(), bytes });
        let state = Mutex::new((vec![Counts::default(); list.len()], shards.len(), replies));
        let tally = Arc::new(Tally { state, home: self.inbox.clone() });
        for (number, inbox) in shards {
            let (fans, tally) = (moved.clone(), tally.clone());
            let work = move |shard: &mut Shard| tally.done(&shard.deliver(&fans));
            match *number == self.number {
                true => work(self),
                false => drop(inbox.run(work)),
            }
        }
    }

    /// Answers pushes in their order; those that wait together are told together.
    fn answer_fans(&mut self, replies: impl Iterator<Item = ReplyTo>, counts: &[Counts]) {
        let mut together: Option<Together> = None;
        for (reply, counts) in replies.zip(counts) {
            let ReplyTo::Counts(counting, at) = reply else {
                self.answer_counts(reply, *counts);
                continue;
            };
            match &mut together {
                Some((same, all)) if Arc::ptr_eq(same, &counting) => all.push((at, *counts)),
                _ => {
                    if let Some((counting, all)) = together.replace((counting, vec![(at, *counts)])) {
                        counting.counted(all.into_iter());
                    }
                }
            }
        }
        if let Some((counting, all)) = together {
            counting.counted(all.into_iter());
        }
    }

    /// Each member gets its pushes in the order they came. All are for one gate.
    fn deliver(&mut self, fans: &Fans) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); fans.list.len()];
        let mut groups = std::mem::take(&mut self.groups);
        let mut members = std::mem::take(&mut groups.members);
        self.group(fans, &mut groups);
        let first = self.at_once.begin();
        let mut later = false;
        for group in &groups.all {
            let Some(fan) = fans.list.get(group.first as usize) else { continue };
            let places = groups.places(group);
            let all = places.clone().filter_map(|at| fans.list.get(at)).map(|fan| fans.push(fan));
            let (mut wires, mut together) = (Wires::default(), 0);
            self.members_of(fan.gate, fans.channel(fan), &mut members);
            let at_once = first && AtOnce::is_worth(groups.all.len(), members.len());
            for (n, &slot) in members.iter().enumerate() {
                if at_once && n % TOGETHER == 0 {
                    self.warm(fan.gate, members.iter().skip(n).take(TOGETHER).copied());
                }
                if groups.all.len() > 1 && self.is_in_several(fan.gate, slot) {
                    later = true;
                } else if self.append_all((fan.gate, slot), (group.len, all.clone()), &mut wires, at_once) {
                    together += 1;
                } else {
                    places.clone().for_each(|at| self.deliver_one(slot, (fans, at), &mut counts));
                }
            }
            for at in places {
                if let Some(counts) = counts.get_mut(at) {
                    counts.queued += together;
                }
            }
        }
        if later {
            self.deliver_in_order(fans, &mut members, &mut counts);
        }
        groups.members = members;
        self.groups = groups;
        counts
    }

    /// Sorts pushes by channel; those to channels without members are in no group.
    fn group(&mut self, fans: &Fans, groups: &mut Groups) {
        groups.clear();
        let Some(gate) = fans.list.first().and_then(|fan| self.gates.get_mut(usize::from(fan.gate))) else { return };
        let mut before: Option<(&[u8], Option<u32>)> = None;
        for fan in &fans.list {
            let name = fans.name(fan);
            let group = match before {
                Some((same, group)) if same == name => group,
                _ => gate.channels.place_in(groups.round, fans.channel(fan), groups.all.len() as u32),
            };
            groups.add(group);
            before = Some((name, group));
        }
    }

    /// For members of several channels: what goes to one must not overtake what goes to another.
    fn deliver_in_order(&mut self, fans: &Fans, members: &mut Vec<u32>, counts: &mut [Counts]) {
        for (at, fan) in fans.list.iter().enumerate() {
            self.members_of(fan.gate, fans.channel(fan), members);
            for &slot in members.iter() {
                if self.is_in_several(fan.gate, slot) {
                    self.deliver_one(slot, (fans, at), counts);
                }
            }
        }
    }

    fn deliver_one(&mut self, slot: u32, of: (&Fans, usize), counts: &mut [Counts]) {
        let (fans, at) = of;
        let (Some(fan), Some(counts)) = (fans.list.get(at), counts.get_mut(at)) else { return };
        match self.push_to_slot(fan.gate, slot, fans.push(fan)) {
            // Left between the look and the push: nobody was addressed.
            Pushed::Gone => {}
            pushed => count(counts, pushed),
        }
    }

    /// Reads what a push to these clients touches. Of thousands each is out of the cache, in places that lead to each other:
    /// read for a few together, those of one are not waited for after those of another.
    fn warm(&self, g: u8, slots: impl Iterator<Item = u32> + Clone) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let clients = || slots.clone().filter_map(|slot| gate.clients.get(slot as usize));
        let own: usize = clients().map(Client::waiting).sum();
        let behind: u64 = clients().map(|client| client.conn.taken()).sum();
        std::hint::black_box((own, behind));
    }

    fn members_of(&self, g: u8, channel: &str, into: &mut Vec<u32>) {
        into.clear();
        if let Some(gate) = self.gates.get(usize::from(g)) {
            into.extend_from_slice(gate.channels.members(channel));
        }
    }

    fn is_in_several(&mut self, g: u8, slot: u32) -> bool {
        self.client(g, slot).is_some_and(|c| c.several)
    }

    /// Writes all pushes of a group to a member or appends them to its outbox, if it has room and is a stream; else nothing.
    fn append_all<'a>(
        &mut self,
        to: (u8, u32),
        pushes: (u32, impl Iterator<Item = PushOf<'a>> + Clone),
        wires: &mut Wires,
        at_once: bool,
    ) -> bool {
        let (g, slot) = to;
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return false };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return false };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return false };
        if !client.is_open() || client.framing != Framing::Stream {
            return false;
        }
        let (count, all) = pushes;
        let Some(wire) = wires.of(client.listener, listener, all) else { return false };
        if client.waiting() + wire.len() >= listener.settings.outbox {
            return false;
        }
        gate.counters.pushes += u64::from(count);
        let written = if at_once { write_now(client, wire, &mut self.at_once) } else { None };
        match written {
            Some(written) => gate.counters.bytes_out += written as u64,
            None if wire.len() < REFER_FROM => {
                client.out.prime(&mut self.pool);
                client.out.append(wire);
            }
            None => client.out.refer(wire),
        }
        if client.out.is_empty() {
            return true;
        }
        if !std::mem::replace(&mut client.dirty, true) {
            self.dirty.push((g, slot));
        }
        true
    }
}
