//! One client of a gate shard.

use std::{collections::VecDeque, task::Waker};

use due_core::{
    Epoch, SessionId, Uid,
    net::{Conn, Framing, Segments},
};
use due_protocol::due::{Assembler, Peer};

use super::way::{Seat, Settled};
use crate::shard::ready::Mark;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waiting for the request head (ws).
    Opening,
    /// Playing.
    Open,
    /// Writing what is left, then shutting down; nothing is read any more.
    Closing,
    /// All is written: waiting for the peer's end.
    Ending,
}

/// The flow between this session and one node process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// The node by its number in [`super::members::Members`].
    pub(crate) member: u16,
    /// The number of the node's name.
    pub(crate) name: u16,
    /// Does the session stay with this node for stateless messages?
    pub(crate) sticky: bool,
    /// Frames and bytes under way: sent, their credit not returned.
    pub(crate) frames: u32,
    pub(crate) bytes: u32,
    /// Those of them that nobody answers: what is lost if the node dies.
    pub(crate) notifies: u32,
    /// Requests of this lane that are not answered yet.
    pub(crate) unanswered: u32,
    /// The longest that one of them may take, and when the node must have answered the next of them, in milliseconds;
    /// each answer gives the next one its time.
    pub(crate) limit: u32,
    pub(crate) until: u32,
    /// Since when there is no credit, in milliseconds of the shard; 0: there is.
    pub(crate) dry_since: u32,
    /// Without credit for so long that it is not waited for: what comes is refused until there is some.
    pub(crate) starved: bool,
    /// The user has another node by now: the client is not read until this one has handled what it was sent.
    pub(crate) leaving: bool,
}

impl Lane {
    pub(crate) fn new(member: u16, name: u16, sticky: bool) -> Self {
        let (frames, bytes, notifies, unanswered) = (0, 0, 0, 0);
        let (limit, until, dry_since) = (0, 0, 0);
        let (starved, leaving) = (false, false);
        Self { member, name, sticky, frames, bytes, notifies, unanswered, limit, until, dry_since, starved, leaving }
    }
}

impl Lane {
    /// Must the client wait for it?
    pub(crate) fn holds(&self) -> bool {
        self.leaving || (self.dry_since != 0 && !self.starved)
    }

    /// A request is on its way; its answer takes at most `limit`.
    pub(crate) fn owe(&mut self, limit: u32, now: u32) {
        self.limit = if self.unanswered == 0 { limit } else { limit.max(self.limit) };
        if self.unanswered == 0 {
            self.until = now.wrapping_add(limit + LATE);
        }
        self.unanswered += 1;
    }

    /// One of them was answered.
    pub(crate) fn answered(&mut self, now: u32) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.until = now.wrapping_add(self.limit + LATE);
    }
}

/// How much later than its deadline the node's word on a request may come, in milliseconds.
pub(crate) const LATE: u32 = 5_000;

/// A request of a hello client that waits for its one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) route: i32,
    pub(crate) seq: i32,
    pub(crate) member: u16,
    /// When the gate stops waiting for the node's answer, in milliseconds of the shard.
    pub(crate) until: u32,
    /// Which frame of its link it was; 0 on the node's own shard.
    pub(crate) number: u64,
}

/// A binding of the session's user to a node of some name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) name: u16,
    /// What claims call it.
    pub(crate) mark: u32,
    pub(crate) member: u16,
    pub(crate) epoch: Epoch,
}

/// A message that waits until its link has room.
pub(crate) struct HeldMessage {
    pub(crate) link: u32,
    pub(crate) route: i32,
    pub(crate) seq: i32,
    pub(crate) body: Vec<u8>,
    /// The client stands on the list of those that wait for the link.
    pub(crate) listed: bool,
}

/// What only some sessions have.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) requests: VecDeque<Request>,
    slots: Vec<Slot>,
    pub(crate) channels: Vec<Box<str>>,
    pub(crate) labels: Vec<(String, String)>,
    /// A message that found its link full.
    pub(crate) held: Option<HeldMessage>,
    /// Newest pushes of `Latest` routes that wait for room.
    pub(crate) latest: Vec<(i32, Vec<u8>)>,
}

/// A connection, its session and its buffers; never leaves its shard.
///
/// In this order and on lines of its own: with thousands of connections each message finds its client out of the cache. What
/// every message and push touches stands in the first three lines.
#[repr(C, align(64))]
pub(crate) struct Client {
    pub(crate) conn: Box<dyn Conn>,
    pub(crate) waker: Waker,
    pub(crate) mark: Mark,
    pub(crate) extras: Option<Box<Extras>>,
    pub(crate) generation: u32,
    pub(crate) listener: u8,
    pub(crate) stage: Stage,
    /// Stands on the shard's list of connections to flush.
    pub(crate) dirty: bool,
    /// Is in more than one channel.
    pub(crate) several: bool,
    /// Said hello.
    pub(crate) hello: bool,
    /// Not read until its outbox, lane or link has room.
    pub(crate) paused: bool,
    /// The peer sends no more; the connection lasts until its answers are out.
    pub(crate) ended: bool,
    /// What [`Conn::framing`] and [`Conn::rests`] say.
    pub(super) framing: Framing,
    pub(super) rests: bool,
    pub(crate) out: Segments,
    /// The way of its last message, until something changes by which it was chosen.
    settled: Option<Settled>,
    /// Cuts frames out of what is read; out while it does.
    pub(crate) frames: Option<Assembler>,
    pub(crate) user: Option<Box<(Uid, Epoch)>>,
    lanes: Vec<Lane>,
    pub(crate) id: SessionId,
    pub(crate) cid: u64,
    /// Was told that the gate goes away, as far as it can be told.
    pub(crate) leaving: bool,
    /// A bind is under way: frames read before its end carry no uid.
    pub(crate) binding: bool,
    /// Was told to shut down by the network's goodbye.
    pub(crate) finished: bool,
    /// Milliseconds of the shard when it came, and when it was bound or unbound last.
    pub(crate) since: u32,
    /// Since when a frame stands half in the tail; 0: none does.
    pub(crate) half_since: u32,
    /// What the slow-client clock saw last: bytes taken, and when that changed.
    pub(crate) taken: u64,
    pub(crate) taken_at: u32,
}

impl Client {
    /// A client that has just come; `numbers` are its connection number and the generation of its slot.
    pub(crate) fn new(conn: Box<dyn Conn>, listener: u8, wake: (Waker, Mark), numbers: (u64, u32), now: u32) -> Self {
        let (framing, rests) = (conn.framing(), conn.rests());
        let frames = Some(Assembler::new(Peer::New, framing));
        let stage = if conn.opening() { Stage::Opening } else { Stage::Open };
        Self {
            conn,
            framing,
            rests,
            waker: wake.0,
            mark: wake.1,
            out: Segments::default(),
            frames,
            id: SessionId::random(),
            cid: numbers.0,
            user: None,
            lanes: Vec::new(),
            settled: None,
            extras: None,
            generation: numbers.1,
            listener,
            stage,
            dirty: false,
            several: false,
            hello: false,
            paused: false,
            ended: false,
            leaving: false,
            binding: false,
            finished: false,
            since: now,
            half_since: 0,
            taken: 0,
            taken_at: now,
        }
    }

    pub(crate) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_with(Box::default)
    }

    /// Bytes in the outbox.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Does it go on with something when its outbox has become empty?
    pub(crate) fn waits_for_room(&self) -> bool {
        self.paused || self.stage == Stage::Closing || self.extras.as_ref().is_some_and(|e| !e.latest.is_empty())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    pub(crate) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// To open and close lanes, or to say which of them messages may take.
    pub(crate) fn lanes_mut(&mut self) -> &mut Vec<Lane> {
        self.settled = None;
        &mut self.lanes
    }

    /// Most clients talk to one node for all their life: the first lane gets no room beside it.
    pub(crate) fn add_lane(&mut self, lane: Lane) {
        let lanes = self.lanes_mut();
        if lanes.is_empty() {
            lanes.reserve_exact(1);
        }
        lanes.push(lane);
    }

    /// The lane's account: what is under way and owed.
    pub(crate) fn lane_to(&mut self, member: u16) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|l| l.member == member)
    }

    /// The bindings of the session's user to nodes.
    pub(crate) fn slots(&self) -> &[Slot] {
        self.extras.as_ref().map_or(&[], |e| &e.slots)
    }

    pub(crate) fn slots_mut(&mut self) -> &mut Vec<Slot> {
        self.settled = None;
        &mut self.extras().slots
    }

    #[inline]
    pub(super) fn settled(&self) -> Option<&Settled> {
        self.settled.as_ref()
    }

    pub(super) fn settle(&mut self, settled: Settled) {
        self.settled = Some(settled);
    }

    /// Notes where the way of the last message ends on this shard.
    pub(super) fn seat(&mut self, seat: Seat) {
        if let Some(settled) = &mut self.settled {
            settled.seat = Some(seat);
        }
    }

    /// The next message has to find its way anew.
    pub(super) fn forget_way(&mut self) {
        self.settled = None;
    }

    /// The lane there has no credit left, since `now`.
    pub(super) fn dry(&mut self, member: u16, now: u32) {
        self.settled = None;
        if let Some(lane) = self.lane_to(member) {
            lane.dry_since = now;
        }
    }
}
