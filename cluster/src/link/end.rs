//! One end of a link on a shard.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use due_core::{
    Error, Kind, Result, Retry,
    id::Owner,
    transport::{Batch, FrameKind, Head, Link, LinkState, Part, Refused},
};
use slab::Slab;
use tokio::{sync::oneshot, task::AbortHandle};

use super::{GateOrder, decode_fault, encode_fault};
use crate::{
    admin::ADMIN_ORDER,
    gate::members::Up,
    node::shard::Peer,
    shard::{
        driver::{Shard, free_of_budget},
        ready::{Mark, Token},
    },
};

/// Which part of this shard the link belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    /// A gate's link to a node: the gate, and the node's number once its table is here.
    Gate { gate: u8, node: Owner, member: Option<u16> },
    /// A node's link to a gate shard.
    Node { node: u8, gate: Owner, gate_shard: u16 },
    /// Another process asks a part of this one.
    Asker { part: Asked, from: Owner },
}

/// Which part of a shard another process asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Gate(u8),
    Node(u8),
}

/// Waits for the answer to an order.
pub(crate) type Waiting = oneshot::Sender<Result<Vec<u8>>>;

/// A link, its wakers, and what waits for answers over it.
pub(crate) struct LinkEnd {
    link: Box<dyn Link>,
    pub(crate) side: Side,
    mark: Mark,
    waker: Waker,
    dirty: bool,
    /// Was found full: clients wait for room.
    full: bool,
    /// The same for handles of sessions: they refuse pushes at once.
    pub(crate) crowded: Arc<AtomicBool>,
    /// It was said already that pushes find no room.
    pub(crate) told: bool,
    /// The newest pushes of `Latest` routes that found no room, by lane and route.
    latest: BTreeMap<(u64, i32), (Head, Vec<u8>)>,
    latest_bytes: usize,
    orders: Slab<(u32, Waiting)>,
    /// Answers that found no room; bounded by the credit that their requests hold.
    owed: VecDeque<(Head, Vec<u8>)>,
    /// Dropped with the link, so that whoever keeps it up learns of its end.
    alive: Option<oneshot::Sender<()>>,
    /// Tells an answer to an earlier order in the same slot.
    generation: u32,
    /// Tells this link from others of the shard.
    pub(crate) serial: u64,
    /// Calls of the other side that run here, and how to end those that may be ended.
    pub(crate) calls: HashMap<u64, Option<AbortHandle>>,
    /// Frames and orders that were refused or lost.
    pub(crate) failed: u64,
}

/// Flag of an answer that is an error.
pub(crate) const FLAG_FAULT: u8 = 1;
/// Orders that may wait for their answer on one link.
const MAX_ORDERS: usize = 16 * 1024;
/// Bytes of newest pushes that wait for room on one link, each with 64 more for its head.
const MAX_LATEST: usize = 4 * 1024 * 1024;
/// How long a lost connection may take to come back when the registry does not list the node.
const UNLISTED: Duration = Duration::from_secs(1);
/// Frames taken from a link in one turn.
const FRAMES_A_TURN: usize = 4096;

/// A link at a glance.
pub(crate) struct Look {
    pub(crate) state: LinkState,
    pub(crate) full: bool,
    pub(crate) orders: usize,
    pub(crate) sent: u64,
    pub(crate) round_trip: Option<Duration>,
    /// What went wrong: connections that were lost, frames and orders that were refused or lost. A full link is no error,
    /// but an order that found it full is.
    pub(crate) errors: u64,
}

/// Does somebody wait for room on a link? On one that is over nobody does.
pub(crate) fn is_full(links: &Slab<LinkEnd>, link: u32) -> bool {
    links.get(link as usize).is_some_and(|end| end.full)
}

impl LinkEnd {
    pub(crate) fn look(&self) -> Look {
        Look {
            state: self.link.state(),
            full: self.full,
            orders: self.orders.len(),
            sent: self.link.taken(),
            round_trip: self.link.round_trip(),
            errors: self.failed + self.link.losses(),
        }
    }

    /// This process was stopped: what the link has read is old until the other side answers.
    pub(crate) fn suspect(&mut self) {
        self.link.suspect();
        self.mark.wake();
    }

    /// Has the other side answered since, or is the link over?
    pub(crate) fn is_confirmed(&self) -> bool {
        match self.link.state() {
            LinkState::Up => !self.link.is_suspect(),
            LinkState::Down(_) => false,
            LinkState::Over => true,
        }
    }

    /// Sends what waits for room, answers first; `false`: there was not enough for all.
    fn send_owed(&mut self) -> bool {
        while let Some((head, body)) = self.owed.pop_front() {
            if self.link.send(head, Part::Copy(&body)) == Err(Refused::Full) {
                self.owed.push_front((head, body));
                return false;
            }
        }
        while let Some((key, (head, body))) = self.latest.pop_first() {
            if self.link.send(head, Part::Copy(&body)) == Err(Refused::Full) {
                self.latest.insert(key, (head, body));
                return false;
            }
            self.latest_bytes -= body.len() + 64;
        }
        true
    }
}

impl Shard {
    /// Takes a new link in.
    pub(crate) fn add_link(&mut self, link: Box<dyn Link>, side: Side) -> u32 {
        self.counters.links += 1;
        let entry = self.links.vacant_entry();
        let number = entry.key() as u32;
        let (waker, mark) = self.ready.waker(Token::Link(number));
        mark.wake();
        entry.insert(LinkEnd {
            link,
            side,
            mark,
            waker,
            dirty: false,
            full: false,
            crowded: Arc::default(),
            told: false,
            latest: BTreeMap::new(),
            latest_bytes: 0,
            orders: Slab::new(),
            owed: VecDeque::new(),
            alive: None,
            generation: 1,
            serial: self.counters.links,
            calls: HashMap::new(),
            failed: 0,
        });
        number
    }

    /// Appends a frame; it leaves at the end of the turn.
    pub(crate) fn link_send(&mut self, link: u32, head: Head, body: Part<'_>) -> Result<(), Refused> {
        let Some(end) = self.links.get_mut(link as usize) else { return Err(Refused::Gone) };
        // What waits for room is not overtaken.
        let free = end.owed.is_empty() && end.latest.is_empty();
        let sent = if free { end.link.send(head, body) } else { Err(Refused::Full) };
        self.counters.link_out += u64::from(sent.is_ok());
        end.failed += u64::from(matches!(sent, Err(Refused::Gone | Refused::TooLarge)));
        if !end.dirty {
            end.dirty = true;
            self.dirty_links.push(link);
        }
        sent
    }

    /// How many frames the link has taken: the number of the last one.
    pub(crate) fn link_taken(&self, link: u32) -> u64 {
        self.links.get(link as usize).map_or(0, |end| end.link.taken())
    }

    /// Asks the other side; `waiting` gets the answer, or learns that the link is over.
    pub(crate) fn link_order(&mut self, link: u32, lane: u64, order: &GateOrder, waiting: Option<Waiting>) {
        self.link_ask(link, lane, order.number(), &order.encode(), waiting);
    }

    pub(crate) fn link_ask(&mut self, link: u32, lane: u64, number: i32, body: &[u8], waiting: Option<Waiting>) {
        let Some(end) = self.links.get_mut(link as usize) else {
            return fail(waiting, Kind::Unavailable.into());
        };
        let mut corr = 0;
        if let Some(waiting) = waiting {
            if end.orders.len() >= MAX_ORDERS {
                end.failed += 1;
                return fail(Some(waiting), Error::new(Kind::Full, "too many orders wait on this link"));
            }
            end.generation = end.generation.wrapping_add(1).max(1);
            let slot = end.orders.insert((end.generation, waiting));
            corr = u64::from(end.generation) << 32 | slot as u64;
        }
        let head = Head { kind: FrameKind::Order, route: number, lane, corr, ..Head::default() };
        if let Err(refused) = self.link_send(link, head, Part::Copy(body))
            && let Some(end) = self.links.get_mut(link as usize)
            && let Some((_, waiting)) = end.orders.try_remove(corr as u32 as usize)
        {
            end.failed += u64::from(refused == Refused::Full);
            let error = match refused {
                Refused::TooLarge => Error::new(Kind::TooLarge, "larger than the link carries"),
                Refused::Full | Refused::Gone => Error::new(Kind::Full, "the link is full"),
            };
            fail(Some(waiting), error);
        }
    }

    /// Answers an order of the other side.
    pub(crate) fn link_answer(&mut self, link: u32, corr: u64, result: Result<Vec<u8>>) {
        if corr == 0 {
            return;
        }
        let (flags, body) = match result {
            Ok(body) => (0, body),
            Err(e) => (FLAG_FAULT, encode_fault(e.kind().code(), e.text())),
        };
        let head = Head { kind: FrameKind::Answer, flags, corr, ..Head::default() };
        if self.link_send(link, head, Part::Copy(&body)) == Err(Refused::Full) {
            self.link_owe(link, head, &body);
        }
    }

    fn link_answered(&mut self, link: u32, head: Head, body: &[u8]) {
        let Some(end) = self.links.get_mut(link as usize) else { return };
        let (slot, generation) = (head.corr as u32 as usize, (head.corr >> 32) as u32);
        if end.orders.get(slot).is_none_or(|(g, _)| *g != generation) {
            return;
        }
        let (_, waiting) = end.orders.remove(slot);
        let result = match head.flags & FLAG_FAULT {
            0 => Ok(body.to_vec()),
            _ => {
                let (code, text) = decode_fault(body);
                Err(Error::new(Kind::from_code(code).unwrap_or(Kind::Internal), text)
                    .from_origin(due_core::Origin::Remote))
            }
        };
        let _ = waiting.send(result);
    }

    /// Reads one batch of a link; the rest comes in the next turn, after others had theirs.
    pub(crate) fn link_ready(&mut self, link: u32) {
        let Some(end) = self.links.get_mut(link as usize) else { return };
        end.mark.clear();
        let mut batch = std::mem::take(&mut self.batch);
        let (waker, side) = (end.waker.clone(), end.side.clone());
        match free_of_budget(&waker, |cx| end.link.poll_recv(cx, &mut batch, FRAMES_A_TURN)) {
            Poll::Pending => {
                self.note_connection(link);
                self.link_room(link);
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                end.mark.wake();
                self.link_frames(link, &side, &batch);
                self.link_room(link);
            }
            Poll::Ready(_) => self.link_over(link),
        }
        batch.clear();
        self.batch = batch;
    }

    fn link_frames(&mut self, link: u32, side: &Side, batch: &Batch) {
        self.counters.link_in += batch.len() as u64;
        for i in 0..batch.len() {
            let Some((head, body)) = batch.get(i) else { continue };
            if head.kind != FrameKind::Order {
                self.run_fans();
            }
            if head.kind == FrameKind::Answer {
                self.link_answered(link, head, body);
                continue;
            }
            let life = matches!(
                head.kind,
                FrameKind::Open | FrameKind::Bound | FrameKind::Unbound | FrameKind::Barrier | FrameKind::Close
            );
            match side {
                Side::Asker { part, .. } if (head.kind, head.route) == (FrameKind::Order, ADMIN_ORDER) => {
                    if let Err(e) = self.asked(*part, (link, head.corr), head.ttl_ms, body) {
                        self.link_answer(link, head.corr, Err(e));
                    }
                }
                Side::Asker { .. } if head.kind == FrameKind::Cancel => self.link_cancel(link, head.corr),
                Side::Gate { gate, member, .. } => self.frame_to_gate(*gate, *member, Some(link), head, body),
                Side::Node { node, .. } if life => {
                    self.frame_to_node(*node, Peer::Link(link), Head { lane: head.corr, ..head }, body);
                }
                Side::Node { node, .. } => self.frame_to_node(*node, Peer::Link(link), head, body),
                Side::Asker { part: Asked::Node(n), from } => self.frame_from_afar(*n, (link, from), head, body),
                Side::Asker { part: Asked::Gate(g), .. } => self.frame_to_gate(*g, None, Some(link), head, body),
            }
        }
        self.run_fans();
    }

    /// A gate's node whose link lost its connection, or has it again.
    fn note_connection(&mut self, link: u32) {
        let Some(end) = self.links.get(link as usize) else { return };
        let (down, side) = (matches!(end.link.state(), LinkState::Down(_)), &end.side);
        if let Side::Gate { gate, member: Some(member), .. } = side
            && let Some(gate) = self.gates.get_mut(usize::from(*gate))
            && let Some(member) = gate.members.get_mut(*member).filter(|m| m.up == Up::Link(link))
        {
            member.down = down;
        }
    }

    /// Ends links that have been without a connection for a while to nodes that the registry does not list any more:
    /// those nodes are gone, and who waits for them is told.
    pub(crate) fn sweep_links(&mut self) {
        let gone = |end: &LinkEnd| {
            let LinkState::Down(since) = end.link.state() else { return false };
            let Side::Gate { gate, member: Some(member), .. } = end.side else { return false };
            let gate = self.gates.get(usize::from(gate));
            let listed = gate.and_then(|gate| gate.members.get(member)).is_none_or(|m| m.listed);
            !listed && since.elapsed() >= UNLISTED
        };
        let all: Vec<u32> = self.links.iter().filter(|(_, end)| gone(end)).map(|(link, _)| link as u32).collect();
        all.into_iter().for_each(|link| self.link_over(link));
    }

    /// Wakes the clients that waited for room on the link.
    fn link_room(&mut self, link: u32) {
        let Some(end) = self.links.get_mut(link as usize) else { return };
        if !end.full {
            return;
        }
        let waker = end.waker.clone();
        if free_of_budget(&waker, |cx| end.link.poll_ready(cx)).is_pending() {
            return;
        }
        let room = end.send_owed();
        if !end.dirty {
            end.dirty = true;
            self.dirty_links.push(link);
        }
        if !room {
            return end.mark.wake();
        }
        end.full = false;
        end.crowded.store(false, Ordering::Relaxed);
        if let Side::Gate { gate, .. } = end.side {
            self.resume_link_waiters(gate, link);
        }
    }

    /// A frame found the link full: its sender is told when there is room again.
    pub(crate) fn link_wait(&mut self, link: u32) {
        let Some(end) = self.links.get_mut(link as usize) else { return };
        end.full = true;
        end.crowded.store(true, Ordering::Relaxed);
        end.mark.wake();
    }

    /// A push of a `Latest` route found the link full: it waits in place of the one before it. `false`: too much waits.
    pub(crate) fn link_keep(&mut self, link: u32, head: Head, body: &[u8]) -> bool {
        let Some(end) = self.links.get_mut(link as usize) else { return false };
        let key = (head.lane, head.route);
        let before = end.latest.get(&key).map_or(0, |(_, old)| old.len() + 64);
        let bytes = end.latest_bytes - before + body.len() + 64;
        if bytes > MAX_LATEST {
            return false;
        }
        end.latest_bytes = bytes;
        end.latest.insert(key, (head, body.to_vec()));
        true
    }

    /// An answer found the link full: it goes out when there is room.
    pub(crate) fn link_owe(&mut self, link: u32, head: Head, body: &[u8]) {
        if let Some(end) = self.links.get_mut(link as usize) {
            end.owed.push_back((head, body.to_vec()));
        }
        self.link_wait(link);
    }

    /// Ends the links of one shard of a gate to a node of this shard.
    pub(crate) fn end_links_of(&mut self, node: u8, gate: &Owner, gate_shard: u16) {
        let same = |side: &Side| match side {
            Side::Node { node: n, gate: g, gate_shard: s, .. } => (*n, g, *s) == (node, gate, gate_shard),
            _ => false,
        };
        let before: Vec<u32> =
            self.links.iter().filter(|(_, end)| same(&end.side)).map(|(link, _)| link as u32).collect();
        before.into_iter().for_each(|link| self.link_over(link));
    }

    /// The other side is gone.
    pub(crate) fn link_over(&mut self, link: u32) {
        let Some(mut end) = self.links.try_remove(link as usize) else { return };
        end.failed += end.orders.len() as u64;
        self.past.note(&end);
        for (_, (_, waiting)) in end.orders {
            let lost = Error::new(Kind::Unavailable, "the link ended before the answer");
            fail(Some(waiting), lost.retry_as(Retry::Unknown));
        }
        let written = |number| end.link.is_written(number);
        match end.side {
            Side::Gate { gate, node, member, .. } => {
                self.node_lost(gate, (&node, member), link, &written);
                self.resume_link_waiters(gate, link);
            }
            Side::Node { node, .. } => self.gate_lost(node, link),
            Side::Asker { .. } => {}
        }
    }

    /// Hands what the turn appended to the other sides.
    pub(crate) fn flush_links(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty_links);
        for link in dirty.drain(..) {
            let Some(end) = self.links.get_mut(link as usize) else { continue };
            end.dirty = false;
            let waker = end.waker.clone();
            if let Poll::Ready(Err(e)) = free_of_budget(&waker, |cx| end.link.poll_flush(cx)) {
                tracing::debug!(error = %e, "a link ended while it was written");
                self.link_over(link);
            }
        }
        dirty.append(&mut self.dirty_links);
        self.dirty_links = dirty;
    }

    /// Tells `alive` of the link's end by dropping it.
    pub(crate) fn link_alive(&mut self, link: u32, alive: oneshot::Sender<()>) {
        if let Some(end) = self.links.get_mut(link as usize) {
            end.alive = Some(alive);
        }
    }

    /// The gates' link that this shard's clients reach a node by.
    pub(crate) fn link_member(&mut self, link: u32, member: u16) {
        if let Some(end) = self.links.get_mut(link as usize)
            && let Side::Gate { member: slot, .. } = &mut end.side
        {
            *slot = Some(member);
        }
    }
}

fn fail(waiting: Option<Waiting>, error: Error) {
    if let Some(waiting) = waiting {
        let _ = waiting.send(Err(error));
    }
}
