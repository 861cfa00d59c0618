//! The short way of messages: from what was read of a client through a handler that answers at once into the client's
//! outbox, nothing looked up twice for messages of one route that stand side by side.
//!
//! Everything else goes the long way of `inbound`, which chooses, refuses, queues, charges and waits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use due_core::{
    net::{Conn, Framing, Segments},
    transport::{FrameKind, Head},
};
use due_protocol::due::{Assembler, Dialect, Frame, Peer as Kind};

use super::{
    client::{Client, LATE, Request},
    inbound::note_request,
    input::{Front, Input},
    members::Up,
    shard::GateShard,
    way::{Seat, Way, settled_way},
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

/// A message of a run.
struct Message<'a> {
    seq: i32,
    body: &'a [u8],
    /// The frame it came in, and what that takes up of the input.
    frame: &'a [u8],
    len: usize,
}

impl<'a> Message<'a> {
    #[inline]
    fn of(front: Front<'a>) -> Option<(i32, Self)> {
        match front {
            Front { frame: Frame::Data { route, seq, body }, bytes, len } => {
                Some((route, Self { seq, body, frame: bytes, len }))
            }
            _ => None,
        }
    }
}

/// A run of messages of one route, from one client to one session's handler.
struct Run<'a> {
    dialect: &'a Dialect,
    conn: &'a mut dyn Conn,
    peer: Kind,
    /// Requests that wait already: their numbers are not given away twice.
    requests: &'a [Request],
    /// The work all have in common; `id`, `seq` and `len` are those of the last one.
    work: Work,
    /// Bytes the outbox still takes.
    room: usize,
    pulse: &'a Pulse,
    inbox: &'a Inbox,
    /// How much of the input is done.
    used: usize,
    answered: u64,
    /// Where the last answer begins in the outbox.
    start: usize,
    /// Bytes of what the network puts before a message, as it was the last time.
    net: usize,
    /// Bytes of a frame before its body.
    head: usize,
}

impl Run<'_> {
    /// Answers messages from the front of the input into the outbox. What a handler wrote that did not simply answer is
    /// left in the node's buffer.
    #[inline]
    fn through<'i, I: Input<'i>>(
        &mut self,
        node: &mut NodeShard,
        ready: &Arc<Ready>,
        read: (Message<'i>, I),
        out: &mut Segments,
    ) -> End {
        let task = node.next_task(ready);
        out.append_with(|out| {
            self.start = out.len();
            let mut caller = node.caller(task, &self.work);
            let Some(caller) = &mut caller else { return End::Other };
            let end = catch_unwind(AssertUnwindSafe(|| self.answer(caller, read, out)));
            let end = end.unwrap_or_else(|panic| End::Began(Err(panic)));
            if matches!(end, End::Began(_)) {
                node.out.clear();
                node.out.extend_from_slice(out.get(self.body_at()..).unwrap_or_default());
                out.truncate(self.start);
            }
            end
        })
    }

    /// Answers messages from the front of what was read until something else is needed.
    #[inline]
    fn answer<'b, 'i: 'b, I: Input<'i>>(
        &mut self,
        caller: &mut Caller<'b>,
        read: (Message<'i>, I),
        out: &mut Vec<u8>,
    ) -> End {
        let full = out.len() + self.room;
        let (mut message, mut input) = read;
        while self.is_new(message.seq) {
            self.start = out.len();
            // An answer has the head of its request, but for the size.
            out.resize(self.start + self.net, 0);
            out.extend_from_slice(message.frame.get(..self.head).unwrap_or_default());
            input.skip(message.len);
            self.used += message.len;
            (self.work.head.seq, self.work.len) = (message.seq, message.body.len() as u32);
            self.work.id += 1;
            let running = self.pulse.enter(self.work.head.route);
            let began = caller.call(self.work.id, message.seq, message.body, out);
            drop(running);
            match began {
                // A reply has nothing to drop, and to look whether it has costs.
                Start::Done(Answer::Reply) if !self.inbox.is_filled() => std::mem::forget(began),
                began => return End::Began(Ok(began)),
            }
            if !self.finish(I::FRAMING, out) {
                out.truncate(self.start);
                return End::Unfit;
            }
            self.answered += 1;
            if out.len() >= full {
                return End::Full;
            }
            match self.next(&input) {
                Some(next) => message = next,
                None => break,
            }
        }
        End::Other
    }

    /// Where the body of the last answer begins.
    #[inline]
    fn body_at(&self) -> usize {
        self.start + self.net + self.head
    }

    /// Completes what stands before the body of the last answer, now that its length is known. `false`: it is too long.
    #[inline]
    fn finish(&mut self, framing: Framing, out: &mut Vec<u8>) -> bool {
        let Some(frame) = out.get_mut(self.start + self.net..) else { return false };
        if self.dialect.answer_data(frame, framing).is_err() {
            return false;
        }
        if framing == Framing::Messages {
            self.wrap(out);
        }
        true
    }

    /// Lets the network put its bytes before the message and do with it what it does.
    fn wrap(&mut self, out: &mut Vec<u8>) {
        let (from, end) = (self.start + self.net, out.len());
        self.conn.begin(end - from, out);
        // They stand behind the message now. The last one was as long as this one, more often than not.
        let net = out.len() - end;
        if net == self.net {
            out.copy_within(end.., self.start);
            out.truncate(end);
        } else if let Some(last) = out.get_mut(from..) {
            last.rotate_right(net);
            out.drain(self.start..from);
            self.net = net;
        }
        self.conn.end(self.start + net, out);
    }

    /// The next message, if it is one of the run.
    #[inline]
    fn next<'b, I: Input<'b>>(&mut self, input: &I) -> Option<Message<'b>> {
        let (route, message) = Message::of(input.front(self.dialect, &mut self.peer)?)?;
        (route == self.work.head.route).then_some(message)
    }

    /// May a request have this number? A hello client's notifies, and a number that waits, go the long way.
    #[inline]
    fn is_new(&self, seq: i32) -> bool {
        let hello = self.work.head.flags & FLAG_HELLO != 0;
        !hello || (seq != 0 && self.requests.iter().all(|r| r.seq != seq))
    }
}

/// Where the way ends: the session of `from` at the node, and the handler of the route. `None` if there is no such thing, or
/// the lane has no credit.
#[inline]
fn seat(client: &mut Client, way: &Way, node: &NodeShard, from: (Peer, u64), route: i32) -> Option<Seat> {
    match client.settled().and_then(|settled| settled.seat) {
        Some(seat) if node.sits(seat.session, from) => Some(seat),
        _ => find_seat(client, way, node, from, route),
    }
}

fn find_seat(client: &mut Client, way: &Way, node: &NodeShard, from: (Peer, u64), route: i32) -> Option<Seat> {
    let session = node.find(from.0, from.1)?;
    let handler = u32::try_from(node.place_of(route)?).ok()?;
    client.lane_to(way.member).filter(|lane| lane.dry_since == 0)?;
    let seat = Seat { session, handler };
    client.seat(seat);
    Some(seat)
}

/// What a run leaves to be settled: its last handler did not simply answer.
struct Left {
    node: u8,
    way: Way,
    work: Work,
    end: End,
}

/// Why the short way does nothing for the front of the input.
enum Closed {
    /// The next frame cannot go it.
    NotThis,
    /// Nothing of this client can, as things are.
    Never,
}

impl Shard {
    /// Takes messages from the front of what was read of a client; `false`: what follows need not try again.
    pub(super) fn short_way<'i>(&mut self, at: (u8, u32, u32), input: &mut impl Input<'i>) -> bool {
        while !input.is_empty() {
            match self.run_short(at, input) {
                Ok(None) => {}
                Ok(Some(left)) => self.settle_short((at.0, at.1), left),
                Err(Closed::NotThis) => return true,
                Err(Closed::Never) => return false,
            }
        }
        true
    }

    fn run_short<'i, I: Input<'i>>(&mut self, at: (u8, u32, u32), input: &mut I) -> Result<Option<Left>, Closed> {
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
        let Some(mut peer) = client.frames.as_ref().and_then(Assembler::is_straight) else {
            return Err(Closed::NotThis);
        };
        let dialect = &listener.dialect;
        let Some((route, message)) = input.front(dialect, &mut peer).and_then(Message::of) else {
            return Err(Closed::NotThis);
        };
        let Ok(Some(way)) = settled_way(members, own.part.dispatch, client, route) else { return Err(Closed::NotThis) };
        let (Up::Here(n), true) = (way.up, way.open) else { return Err(Closed::Never) };
        let Some(node) = nodes.get_mut(usize::from(n)) else { return Err(Closed::Never) };
        let from = (Peer::Here(g), lane_of(slot, generation));
        let Some(Seat { session, handler }) = seat(client, &way, node, from, route) else {
            return Err(Closed::NotThis);
        };
        let (place, flags) = (handler as usize, if client.hello { FLAG_HELLO } else { 0 });
        let head = Head { kind: FrameKind::Message, flags, route, lane: from.1, corr: way.epoch, ..Head::default() };
        if !node.is_free(session) || (way.epoch != 0 && node.refusal(session, &head).is_some()) {
            return Err(Closed::NotThis);
        }
        let Client { conn, out, extras, .. } = client;
        let mut run = Run {
            dialect,
            conn: &mut **conn,
            peer,
            requests: extras.as_mut().map_or(&[][..], |e| e.requests.make_contiguous()),
            work: Work { event: false, id: node.last_id, session: Some(session), head, ..Work::event(place, begun) },
            room: listener.settings.outbox.saturating_sub(out.len()),
            pulse,
            inbox,
            used: 0,
            answered: 0,
            start: 0,
            net: 0,
            head: dialect.data_len(0, I::FRAMING),
        };
        out.prime(pool);
        let end = run.through(node, ready, (message, *input), out);
        let Run { used, answered, work, .. } = run;
        input.skip(used);
        counters.messages += answered;
        counters.replies += answered;
        node.answered(place, answered, work.id);
        if answered > 0 && !std::mem::replace(&mut client.dirty, true) {
            dirty.push((g, slot));
        }
        match end {
            // A hello client's notify, or a number that waits.
            End::Other if answered == 0 => Err(Closed::NotThis),
            End::Other => Ok(None),
            End::Full => {
                client.paused = true;
                counters.pauses += 1;
                Ok(None)
            }
            end => {
                counters.messages += 1;
                Ok(Some(Left { node: n, way, work, end }))
            }
        }
    }

    fn settle_short(&mut self, at: (u8, u32), left: Left) {
        let (g, slot) = at;
        match left.end {
            End::Other | End::Full => {}
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
