//! One connection of the load generator: what it sends and what must come back.

use std::{io, time::Instant};

use rustix::event::epoll::EventFlags;

use crate::{
    Fallible,
    frame::{Frame, cut},
    histogram::Histogram,
    load::Shape,
    socket::{Poller, SCRATCH, Socket},
};

/// The route of every frame.
const ROUTE: u16 = 1;

/// What all clients of the thread share.
pub(crate) struct Wire {
    pub(crate) poller: Poller,
    coalescing: bool,
    /// The zero of all stamps.
    start: Instant,
    scratch: Vec<u8>,
    out: Vec<u8>,
    body: Vec<u8>,
}

/// One connection.
pub(crate) struct Client {
    socket: Socket,
    /// Frames written and replies read since the beginning.
    sent: u64,
    answered: u64,
    /// When the frames in flight were written (ns), by number modulo the window.
    stamps: Box<[u64]>,
}

impl Wire {
    /// For clients of `shape` that `poller` watches.
    pub(crate) fn new(poller: Poller, shape: Shape) -> Self {
        Self {
            poller,
            coalescing: shape.coalescing,
            start: Instant::now(),
            scratch: vec![0; SCRATCH],
            out: Vec::new(),
            body: (0..shape.body).map(|i| i as u8).collect(),
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

impl Client {
    /// Keeps up to `window` frames in flight on `socket`.
    pub(crate) fn new(socket: Socket, window: usize) -> Self {
        Self { socket, sent: 0, answered: 0, stamps: vec![0; window].into() }
    }

    /// Sends what the window has room for; nothing, once it was filled.
    pub(crate) fn fill(&mut self, wire: &mut Wire) -> io::Result<()> {
        let room = self.stamps.len() - (self.sent - self.answered) as usize;
        self.send(room, wire)
    }

    /// The socket is ready: reads once, records the latency of each reply, sends as many frames as were answered.
    pub(crate) fn turn(&mut self, writable: bool, wire: &mut Wire, latency: &mut Histogram) -> Fallible<()> {
        if writable {
            self.socket.flush(&wire.poller)?;
        }
        let Some(n) = self.socket.read(&mut wire.scratch)? else { return Ok(()) };
        let now = wire.now();
        let replies = self.replies(wire.scratch.get(..n).unwrap_or_default(), &wire.body, |sent| {
            latency.record(now.saturating_sub(sent));
        })?;
        Ok(self.send(replies, wire)?)
    }

    /// Checks every whole reply in `bytes`, tells `took` when its frame was written, keeps the rest.
    fn replies(&mut self, mut bytes: &[u8], body: &[u8], mut took: impl FnMut(u64)) -> Fallible<usize> {
        let mut count = 0;
        while let Some(reply) = cut(bytes).map_err(|e| format!("a reply that cannot be cut: {e:?}"))? {
            if self.answered == self.sent || !is_reply(&reply, self.answered, body) {
                let start = reply.body.get(..4);
                return Err(
                    format!("reply {} is wrong: {:?} {start:?}", self.answered, (reply.route, reply.seq)).into()
                );
            }
            let slot = self.answered as usize % self.stamps.len();
            took(self.stamps.get(slot).copied().unwrap_or_default());
            self.answered += 1;
            count += 1;
            bytes = bytes.get(reply.len()..).unwrap_or_default();
        }
        self.socket.keep(bytes);
        Ok(count)
    }

    /// Writes `count` frames.
    fn send(&mut self, count: usize, wire: &mut Wire) -> io::Result<()> {
        const BOTH: EventFlags = EventFlags::IN.union(EventFlags::OUT);
        let mut left = count;
        while left > 0 {
            let batch = if wire.coalescing { left } else { 1 };
            wire.out.clear();
            let now = wire.now();
            for _ in 0..batch {
                self.put(now, &mut wire.out, &mut wire.body);
            }
            self.socket.write(&wire.poller, &wire.out, BOTH)?;
            left -= batch;
        }
        Ok(())
    }

    fn put(&mut self, now: u64, out: &mut Vec<u8>, body: &mut [u8]) {
        if let Some(front) = body.first_chunk_mut() {
            *front = mark(self.sent);
        }
        Frame { header: 0, route: ROUTE, seq: self.sent as u16, body }.put(out);
        let slot = self.sent as usize % self.stamps.len();
        if let Some(stamp) = self.stamps.get_mut(slot) {
            *stamp = now;
        }
        self.sent += 1;
    }
}

/// The first four bytes of the body of frame `number`.
fn mark(number: u64) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

/// Is `reply` what was sent as frame `number`? Of the body, the mark and the last byte are compared.
fn is_reply(reply: &Frame<'_>, number: u64, body: &[u8]) -> bool {
    reply.header == 0
        && reply.route == ROUTE
        && reply.seq == number as u16
        && reply.body.len() == body.len()
        && (body.len() < 4 || reply.body.starts_with(&mark(number)))
        && (body.len() <= 4 || reply.body.last() == body.last())
}
