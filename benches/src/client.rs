//! One connection of the load generator: what it sends and what must come back.

use std::{io, time::Instant};

use rustix::event::epoll::EventFlags;

use crate::{
    Fallible,
    dialect::{Dialect, Piece, ROUTE, Reply},
    histogram::Histogram,
    load::{Content, Shape},
    socket::{Poller, SCRATCH, Socket},
};

/// What all clients of the thread share.
pub(crate) struct Wire {
    pub(crate) poller: Poller,
    dialect: Dialect,
    coalescing: bool,
    content: Content,
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
    /// When the frames in flight were written, or should have been (ns), by number modulo the window.
    stamps: Box<[u64]>,
}

impl Wire {
    /// For clients of `shape` that `poller` watches.
    pub(crate) fn new(poller: Poller, shape: Shape) -> Self {
        Self {
            poller,
            dialect: shape.dialect,
            coalescing: shape.coalescing,
            content: shape.content,
            start: Instant::now(),
            scratch: vec![0; SCRATCH],
            out: Vec::new(),
            body: shape.content.body(shape.body),
        }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

impl Client {
    /// Keeps up to `window` frames in flight on `socket`.
    pub(crate) fn new(socket: Socket, window: usize) -> Self {
        Self { socket, sent: 0, answered: 0, stamps: vec![0; window].into() }
    }

    /// How many frames may be sent before one is answered.
    pub(crate) fn room(&self) -> usize {
        self.stamps.len() - (self.sent - self.answered) as usize
    }

    /// Sends what the window has room for; nothing, once it was filled.
    pub(crate) fn fill(&mut self, wire: &mut Wire) -> io::Result<()> {
        self.send(self.room(), wire)
    }

    /// The socket is ready: reads once, records the latency of each reply, and says how many came.
    pub(crate) fn take(&mut self, writable: bool, wire: &mut Wire, latency: &mut Histogram) -> Fallible<usize> {
        if writable {
            self.socket.flush(&wire.poller)?;
        }
        let Some(n) = self.socket.read(&mut wire.scratch)? else { return Ok(0) };
        let now = wire.now();
        let Wire { dialect, content, ref scratch, ref body, .. } = *wire;
        let expected = Expected { dialect, content, body };
        self.replies(scratch.get(..n).unwrap_or_default(), expected, |sent| latency.record(now.saturating_sub(sent)))
    }

    /// The same, and sends as many frames as were answered.
    pub(crate) fn turn(&mut self, writable: bool, wire: &mut Wire, latency: &mut Histogram) -> Fallible<()> {
        let replies = self.take(writable, wire, latency)?;
        Ok(self.send(replies, wire)?)
    }

    /// Checks every whole reply in `bytes`, tells `took` when its frame was written, keeps the rest.
    fn replies(&mut self, mut bytes: &[u8], expected: Expected<'_>, mut took: impl FnMut(u64)) -> Fallible<usize> {
        let mut count = 0;
        loop {
            let taken = match expected.dialect.cut(bytes)? {
                Piece::Part => break,
                Piece::Other(len) => len,
                Piece::Reply(reply) => {
                    self.check(&reply, expected)?;
                    let slot = self.answered as usize % self.stamps.len();
                    took(self.stamps.get(slot).copied().unwrap_or_default());
                    self.answered += 1;
                    count += 1;
                    reply.len
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        self.socket.keep(bytes);
        Ok(count)
    }

    fn check(&self, reply: &Reply<'_>, expected: Expected<'_>) -> Fallible<()> {
        if self.answered < self.sent && expected.fits(reply, self.answered) {
            return Ok(());
        }
        let start = reply.body.get(..reply.body.len().min(8));
        Err(format!("reply {} is wrong: {:?} {start:?}", self.answered, (reply.route, reply.seq)).into())
    }

    /// Writes `count` frames.
    fn send(&mut self, count: usize, wire: &mut Wire) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let batch = if wire.coalescing { left } else { 1 };
            wire.out.clear();
            let now = wire.now();
            for _ in 0..batch {
                self.put(now, wire);
            }
            self.write(wire)?;
            left -= batch;
        }
        Ok(())
    }

    /// Writes one frame that was due at `at`.
    pub(crate) fn send_one(&mut self, at: u64, wire: &mut Wire) -> io::Result<()> {
        wire.out.clear();
        self.put(at, wire);
        self.write(wire)
    }

    fn write(&mut self, wire: &Wire) -> io::Result<()> {
        const BOTH: EventFlags = EventFlags::IN.union(EventFlags::OUT);
        self.socket.write(&wire.poller, &wire.out, BOTH)
    }

    fn put(&mut self, at: u64, wire: &mut Wire) {
        if let (Content::Marked, Some(front)) = (wire.content, wire.body.first_chunk_mut()) {
            *front = mark(self.sent);
        }
        wire.dialect.put(self.sent, &wire.body, &mut wire.out);
        let slot = self.sent as usize % self.stamps.len();
        if let Some(stamp) = self.stamps.get_mut(slot) {
            *stamp = at;
        }
        self.sent += 1;
    }
}

/// The first four bytes of the body of frame `number`.
fn mark(number: u64) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

/// What replies must be like.
#[derive(Clone, Copy)]
struct Expected<'a> {
    dialect: Dialect,
    content: Content,
    body: &'a [u8],
}

impl Expected<'_> {
    /// Is `reply` what was sent as frame `number`? Of the body, the length, the mark and the last byte are compared.
    fn fits(self, reply: &Reply<'_>, number: u64) -> bool {
        let body = self.body;
        let marked = self.content == Content::Marked && body.len() >= 4;
        (reply.route == ROUTE || matches!(self.dialect, Dialect::Pomelo(_)))
            && reply.seq == self.dialect.seq(number)
            && reply.body.len() == body.len()
            && (!marked || reply.body.starts_with(&mark(number)))
            && (body.len() <= 4 || matches!(self.content, Content::Sealed(_)) || reply.body.last() == body.last())
    }
}
