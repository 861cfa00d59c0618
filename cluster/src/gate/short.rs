//! The short way of messages: from what was read of a client through a handler that answers at once into the client's
//! outbox, nothing looked up twice for messages of one route that stand side by side.
//!
//! Everything else goes the long way of `inbound`, which chooses, refuses, queues, charges and waits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use due_core::{
    net::{Framing, Pool, Segments},
    transport::{FrameKind, Head},
};
use due_protocol::due::{Dialect, Frame, Peer as Kind, Step};

use super::{
    client::{Client, LATE, Request},
    inbound::{Way, note_request, settled_way},
    members::Up,
    outbound::put_head_at,
    shard::GateShard,
};
use crate::{
    handler::{Answer, Start},
    link::{FLAG_HELLO, FLAG_NOTIFY, lane_of},
    node::{
        caller::{Caller, Started},
        shard::{Handled, NodeShard, Peer, Work},
    },
    shard::{driver::Shard, inbox::Inbox, ready::Ready, watchdog::Pulse},
};

/// Why a run of messages is over.
enum End {
    /// What comes next is another route, is no message, or is not whole.
    Other,
    /// The outbox is full.
    Full,
    /// The last answer does not fit the listener.
    Unfit,
    /// The last handler did not simply answer.
    Began(Started),
}

/// A frame of a run: its seq, its body and its length.
type First<'a> = (i32, &'a [u8], usize);

/// A run of messages of one route, from one client to one session's handler.
struct Run<'a> {
    dialect: &'a Dialect,
    peer: Kind,
    /// Requests that wait already: their numbers are not given away twice.
    requests: &'a [Request],
    /// The work all have in common; `id` and `seq` are those of the last one.
    work: Work,
    /// Bytes the outbox still takes.
    room: usize,
    pulse: &'a Pulse,
    inbox: &'a Inbox,
    /// Bytes of the chunk that are done.
    used: usize,
    answered: u64,
    /// Where the frame of the last answer begins in the outbox.
    start: usize,
}

impl Run<'_> {
    /// Answers messages from the front of `bytes` into the outbox. What a handler wrote that did not simply answer is
    /// left in the node's buffer.
    fn through(
        &mut self,
        node: &mut NodeShard,
        ready: &Arc<Ready>,
        read: (First<'_>, &[u8]),
        to: (&mut Segments, &mut Pool),
    ) -> End {
        let task = node.next_task(ready);
        let (out, pool) = to;
        out.prime(pool);
        out.append_with(|out| {
            self.start = out.len();
            let Some(mut caller) = node.caller(task, &self.work) else { return End::Other };
            let end = catch_unwind(AssertUnwindSafe(|| self.answer(&mut caller, read, out)));
            let end = end.unwrap_or_else(|panic| End::Began(Err(panic)));
            if matches!(end, End::Began(_)) {
                let from = self.start + self.head_len();
                node.out.clear();
                node.out.extend_from_slice(out.get(from..).unwrap_or_default());
                out.truncate(self.start);
            }
            end
        })
    }

    fn head_len(&self) -> usize {
        self.dialect.data_len(0, Framing::Stream)
    }

    /// Answers messages from the front of what was read until something else is needed.
    fn answer<'b>(&mut self, caller: &mut Caller<'b>, read: (First<'b>, &'b [u8]), out: &mut Vec<u8>) -> End {
        let head_len = self.head_len();
        let full = out.len() + self.room;
        let (first, bytes) = read;
        let (mut first, route) = (Some(first), self.work.head.route);
        while let Some((seq, body, len)) = first.take().or_else(|| self.next(bytes))
            && self.is_new(seq)
        {
            self.start = out.len();
            out.resize(self.start + head_len, 0);
            self.used += len;
            (self.work.head.seq, self.work.len) = (seq, body.len() as u32);
            self.work.id += 1;
            let running = self.pulse.enter(route);
            let began = caller.call(self.work.id, seq, body, out);
            drop(running);
            match began {
                // A reply has nothing to drop, and to look whether it has costs.
                Start::Done(Answer::Reply) if !self.inbox.is_filled() => std::mem::forget(began),
                began => return End::Began(Ok(began)),
            }
            if !put_head_at(self.dialect, &self.work.head, (self.start, self.start + head_len), out) {
                out.truncate(self.start);
                return End::Unfit;
            }
            self.answered += 1;
            if out.len() >= full {
                return End::Full;
            }
        }
        End::Other
    }

    /// The next frame, if it is one of the run.
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<First<'b>> {
        match self.dialect.next(&mut self.peer, bytes.get(self.used..)?) {
            Ok(Step::Frame(Frame::Data { route, seq, body }, len)) if route == self.work.head.route => {
                Some((seq, body, len))
            }
            _ => None,
        }
    }

    /// May a request have this number? A hello client's notifies, and a number that waits, go the long way.
    fn is_new(&self, seq: i32) -> bool {
        let hello = self.work.head.flags & FLAG_HELLO != 0;
        !hello || (seq != 0 && self.requests.iter().all(|r| r.seq != seq))
    }
}

/// What a run leaves to be settled.
struct Left {
    node: u8,
    way: Way,
    work: Work,
    used: usize,
    end: End,
}

/// Why the short way does nothing for the front of a chunk.
enum Closed {
    /// The next frame cannot go it.
    NotThis,
    /// Nothing of this client can, as things are.
    Never,
}

impl Shard {
    /// Takes messages from the front of what was read of a client, and says how many bytes of it are done; `false`: what
    /// follows need not try again.
    pub(super) fn short_way(&mut self, at: (u8, u32, u32), peer: Kind, bytes: &[u8]) -> (usize, bool) {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match self.run_short(at, peer, rest) {
                Ok(left) => {
                    used += left.used;
                    self.settle_short((at.0, at.1), left);
                }
                Err(Closed::NotThis) => return (used, true),
                Err(Closed::Never) => return (used, false),
            }
        }
        (used, true)
    }

    fn run_short(&mut self, at: (u8, u32, u32), kind: Kind, bytes: &[u8]) -> Result<Left, Closed> {
        let ((g, slot, generation), begun) = (at, self.now());
        let Shard { gates, nodes, pool, pulse, inbox, ready, dirty, .. } = self;
        let Some(GateShard { own, clients, listeners, members, counters, .. }) = gates.get_mut(usize::from(g)) else {
            return Err(Closed::Never);
        };
        let Some(client) = clients.get_mut(slot as usize).filter(|c| c.generation == generation) else {
            return Err(Closed::Never);
        };
        let Some(listener) = listeners.get(usize::from(client.listener)) else { return Err(Closed::Never) };
        if !client.is_open() || client.paused || client.ended {
            return Err(Closed::Never);
        }
        let (dialect, mut peer) = (&listener.dialect, kind);
        let Ok(Step::Frame(Frame::Data { route, seq, body }, len)) = dialect.next(&mut peer, bytes) else {
            return Err(Closed::NotThis);
        };
        let Ok(Some(way)) = settled_way(members, own.part.dispatch, client, route) else { return Err(Closed::NotThis) };
        let (Up::Here(n), true) = (way.up, way.open) else { return Err(Closed::Never) };
        let Some(node) = nodes.get_mut(usize::from(n)) else { return Err(Closed::Never) };
        let flags = if client.hello { FLAG_HELLO } else { 0 };
        let lane = lane_of(slot, generation);
        let free = |slot: &u32| node.is_free(*slot);
        let Some(session) = node.find(Peer::Here(g), lane).filter(free) else { return Err(Closed::NotThis) };
        let Some(place) = node.place_of(route) else { return Err(Closed::NotThis) };
        if client.lane_to(way.member).is_none_or(|lane| lane.starved || lane.dry_since != 0) {
            return Err(Closed::NotThis);
        }
        let head = Head { kind: FrameKind::Message, flags, route, lane, corr: way.epoch, ..Head::default() };
        if node.refusal(session, &head).is_some() {
            return Err(Closed::NotThis);
        }
        let event = Work::event(place, begun);
        let Client { out, extras, .. } = client;
        let mut run = Run {
            dialect,
            peer,
            requests: extras.as_mut().map_or(&[][..], |e| e.requests.make_contiguous()),
            work: Work { event: false, id: node.last_id, session: Some(session), head, ..event },
            room: listener.settings.outbox.saturating_sub(out.len()),
            pulse,
            inbox,
            used: 0,
            answered: 0,
            start: 0,
        };
        let end = run.through(node, ready, ((seq, body, len), bytes), (out, pool));
        let (answered, began) = (run.answered, !matches!(end, End::Other | End::Full));
        counters.messages += answered + u64::from(began);
        counters.replies += answered;
        node.answered(place, answered, run.work.id);
        let left = Left { node: n, way, work: run.work, used: run.used, end };
        if answered > 0 && !std::mem::replace(&mut client.dirty, true) {
            dirty.push((g, slot));
        }
        if left.used == 0 { Err(Closed::NotThis) } else { Ok(left) }
    }

    fn settle_short(&mut self, at: (u8, u32), left: Left) {
        let (g, slot) = at;
        match left.end {
            End::Other => {}
            End::Full => self.pause(g, slot),
            End::Unfit => self.unfit_answer(g, slot, &left.work.head),
            End::Began(began) => self.begun_short((g, slot), (left.node, &left.way), left.work, began),
        }
    }

    /// Catches up on what the long way does before a handler starts, and goes on with it there.
    fn begun_short(&mut self, at: (u8, u32), to: (u8, &Way), mut work: Work, began: Started) {
        let ((g, slot), (n, way), now) = (at, to, self.millis());
        let Some(client) = self.client(g, slot) else { return };
        let Head { route, seq, .. } = work.head;
        let owed = if client.hello { seq != 0 } else { way.answers };
        if client.hello && owed {
            let until = now.wrapping_add(way.limit + LATE);
            note_request(client, Request { route, seq, member: way.member, until, number: 0 });
        }
        match client.lane_to(way.member) {
            Some(lane) if owed => lane.owe(way.limit, now),
            _ => work.head.flags |= FLAG_NOTIFY,
        }
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let out = std::mem::take(&mut node.out);
        if self.started(n, &work, began, (out, None)) == Handled::Queued {
            self.charge(g, slot, way.member, work.len as usize);
        }
        if let Some(session) = work.session {
            // What its handler asked for may have come back to its own mailbox, such as the end of the session.
            self.list(n, session);
        }
    }
}
