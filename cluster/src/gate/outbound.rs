//! From nodes to clients: replies, pushes, errors, credit.

use std::task::{Context, Poll};

use due_core::{
    Code, Kind,
    net::{Farewell, Framing},
    transport::{FrameKind, Head},
};
use due_protocol::due::{Dialect, Failure, Head as Numbers, Kick};

use super::{
    client::{Client, Stage},
    orders::ReplyTo,
    settings::Untold,
};
use crate::{
    link::{Audience, Claim, Credit, FLAG_THEN_CLOSE, GateOrder, LANE_BYTES, LANE_FRAMES, class_of, decode_fault},
    shard::driver::{Shard, TimerEvent, free_of_budget},
    stat::GateCounters,
};
use due_core::Class;

/// What became of a push at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Full,
    /// The listener's dialect cannot carry the route.
    Unfit,
    Gone,
}

/// A push as the gate passes it around.
#[derive(Clone, Copy)]
pub(crate) struct PushOf<'a> {
    pub(crate) route: i32,
    pub(crate) flags: u8,
    pub(crate) body: &'a [u8],
}

/// Appends one data frame; `false` if the dialect cannot carry the numbers.
fn put_data(client: &mut Client, dialect: &Dialect, numbers: (i32, i32), body: &[u8]) -> bool {
    let Client { conn, out, .. } = client;
    let framing = conn.framing();
    out.append_with(|out| {
        let start = out.len();
        conn.begin(dialect.data_len(body.len(), framing), out);
        let from = out.len();
        if dialect.put_data(Numbers { route: numbers.0, seq: numbers.1 }, body, framing, out).is_err() {
            out.truncate(start);
            return false;
        }
        conn.end(from, out);
        true
    })
}

/// Appends what `put` writes as one message.
pub(crate) fn put_message(client: &mut Client, message: &[u8]) {
    let Client { conn, out, .. } = client;
    out.append_with(|out| {
        conn.begin(message.len(), out);
        let from = out.len();
        out.extend_from_slice(message);
        conn.end(from, out);
    });
}

impl Shard {
    /// A frame of a node; `link` is where answers to its orders go.
    pub(crate) fn frame_to_gate(&mut self, g: u8, member: Option<u16>, link: Option<u32>, head: Head, body: &[u8]) {
        match head.kind {
            FrameKind::Message => {
                if Claim::of(&head).is_some_and(|claim| self.refuses_claim(g, member, head.lane, claim)) {
                    return;
                }
                let push = PushOf { route: head.route, flags: head.flags, body };
                self.push_to_lane(g, head.lane, push);
            }
            FrameKind::Reply => self.reply_to_client(g, member, head, Ok(body)),
            FrameKind::Error => self.reply_to_client(g, member, head, Err(body)),
            FrameKind::Credit => self.credit(g, member, head.lane, Credit::of(&head)),
            FrameKind::Barrier => self.barrier_passed(g, member, head.lane),
            FrameKind::Order => {
                let to = match link {
                    Some(link) if head.corr != 0 => ReplyTo::Link { link, corr: head.corr },
                    _ => ReplyTo::Nobody,
                };
                match GateOrder::decode(head.route, body) {
                    Ok(GateOrder::Push { to: Audience::Channel(channel), route, flags, body }) if link.is_some() => {
                        self.add_fan_of(g, &channel, PushOf { route, flags, body: &body }, to);
                    }
                    Ok(order) => {
                        self.run_fans();
                        self.gate_order(g, head.lane, order, to);
                    }
                    Err(e) => self.answer(to, Err(e)),
                }
            }
            _ => {}
        }
    }

    /// Puts a frame into a client's outbox, and stops reading the client when that is full. `false` if the dialect cannot
    /// carry the numbers or the size.
    pub(crate) fn write_data(&mut self, g: u8, slot: u32, numbers: (i32, i32), body: &[u8]) -> bool {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return false };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return false };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return false };
        client.out.prime(&mut self.pool);
        let fits = put_data(client, &listener.dialect, numbers, body);
        let full = client.out.len() >= listener.settings.outbox;
        if !client.dirty {
            client.dirty = true;
            self.dirty.push((g, slot));
        }
        if full {
            self.pause(g, slot);
        }
        fits
    }

    /// Writes an extension or heartbeat frame that `put` makes.
    pub(crate) fn write_frame(&mut self, g: u8, slot: u32, put: impl FnOnce(&Dialect, Framing, &mut Vec<u8>)) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return };
        let mut message = self.pool.take();
        put(&listener.dialect, client.conn.framing(), &mut message);
        client.out.prime(&mut self.pool);
        put_message(client, &message);
        self.pool.give(message);
        self.mark_dirty(g, slot);
    }

    pub(crate) fn mark_dirty(&mut self, g: u8, slot: u32) {
        if let Some(client) = self.client(g, slot)
            && !client.dirty
        {
            client.dirty = true;
            self.dirty.push((g, slot));
        }
    }

    pub(crate) fn client(&mut self, g: u8, slot: u32) -> Option<&mut Client> {
        self.gates.get_mut(usize::from(g))?.client(slot)
    }

    pub(crate) fn push_to_lane(&mut self, g: u8, lane: u64, push: PushOf<'_>) -> Pushed {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return Pushed::Gone };
        match gate.of_lane(lane) {
            Some((slot, client)) if client.is_open() => self.push_to_slot(g, slot, push),
            _ => {
                gate.counters.stale += 1;
                Pushed::Gone
            }
        }
    }

    pub(crate) fn push_to_slot(&mut self, g: u8, slot: u32, push: PushOf<'_>) -> Pushed {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return Pushed::Gone };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return Pushed::Gone };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return Pushed::Gone };
        if !client.is_open() {
            return Pushed::Gone;
        }
        if !listener.dialect.fits(push.route) {
            gate.counters.pushes_unfit += 1;
            return Pushed::Unfit;
        }
        // The last push of a connection is taken over the mark too: there is one of it.
        if client.waiting() >= listener.settings.outbox && push.flags & FLAG_THEN_CLOSE == 0 {
            return self.push_over_mark(g, slot, push);
        }
        if !self.write_data(g, slot, (push.route, 0), push.body) {
            self.count(g, |c| c.pushes_unfit += 1);
            return Pushed::Unfit;
        }
        self.count(g, |c| c.pushes += 1);
        if push.flags & FLAG_THEN_CLOSE != 0 {
            self.close_client(g, slot, Farewell::Normal, None);
        }
        Pushed::Queued
    }

    fn count(&mut self, g: u8, add: impl FnOnce(&mut GateCounters)) {
        if let Some(gate) = self.gates.get_mut(usize::from(g)) {
            add(&mut gate.counters);
        }
    }

    /// The outbox is full: the push's class decides.
    fn push_over_mark(&mut self, g: u8, slot: u32, push: PushOf<'_>) -> Pushed {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return Pushed::Gone };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return Pushed::Gone };
        if class_of(push.flags) == Class::Latest {
            let latest = &mut client.extras().latest;
            let waiting = latest.iter_mut().find(|(route, _)| *route == push.route);
            match waiting {
                Some((_, body)) => {
                    body.clear();
                    body.extend_from_slice(push.body);
                }
                None => latest.push((push.route, push.body.to_vec())),
            }
            gate.counters.pushes += 1;
            return Pushed::Queued;
        }
        gate.counters.pushes_full += 1;
        Pushed::Full
    }

    /// A request's one answer.
    fn reply_to_client(&mut self, g: u8, member: Option<u16>, head: Head, answer: Result<&[u8], &[u8]>) {
        let now = self.millis();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some((slot, client)) = gate.of_lane(head.lane) else {
            gate.counters.stale += 1;
            return;
        };
        let hello = client.hello;
        if let Some(lane) = member.and_then(|m| client.lane_to(m)) {
            lane.answered(now);
        }
        if hello && !settle_request(client, &head) {
            gate.counters.stale += 1;
            return;
        }
        // A closing client still gets the answers to what was read of it, until the last byte is out.
        if matches!(client.stage, Stage::Ending) || client.finished {
            return;
        }
        gate.counters.replies += 1;
        match answer {
            Ok(body) => {
                if !self.write_data(g, slot, (head.route, head.seq), body) {
                    self.unfit_answer(g, slot, &head);
                }
            }
            Err(body) => self.write_fault(g, slot, head, body),
        }
        if head.flags & FLAG_THEN_CLOSE != 0 || self.owes_nothing_more(g, slot) {
            self.close_client(g, slot, Farewell::Normal, None);
        }
    }

    pub(super) fn unfit_answer(&mut self, g: u8, slot: u32, head: &Head) {
        let kind = Kind::TooLarge;
        tracing::error!(route = head.route, "an answer does not fit its listener: raise max-body");
        self.tell_fault(g, slot, (head.route, head.seq), (kind.code(), kind.text()));
    }

    /// Has the client ended its side and got all its answers?
    pub(crate) fn owes_nothing_more(&mut self, g: u8, slot: u32) -> bool {
        self.client(g, slot).is_some_and(|c| c.ended && c.lanes().iter().all(|l| l.unanswered == 0))
    }

    fn write_fault(&mut self, g: u8, slot: u32, head: Head, body: &[u8]) {
        let (code, text) = decode_fault(body);
        self.tell_fault(g, slot, (head.route, head.seq), (code, &text));
    }

    /// Tells a hello client of an error; an old one is closed, or nothing happens, as its listener says.
    pub(crate) fn tell_fault(&mut self, g: u8, slot: u32, numbers: (i32, i32), fault: (u32, &str)) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return };
        if client.hello {
            let (route, seq) = (numbers.0, numbers.1 as u32);
            return self.write_frame(g, slot, |d, framing, out| {
                d.put_failure(&Failure { route, seq, code: fault.0, text: fault.1 }, framing, out)
            });
        }
        let close = listener.settings.on_error == Untold::Close;
        let number = gate.members.route(numbers.0).map(|(number, _)| number);
        if let Some(route) = number.and_then(|n| gate.members.route_at(n))
            && !std::mem::replace(&mut route.told, true)
        {
            let name = route.text.clone();
            tracing::warn!(
                route = %name,
                code = fault.0,
                text = fault.1,
                close,
                "a handler failed and the client speaks a dialect without errors: give the route an answer for it with \
                 `errors_as`, or set on-error=silent on the listener"
            );
        }
        if close {
            self.close_client(g, slot, Farewell::Policy, None);
        }
    }

    /// Lane credit comes back: a client that waited for it is read again from half of the window on.
    pub(crate) fn credit(&mut self, g: u8, member: Option<u16>, lane: u64, back: Credit) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some((slot, client)) = gate.of_lane(lane) else { return };
        let Some(flow) = member.and_then(|m| client.lane_to(m)) else { return };
        flow.frames = flow.frames.saturating_sub(back.frames);
        flow.bytes = flow.bytes.saturating_sub(back.bytes);
        flow.notifies = flow.notifies.saturating_sub(back.notifies);
        if flow.dry_since != 0 && flow.frames <= LANE_FRAMES / 2 && flow.bytes <= LANE_BYTES / 2 {
            (flow.dry_since, flow.starved) = (0, false);
            self.resume(g, slot);
        }
    }

    /// Writes the outboxes that this turn filled, once each.
    pub(crate) fn flush_clients(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (g, slot) in dirty.drain(..) {
            self.flush_client(g, slot);
        }
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    pub(crate) fn flush_client(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        // Already written in this turn.
        if !std::mem::replace(&mut client.dirty, false) {
            return;
        }
        let before = client.out.len();
        // Outside of tokio's budget is not needed: the runtime is asked only when the socket has no room.
        match client.conn.poll_write(&mut Context::from_waker(&client.waker), &mut client.out) {
            Poll::Ready(Ok(())) => {
                gate.counters.bytes_out += before as u64;
                client.out.reclaim(&mut self.pool);
                if client.waits_for_room() {
                    self.outbox_drained(g, slot);
                }
            }
            Poll::Ready(Err(_)) => self.drop_client(g, slot),
            Poll::Pending => {
                gate.counters.bytes_out += (before - client.out.len()) as u64;
                self.outbox_drained(g, slot);
            }
        }
    }

    /// Below half of the mark the client is read again and gets its newest `Latest` pushes.
    fn outbox_drained(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return };
        if client.stage == Stage::Closing && client.out.is_empty() {
            return self.end_client(g, slot);
        }
        if client.out.len() > listener.settings.outbox / 2 {
            return;
        }
        let paused = client.paused;
        if let Some(extras) = &mut client.extras
            && !extras.latest.is_empty()
        {
            for (route, body) in std::mem::take(&mut extras.latest) {
                self.write_data(g, slot, (route, 0), &body);
            }
        }
        if paused {
            self.resume(g, slot);
        }
    }

    /// Everything is out: shuts the sending side down and waits for the peer's end.
    fn end_client(&mut self, g: u8, slot: u32) {
        let Some(client) = self.client(g, slot) else { return };
        client.stage = Stage::Ending;
        self.poll_ending(g, slot);
    }

    pub(crate) fn poll_ending(&mut self, g: u8, slot: u32) {
        let Some(client) = self.client(g, slot) else { return };
        let waker = &client.waker;
        let conn = &mut client.conn;
        if free_of_budget(waker, |cx| conn.poll_shutdown(cx)).is_ready() {
            self.drop_client(g, slot);
        }
    }

    /// Starts a graceful end: what is queued goes out, then the goodbye, then the connection.
    pub(crate) fn close_client(&mut self, g: u8, slot: u32, why: Farewell, kick: Option<(u32, &str)>) {
        let Some(client) = self.client(g, slot) else { return };
        if matches!(client.stage, Stage::Closing | Stage::Ending) {
            return;
        }
        let (generation, hello) = (client.generation, client.hello);
        self.note_close(g, slot, why, kick);
        if hello && let Some((code, text)) = kick {
            self.write_frame(g, slot, |d, framing, out| d.put_kick(&Kick { code, text }, framing, out));
        }
        self.depart(g, slot);
        let deadline = self.now() + SHUTDOWN;
        self.timers.add(deadline, TimerEvent::Shutdown(g, slot, generation));
        let Some(client) = self.client(g, slot) else { return };
        client.stage = Stage::Closing;
        client.finished = true;
        let Client { conn, out, .. } = client;
        conn.finish(why, out);
        self.mark_dirty(g, slot);
    }

    /// Ends a connection with a code of due's.
    pub(crate) fn kick_client(&mut self, g: u8, slot: u32, code: Code) {
        self.close_client(g, slot, Farewell::Policy, Some((code.number(), code.text())));
    }

    pub(crate) fn shutdown_overdue(&mut self, g: u8, slot: u32, generation: u32) {
        if self.client(g, slot).is_some_and(|c| c.generation == generation) {
            self.drop_client(g, slot);
        }
    }

    /// Ends a connection at once.
    pub(crate) fn drop_client(&mut self, g: u8, slot: u32) {
        self.note_end(g, slot, ("lost", ""));
        self.depart(g, slot);
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.remove(slot) else { return };
        gate.counters.closed += 1;
        if gate.own.draining.load(std::sync::atomic::Ordering::Relaxed) {
            gate.own.ledger.note(client.hello);
        }
        if let Some(connections) = gate.own.connections.get(usize::from(client.listener)) {
            connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// How long a graceful end may take.
const SHUTDOWN: std::time::Duration = std::time::Duration::from_secs(2);

/// Takes the request off the list of those that wait; `false` if it waits no more, so that nothing is answered twice.
fn settle_request(client: &mut Client, head: &Head) -> bool {
    let Some(extras) = &mut client.extras else { return false };
    let at = extras.requests.iter().position(|r| r.seq == head.seq && r.route == head.route);
    match at {
        Some(0) => drop(extras.requests.pop_front()),
        Some(at) => drop(extras.requests.remove(at)),
        None => return false,
    }
    true
}
