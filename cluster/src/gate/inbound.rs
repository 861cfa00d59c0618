//! From a client to a node: read, cut into frames, check, choose, forward.

use std::task::Poll;

use due_core::{
    Error, Kind,
    net::{Farewell, Framing, Inbound, Scratch},
    transport::{FrameKind, Head, Part, Refused},
};
use due_protocol::due::{Assembler, Dialect, Flow, Frame, FrameError, HTTP_ANSWER, code};

use super::{
    client::{Client, HeldMessage, LATE, Lane, Request, Slot, Stage},
    input::{Input, Messages, Stream},
    members::{Members, Up},
    settings::Mechanism,
    way::Way,
};
use crate::{
    link::{FLAG_HELLO, FLAG_NOTIFY, LANE_BYTES, LANE_FRAMES, Opened, end::is_full, lane_of},
    node::shard::{Handled, Peer},
    shard::driver::{Shard, free_of_budget},
};

/// Answers of so many bytes are written right after the read that they are for.
const FLUSH_FROM: usize = 4096;
/// Reads of one connection in one turn.
const READS_A_TURN: usize = 4;

impl Shard {
    /// A connection's socket has something to read, or room to write.
    pub(crate) fn client_ready(&mut self, g: u8, slot: u32) {
        let Some(client) = self.client(g, slot) else { return };
        client.mark.clear();
        let stage = client.stage;
        if !client.out.is_empty() {
            self.mark_dirty(g, slot);
        }
        match stage {
            Stage::Opening | Stage::Open => self.read_client(g, slot),
            Stage::Ending => self.poll_ending(g, slot),
            Stage::Closing => {}
        }
    }

    fn read_client(&mut self, g: u8, slot: u32) {
        let Some(mut scratch) = self.scratch.take() else { return };
        let ended = (0..READS_A_TURN).any(|_| !self.read_once(g, slot, &mut scratch));
        self.scratch = Some(scratch);
        let prompt = self.prompt;
        let Some(client) = self.client(g, slot) else { return };
        if !ended {
            client.mark.wake();
        }
        // What the read itself was answered with is still in the cache. Written here it is the connection's one write of
        // the turn, unless others push to it.
        if client.dirty && (prompt || client.out.len() >= FLUSH_FROM) {
            self.flush_client(g, slot);
            if self.dirty.last() == Some(&(g, slot)) {
                self.dirty.pop();
            }
        }
    }

    /// One read; `true` if it may be tried again.
    fn read_once(&mut self, g: u8, slot: u32, scratch: &mut Scratch) -> bool {
        let now = self.millis();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return false };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return false };
        if client.paused || client.ended || matches!(client.stage, Stage::Closing | Stage::Ending) {
            return false;
        }
        scratch.clear();
        let Client { conn, waker, out, .. } = client;
        let read = free_of_budget(waker, |cx| conn.poll_read(cx, scratch, out));
        let answers = !client.out.is_empty();
        let goes_on = match read {
            Poll::Pending => false,
            Poll::Ready(Ok(Inbound::Data { more })) => {
                let again = !more && !client.rests;
                let (at, framing) = ((g, slot, client.generation), client.framing);
                gate.seen(slot, now);
                self.feed_read(at, framing, scratch);
                if more && let Some(client) = self.same_client(at.0, at.1, at.2) {
                    // A full read: others first.
                    client.mark.wake();
                }
                again
            }
            Poll::Ready(Ok(Inbound::Head)) => {
                gate.seen(slot, now);
                self.admit(g, slot);
                true
            }
            Poll::Ready(Ok(Inbound::End)) => {
                self.client_ended(g, slot);
                false
            }
            Poll::Ready(Err(e)) => {
                self.client_broke(g, slot, &e);
                false
            }
        };
        if answers {
            self.mark_dirty(g, slot);
        }
        goes_on
    }

    /// The peer sends no more: the answers it is owed still go out, then the connection ends.
    fn client_ended(&mut self, g: u8, slot: u32) {
        if let Some(client) = self.client(g, slot) {
            client.ended = true;
        }
        if self.owes_nothing_more(g, slot) {
            self.close_client(g, slot, Farewell::Normal, None);
        }
    }

    fn client_broke(&mut self, g: u8, slot: u32, e: &Error) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        match e.kind() {
            Kind::Malformed | Kind::TooLarge => gate.counters.malformed += 1,
            // A request head that the listener's rules refuse: its answer stands in the outbox.
            Kind::Forbidden => gate.counters.refused += 1,
            _ => {
                tracing::debug!(error = %e, "a connection ended");
                return self.drop_client(g, slot);
            }
        }
        self.close_client(g, slot, Farewell::Protocol, Some((e.kind().code(), e.text())));
    }

    fn feed_read(&mut self, at: (u8, u32, u32), framing: Framing, scratch: &Scratch) {
        match framing {
            Framing::Stream => self.feed(at, scratch.stream().len(), Stream(scratch.stream())),
            Framing::Messages => {
                let bytes = scratch.messages().map(<[u8]>::len).sum();
                self.feed(at, bytes, Messages(scratch, 0));
            }
        }
    }

    /// Handles what a read brought: by the short way as much as can, the rest frame by frame.
    fn feed<'i>(&mut self, at: (u8, u32, u32), bytes: usize, mut input: impl Input<'i>) {
        let Some(gate) = self.gates.get_mut(usize::from(at.0)) else { return };
        gate.counters.bytes_in += bytes as u64;
        let mut again = true;
        while !input.is_empty() {
            again = again && self.short_way(at, &mut input);
            if !input.is_empty() && !self.long_way(at, again, &mut input) {
                return;
            }
        }
    }

    /// Takes the next frame the long way, or (not `one`) all there is; `false`: the client wants nothing any more.
    fn long_way<'i>(&mut self, at: (u8, u32, u32), one: bool, input: &mut impl Input<'i>) -> bool {
        let (g, slot, generation) = at;
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return false };
        let Some(client) = gate.clients.get_mut(slot as usize).filter(|c| c.generation == generation) else {
            return false;
        };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return false };
        let dialect = listener.dialect;
        let chunk = match client.frames.as_ref().and_then(Assembler::is_straight) {
            Some(peer) if one && !client.paused => input.take_one(&dialect, peer),
            _ => input.take_chunk(),
        };
        self.feed_chunk(at, &dialect, Some(chunk));
        true
    }

    /// Cuts a chunk into frames (`None`: what a pause left over) and handles each.
    fn feed_chunk(&mut self, at: (u8, u32, u32), dialect: &Dialect, chunk: Option<&[u8]>) {
        let ((g, slot, generation), now) = (at, self.millis());
        let Some(client) = self.same_client(g, slot, generation).filter(|c| c.is_open()) else { return };
        let (paused, frames) = (client.paused, client.frames.take());
        let Some(mut frames) = frames else { return };
        let mut whole = false;
        if chunk.is_some() {
            frames.lend(|| self.pool.take());
            if paused {
                frames.pause();
            }
        }
        let each = |frame: Frame<'_>| {
            whole = true;
            self.client_frame(at, frame)
        };
        let fed = match chunk {
            Some(chunk) => frames.feed(dialect, chunk, each),
            None => frames.resume(dialect, each),
        };
        if let Some(buffer) = frames.reclaim() {
            self.pool.give(buffer);
        }
        let half = matches!(fed, Ok(Flow::Continue)) && frames.kept() > 0;
        let Some(client) = self.same_client(g, slot, generation) else { return };
        client.half_since = match (half, whole, client.half_since) {
            (false, ..) => 0,
            (true, false, since) if since != 0 => since,
            (true, ..) => now,
        };
        client.frames = Some(frames);
        if let Err(e) = fed {
            self.frame_broke(g, slot, e);
        }
    }

    fn same_client(&mut self, g: u8, slot: u32, generation: u32) -> Option<&mut Client> {
        self.client(g, slot).filter(|c| c.generation == generation)
    }

    fn frame_broke(&mut self, g: u8, slot: u32, e: FrameError) {
        if e == FrameError::Http
            && let Some(client) = self.client(g, slot)
        {
            client.out.append(HTTP_ANSWER);
        }
        if let Some(gate) = self.gates.get_mut(usize::from(g)) {
            gate.counters.malformed += 1;
        }
        let e = Error::from(e);
        tracing::debug!(error = %e, "a client broke the format");
        self.close_client(g, slot, Farewell::Protocol, Some((e.kind().code(), e.text())));
    }

    /// Handles a frame of an open client. What it does may close the client, pause it, or end it altogether.
    fn client_frame(&mut self, at: (u8, u32, u32), frame: Frame<'_>) -> Flow {
        let (g, slot, generation) = at;
        match frame {
            Frame::Data { route, seq, body } => {
                if let Some(gate) = self.gates.get_mut(usize::from(g)) {
                    gate.counters.messages += 1;
                }
                self.client_data(g, slot, (route, seq), body);
            }
            Frame::Heartbeat(_) => self.client_heartbeat(g, slot),
            Frame::Extension { code: code::HELLO, body } => self.client_hello(g, slot, body),
            Frame::Extension { .. } | Frame::Empty | Frame::Short => {}
        }
        self.flow((g, slot, generation))
    }

    /// Is the client's next frame wanted?
    fn flow(&mut self, (g, slot, generation): (u8, u32, u32)) -> Flow {
        match self.same_client(g, slot, generation) {
            Some(client) if client.is_open() && !client.paused => Flow::Continue,
            Some(client) if client.is_open() => Flow::Pause,
            _ => Flow::Stop,
        }
    }

    fn client_heartbeat(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        gate.counters.heartbeats += 1;
        let Some(client) = gate.clients.get(slot as usize) else { return };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return };
        let full = client.waiting() >= listener.settings.outbox;
        if listener.settings.heartbeat_mechanism == Mechanism::Resp && !full {
            self.write_heartbeat(g, slot);
        }
    }

    pub(crate) fn write_heartbeat(&mut self, g: u8, slot: u32) {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        self.write_frame(g, slot, |d, framing, out| d.put_heartbeat(nanos as u64, framing, out));
    }

    /// Sends a message on its way, or refuses it.
    fn client_data(&mut self, g: u8, slot: u32, numbers: (i32, i32), body: &[u8]) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        match gate.choose(slot, numbers.0) {
            Ok(way) => self.forward(g, slot, way, numbers, body),
            Err(kind) => self.refuse(g, slot, numbers, kind),
        }
    }

    /// A message that goes nowhere: silence to old clients, as due does; a typed error to those that said hello.
    fn refuse(&mut self, g: u8, slot: u32, numbers: (i32, i32), kind: Kind) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        gate.counters.refusals += 1;
        if gate.clients.get(slot as usize).is_some_and(|c| c.hello) {
            self.tell_fault(g, slot, numbers, (kind.code(), kind.text()));
        }
    }

    /// Sends a message into the lane of a node, opening it first; stops reading the client when the lane is full.
    fn forward(&mut self, g: u8, slot: u32, way: Way, numbers: (i32, i32), body: &[u8]) {
        let now = self.millis();
        let up = match way.open {
            true => way.up,
            false => match self.open_lane(g, slot, way.member, true) {
                Some(up) => up,
                None => return self.refuse(g, slot, numbers, Kind::Unavailable),
            },
        };
        let Some(client) = self.client(g, slot) else { return };
        if client.lane_to(way.member).is_some_and(|lane| lane.starved) {
            return self.refuse(g, slot, numbers, Kind::Overloaded);
        }
        let (route, seq) = numbers;
        let until = now.wrapping_add(way.limit + LATE);
        let mut owed = way.answers;
        let mut flags = 0;
        if client.hello {
            if seq != 0 && !note_request(client, Request { route, seq, member: way.member, until, number: 0 }) {
                return self.refuse(g, slot, numbers, Kind::Duplicate);
            }
            owed = seq != 0;
            flags = FLAG_HELLO;
        }
        flags |= if owed { 0 } else { FLAG_NOTIFY };
        let lane = lane_of(slot, client.generation);
        let head = Head { kind: FrameKind::Message, flags, route, seq, lane, corr: way.epoch, ..Head::default() };
        match up {
            Up::Here(node) => {
                if owed && let Some(lane) = client.lane_to(way.member) {
                    lane.owe(way.limit, now);
                }
                if self.message_to_node(node, Peer::Here(g), &head, body) == Handled::Queued {
                    self.charge(g, slot, way.member, body.len());
                }
            }
            Up::Link(link) => self.forward_over((g, slot), link, (&head, &way), body),
            Up::Gone => {}
        }
    }

    fn forward_over(&mut self, at: (u8, u32), link: u32, message: (&Head, &Way), body: &[u8]) {
        let ((g, slot), (head, way)) = (at, message);
        let numbers = (head.route, head.seq);
        // Who waits for the link already comes first, or those who are quick would keep it full for ever.
        if is_full(&self.links, link) {
            return self.hold(g, slot, link, numbers, body);
        }
        match self.link_send(link, *head, Part::Copy(body)) {
            Ok(()) => {
                self.note_sent(g, slot, head, way);
                self.note_number(g, slot, link, numbers);
                self.charge(g, slot, way.member, body.len());
            }
            Err(Refused::Full) => self.hold(g, slot, link, numbers, body),
            Err(gone) => {
                let kind = if gone == Refused::TooLarge { Kind::TooLarge } else { Kind::Unavailable };
                self.forget_request(g, slot, numbers);
                self.refuse(g, slot, numbers, kind);
            }
        }
    }

    fn forget_request(&mut self, g: u8, slot: u32, numbers: (i32, i32)) {
        if let Some(extras) = self.client(g, slot).and_then(|c| c.extras.as_mut()) {
            extras.requests.retain(|r| (r.route, r.seq) != numbers);
        }
    }

    /// Notes which frame of the link a request was.
    fn note_number(&mut self, g: u8, slot: u32, link: u32, numbers: (i32, i32)) {
        let number = self.link_taken(link);
        let requests = self.client(g, slot).and_then(|c| c.extras.as_mut()).map(|e| &mut e.requests);
        if let Some(request) = requests.and_then(|all| all.iter_mut().rfind(|r| (r.route, r.seq) == numbers)) {
            request.number = number;
        }
    }

    /// Notes a message that left: an answer will come, or its credit is all that tells of it.
    fn note_sent(&mut self, g: u8, slot: u32, head: &Head, way: &Way) {
        let now = self.millis();
        let Some(lane) = self.client(g, slot).and_then(|c| c.lane_to(way.member)) else { return };
        match head.flags & FLAG_NOTIFY {
            0 => lane.owe(way.limit, now),
            _ => lane.notifies += 1,
        }
    }

    /// Takes credit of the lane; at its end the client is not read until half of it is back.
    pub(super) fn charge(&mut self, g: u8, slot: u32, member: u16, bytes: usize) {
        let now = self.millis();
        let Some(client) = self.client(g, slot) else { return };
        let Some(lane) = client.lane_to(member) else { return };
        lane.frames += 1;
        lane.bytes += bytes as u32;
        if lane.frames >= LANE_FRAMES || lane.bytes >= LANE_BYTES {
            client.dry(member, now);
            self.pause(g, slot);
        }
    }

    pub(crate) fn pause(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        if !std::mem::replace(&mut client.paused, true) {
            gate.counters.pauses += 1;
        }
    }

    /// The link had no room: the message waits here, and nothing more is read of the client.
    fn hold(&mut self, g: u8, slot: u32, link: u32, (route, seq): (i32, i32), body: &[u8]) {
        self.forget_request(g, slot, (route, seq));
        let Some(client) = self.client(g, slot) else { return };
        client.extras().held = Some(HeldMessage { link, route, seq, body: body.to_vec(), listed: false });
        self.pause(g, slot);
        self.link_wait(link);
        self.waits_for_link(g, slot);
    }

    /// Is the link full that the client's message waits for? Then it stands on the list of those that wait.
    fn waits_for_link(&mut self, g: u8, slot: u32) -> bool {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return false };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return false };
        let Some(held) = client.extras.as_mut().and_then(|e| e.held.as_mut()) else { return false };
        if !is_full(&self.links, held.link) {
            return false;
        }
        if !std::mem::replace(&mut held.listed, true) {
            gate.link_waiters.entry(held.link).or_default().push_back((slot, client.generation));
        }
        true
    }

    /// Lets clients go on that waited for the link, in the order they came, as long as it has room.
    pub(crate) fn resume_link_waiters(&mut self, g: u8, link: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let mut waiting = gate.link_waiters.remove(&link).unwrap_or_default();
        while !is_full(&self.links, link)
            && let Some((slot, generation)) = waiting.pop_front()
        {
            if let Some(client) = self.same_client(g, slot, generation) {
                if let Some(held) = client.extras.as_mut().and_then(|e| e.held.as_mut()) {
                    held.listed = false;
                }
                self.resume(g, slot);
            }
        }
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        // Who found it full again has had its turn.
        waiting.append(&mut gate.link_waiters.remove(&link).unwrap_or_default());
        if !waiting.is_empty() {
            gate.link_waiters.insert(link, waiting);
        }
    }

    /// Reads a client again if nothing else holds it: first what it had sent before the pause.
    pub(crate) fn resume(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let Some(client) = gate.clients.get(slot as usize) else { return };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return };
        let crowded = client.out.len() > listener.settings.outbox / 2;
        if !client.paused || crowded || !client.is_open() || client.lanes().iter().any(Lane::holds) {
            return;
        }
        let dialect = listener.dialect;
        if self.waits_for_link(g, slot) {
            return;
        }
        let Some(client) = self.client(g, slot) else { return };
        client.paused = false;
        let generation = client.generation;
        if let Some(held) = client.extras.as_mut().and_then(|e| e.held.take()) {
            self.client_data(g, slot, (held.route, held.seq), &held.body);
        }
        if self.client(g, slot).is_some_and(|c| !c.paused && c.frames.as_ref().is_some_and(Assembler::is_paused)) {
            self.feed_chunk((g, slot, generation), &dialect, None);
        }
        if let Some(client) = self.client(g, slot)
            && !client.paused
        {
            client.mark.wake();
        }
    }

    /// Makes sure that the session has a lane to the node; `None` if the node cannot be reached.
    pub(crate) fn open_lane(&mut self, g: u8, slot: u32, member: u16, sticky: bool) -> Option<Up> {
        let gate = self.gates.get_mut(usize::from(g))?;
        let (up, name) = gate.members.get(member).map(|m| (m.up, m.name))?;
        let client = gate.clients.get_mut(slot as usize)?;
        if let Some(lane) = client.lane_to(member) {
            if sticky && !std::mem::replace(&mut lane.sticky, true) {
                client.forget_way();
            }
            return Some(up);
        }
        let lane = Lane::new(member, name, sticky);
        client.add_lane(lane);
        let (head, body) = opening(client, slot, &gate.members);
        if self.frame_up(g, up, head, &body) {
            return Some(up);
        }
        // A lane that the node does not know would swallow what is sent into it.
        if let Some(client) = self.client(g, slot) {
            client.lanes_mut().retain(|l| l.member != member);
        }
        None
    }

    /// After hello: nodes that knew the session before learn what it brought.
    pub(crate) fn reopen_lanes(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get(slot as usize) else { return };
        let ups: Vec<Up> = client.lanes().iter().filter_map(|l| gate.members.get(l.member)).map(|m| m.up).collect();
        let (head, body) = opening(client, slot, &gate.members);
        for up in ups {
            self.frame_up(g, up, head, &body);
        }
    }

    /// A frame of the session's life to a node. On a link it travels as control, which has room of its own, and names its
    /// lane in `corr`.
    pub(crate) fn frame_up(&mut self, g: u8, up: Up, head: Head, body: &[u8]) -> bool {
        match up {
            Up::Here(node) => {
                self.frame_to_node(node, Peer::Here(g), head, body);
                true
            }
            Up::Link(link) => {
                let head = Head { lane: 0, corr: head.lane, ..head };
                match self.link_send(link, head, Part::Copy(body)) {
                    Ok(()) => true,
                    Err(Refused::Full) => {
                        self.link_owe(link, head, body);
                        true
                    }
                    Err(Refused::Gone | Refused::TooLarge) => false,
                }
            }
            Up::Gone => false,
        }
    }
}

/// Puts a request on the list of those that wait; `false` if one with its numbers waits already.
pub(super) fn note_request(client: &mut Client, request: Request) -> bool {
    let requests = &mut client.extras().requests;
    if requests.iter().any(|r| r.seq == request.seq && r.route == request.route) {
        return false;
    }
    requests.push_back(request);
    true
}

/// The frame that opens a lane: the session as nodes need to know it.
fn opening(client: &Client, slot: u32, members: &Members) -> (Head, Vec<u8>) {
    let owned = |s: &Slot| Some((members.name(s.name).to_owned(), members.get(s.member)?.owner.clone(), s.epoch));
    let opened = Opened {
        session: client.id,
        cid: client.cid,
        peer: client.conn.peer(),
        user: client.user.as_deref().cloned(),
        labels: client.extras.as_ref().map(|e| e.labels.clone()).unwrap_or_default(),
        owners: client.slots().iter().filter_map(owned).collect(),
    };
    let flags = if client.hello { FLAG_HELLO } else { 0 };
    let head = Head { kind: FrameKind::Open, flags, lane: lane_of(slot, client.generation), ..Head::default() };
    (head, opened.encode())
}
