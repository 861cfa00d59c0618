//! A link session without a socket: counts, resend, heartbeat, credit.
//!
//! A session outlives its connections. Both sides count the units they hand to their users; a new connection begins
//! with `received n` from each side, and each goes on behind what the other has: effectively once, in order. What is
//! read from a connection and not handed out is dropped with it, and comes again.
//!
//! Every frame of the user is counted and kept until it is confirmed, control frames too: a lost credit would be lost
//! for ever. What is under way (sent, not handed out at the other side) is bounded by the high-water mark, which is the
//! credit of the link.
//!
//! The owner moves bytes: [`Session::slices`] and [`Session::wrote`], [`Session::space`] and [`Session::filled`]; and it
//! calls [`Session::turn`] whenever it is polled and [`Session::sweep`] each [`SWEEP`].

mod beat;
mod inlet;
mod log;
mod parts;
#[cfg(test)]
mod tests;
mod wire;

use std::{io::IoSlice, time::Duration};

use bytes::Bytes;
use due_core::transport::{Batch, Head, Part, Refused};
use tokio::time::Instant;

use self::{
    beat::{Ages, Beat},
    inlet::Inlet,
    log::{Body, Log},
    parts::{Parts, Waiting},
    wire::{Hello, PART, Ping, Unit},
};

pub(crate) use beat::SWEEP;

pub(crate) use wire::Broken;

/// The largest window that another side may claim, in bytes.
const MAX_WINDOW: u64 = 1 << 30;

/// Bytes of the link itself that may wait to be written; what asks for more of them waits too.
const OWN: usize = 4096;

/// What a session holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes under way from which on nothing more is taken; control frames up to twice of it.
    pub(crate) high: usize,
    /// Largest body in bytes.
    pub(crate) max_frame: usize,
}

/// One side of a link session.
pub(crate) struct Session {
    start: Instant,
    limits: Limits,
    /// What the other side said of itself on this connection; nothing of the user goes out before.
    peer: Option<Hello>,
    /// There was a connection before: the other side's count decides where to go on.
    resumed: bool,
    attached: bool,
    log: Log,
    parts: Parts,
    /// Units of the link itself that are to be written; they go between two others.
    own: Vec<u8>,
    own_written: usize,
    inlet: Inlet,
    /// The large frame that is being put together.
    large: Option<Large>,
    /// Frames taken from the user.
    taken: u64,
    /// Units handed to the user, and what of it the other side was told.
    received: u64,
    told: u64,
    /// Bytes handed to the user since then.
    owed: usize,
    /// Was something refused since there was room?
    full: bool,
    /// The heartbeat that must come back before anything is handed out.
    suspect: Option<u64>,
    beat: Beat,
    ages: Ages,
    leaving: bool,
    left: bool,
    over: bool,
}

struct Large {
    head: Head,
    total: usize,
    body: Vec<u8>,
}

impl Session {
    /// A session without a connection.
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            start: now,
            limits,
            peer: None,
            resumed: false,
            attached: false,
            log: Log::default(),
            parts: Parts::default(),
            own: Vec::new(),
            own_written: 0,
            inlet: Inlet::default(),
            large: None,
            taken: 0,
            received: 0,
            told: 0,
            owed: 0,
            full: false,
            suspect: None,
            beat: Beat::new(now),
            ages: Ages::default(),
            leaving: false,
            left: false,
            over: false,
        }
    }

    /// A connection is up, proven to be the other side's. The one before it is forgotten with all that was read from it.
    pub(crate) fn attach(&mut self, now: Instant) {
        self.detach();
        self.attached = true;
        self.beat.restart(now);
        let (window, max_frame) = (self.limits.high as u64, self.limits.max_frame as u64);
        wire::put_hello(&mut self.own, &Hello { received: self.received, window, max_frame });
        (self.told, self.owed) = (self.received, 0);
    }

    /// The connection is gone.
    pub(crate) fn detach(&mut self) {
        self.resumed |= self.attached;
        self.attached = false;
        self.peer = None;
        self.log.restart();
        self.inlet.clear();
        self.own.clear();
        self.own_written = 0;
        self.suspect = None;
    }

    /// Has the other side ended the session, and is everything before that handed out?
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Frames taken from the user so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// May a byte of frame number `frame` (the first is 1) have reached the other side?
    pub(crate) fn is_written(&self, frame: u64) -> bool {
        self.log.is_written(frame)
    }
}

/// Sending.
impl Session {
    /// Takes a frame, or nothing.
    pub(crate) fn send(&mut self, head: Head, body: Part<'_>) -> Result<(), Refused> {
        let limit = if head.lane == 0 { self.limits.high * 2 } else { self.limits.high };
        if self.over || self.leaving {
            return Err(Refused::Gone);
        }
        if self.held() >= limit {
            self.full = true;
            return Err(Refused::Full);
        }
        let len = body.bytes().len();
        if len > self.max_frame() {
            return Err(Refused::TooLarge);
        }
        self.taken += 1;
        let (frame, stamp) = (self.taken, if head.ttl_ms > 0 { self.clock(Instant::now()) } else { 0 });
        if len > PART || self.parts.holds(head.lane) {
            let body = match body {
                Part::Copy(b) => Bytes::copy_from_slice(b),
                Part::Shared(b) => b.clone(),
            };
            self.parts.push(Waiting { head, stamp, frame, body, sent: 0 });
            return Ok(());
        }
        match body {
            Part::Copy(b) => self.log.push(frame, Body::Copied(b), |out| wire::put_frame(out, &head, stamp, None, len)),
            Part::Shared(b) => {
                self.log.push(frame, Body::Shared(b), |out| wire::put_frame(out, &head, stamp, None, len))
            }
        }
        Ok(())
    }

    /// Bytes on their way to the other side's user.
    fn held(&self) -> usize {
        self.log.weight() + self.parts.weight()
    }

    fn max_frame(&self) -> usize {
        self.peer.map_or(usize::MAX, |peer| peer.max_frame as usize).min(self.limits.max_frame)
    }

    /// Is there room again? Below half of the mark, if something was refused.
    pub(crate) fn has_room(&mut self) -> bool {
        let mark = if self.full { self.limits.high.div_ceil(2) } else { self.limits.high };
        let room = self.held() < mark;
        self.full = !room;
        room
    }

    /// Puts together what goes out next; call it before [`Session::slices`]. Says whether there is anything.
    pub(crate) fn prepare(&mut self) -> bool {
        if !self.attached {
            return false;
        }
        self.parts.pump(&mut self.log);
        let open = self.is_open();
        if open && self.received > self.told && (self.log.unwritten() > 0 || !self.own.is_empty()) {
            self.tell();
        }
        if open && self.leaving && !self.left && self.log.unwritten() == 0 {
            self.left = true;
            wire::put_bye(&mut self.own);
        }
        !self.own.is_empty() || open && self.log.unwritten() > 0
    }

    /// Is everything of the user written?
    pub(crate) fn is_flushed(&self) -> bool {
        self.parts.is_empty() && self.log.unwritten() == 0
    }

    /// The next pieces to write, in order; says how many there are.
    pub(crate) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let before = self.rest();
        let own = self.own.get(self.own_written..).unwrap_or_default();
        let behind = if self.is_open() { usize::MAX } else { 0 };
        let own = (!own.is_empty()).then_some(own);
        let pieces = self.log.pieces(0, before).chain(own).chain(self.log.pieces(before, behind));
        let mut used = 0;
        for (slot, piece) in into.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    /// So many bytes of the slices were written.
    pub(crate) fn wrote(&mut self, n: usize) {
        let before = n.min(self.rest());
        self.log.wrote(before);
        let own = (n - before).min(self.own.len() - self.own_written);
        self.own_written += own;
        self.log.wrote(n - before - own);
        if self.own_written == self.own.len() {
            self.own.clear();
            self.own_written = 0;
        }
    }

    /// Bytes of a unit that must be written before the link's own ones.
    fn rest(&self) -> usize {
        if self.own_written > 0 { 0 } else { self.log.rest() }
    }

    /// May frames go out? On a connection after the first only behind the other side's count.
    fn is_open(&self) -> bool {
        self.peer.is_some() || !self.resumed
    }

    /// The user is leaving: nothing more is taken, and the other side is told behind the last frame.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
    }

    fn tell(&mut self) {
        wire::put_ack(&mut self.own, self.received);
        (self.told, self.owed) = (self.received, 0);
    }

    fn ping(&mut self, now: Instant, urgent: bool) -> u64 {
        let ((number, seen), clock) = (self.beat.next(now), self.clock(now));
        wire::put_ping(&mut self.own, &Ping { number, seen, received: self.received, clock, urgent });
        (self.told, self.owed) = (self.received, 0);
        number
    }

    /// The link clock: milliseconds since the session began.
    fn clock(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }
}

/// Time.
impl Session {
    /// A turn of the owner begins. After a long sleep what was read may be old: see [`Session::suspect`].
    pub(crate) fn turn(&mut self, now: Instant) {
        if self.beat.turn(now) && self.attached {
            self.suspect(now);
        }
    }

    /// Is something there that was read and not handed out?
    pub(crate) fn has_unread(&self) -> bool {
        !self.inlet.ready().is_empty()
    }

    /// Is nothing handed out now, see [`Session::suspect`]?
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// Holds back what is read until the other side answers a heartbeat that is sent now.
    pub(crate) fn suspect(&mut self, now: Instant) {
        if !self.attached {
            return;
        }
        self.beat.forgive(now);
        self.suspect = Some(self.ping(now, true));
        let window = self.peer.map_or(self.limits.high as u64, |peer| peer.window) as usize;
        // What may be under way: twice the window with control frames, and a large frame above it.
        self.inlet.hold(window.saturating_mul(2).saturating_add(self.limits.max_frame));
    }

    /// Call it each [`SWEEP`]: sends a heartbeat, or says why the connection is dead.
    pub(crate) fn sweep(&mut self, now: Instant) -> Result<(), &'static str> {
        if !self.attached {
            return Ok(());
        }
        if let Some(why) = self.beat.fault(now) {
            return Err(why);
        }
        let timed = self.beat.is_timed();
        let number = self.ping(now, timed);
        if timed {
            self.beat.time(number, now);
        }
        Ok(())
    }

    /// How long a heartbeat takes to the other side and back, smoothed; nothing until one came back.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.beat.round_trip()
    }
}

/// Receiving.
impl Session {
    /// Room for what is read next; empty while the user has to take something first.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.inlet.space()
    }

    /// `n` bytes were read into the space. Takes what is the link's own out of them.
    pub(crate) fn filled(&mut self, now: Instant, n: usize) -> Result<(), Broken> {
        self.inlet.filled(n);
        self.beat.hear(now);
        while let Some((own, bytes)) = self.inlet.unseen()? {
            let (len, is_bye) = (bytes.len(), wire::is_bye(bytes));
            let unit = if own { wire::parse(bytes)?.map(|(unit, _)| unit) } else { None };
            match unit {
                Some(Unit::Hello(hello)) => self.meet(hello)?,
                _ if self.peer.is_none() && !is_bye => return Err(Broken("a unit before the hello")),
                Some(Unit::Ping(ping)) => self.pinged(now, ping)?,
                Some(Unit::Ack(received)) => self.confirm(now, received)?,
                _ => {}
            }
            self.inlet.seen(len, own && !is_bye);
        }
        if self.suspect.is_some() && !self.inlet.is_hungry() {
            return Err(Broken("more bytes under way than the window permits"));
        }
        Ok(())
    }

    fn meet(&mut self, hello: Hello) -> Result<(), Broken> {
        if self.peer.is_some() {
            return Err(Broken("a second hello"));
        }
        if hello.window > MAX_WINDOW {
            return Err(Broken("a window out of bounds"));
        }
        if self.resumed {
            self.log.rewind(hello.received)?;
        } else if hello.received != 0 {
            return Err(Broken("a count before the first unit"));
        }
        self.peer = Some(hello);
        Ok(())
    }

    fn pinged(&mut self, now: Instant, ping: Ping) -> Result<(), Broken> {
        self.beat.ping(now, ping.number, ping.seen);
        self.ages.note(self.clock(now), ping.clock);
        if self.suspect.is_some_and(|number| number <= ping.seen) {
            self.suspect = None;
            self.inlet.hold(0);
        }
        if ping.urgent && self.own.len() < OWN {
            self.ping(now, false);
        }
        self.log.confirm(ping.received)
    }

    fn confirm(&mut self, now: Instant, received: u64) -> Result<(), Broken> {
        self.beat.confirm(now);
        self.log.confirm(received)
    }

    /// Hands out at most `max` frames and says how many; 0 while nothing whole is there or the link is suspect.
    pub(crate) fn take(&mut self, now: Instant, into: &mut Batch, max: usize) -> Result<usize, Broken> {
        let mut count = 0;
        let mut clock = None;
        while count < max && self.suspect.is_none() && !self.over {
            let Some((unit, len)) = wire::parse(self.inlet.ready())? else { break };
            let counted = match unit {
                Unit::Frame { head, stamp, total, body } => {
                    let clock =
                        *clock.get_or_insert_with(|| now.saturating_duration_since(self.start).as_millis() as u64);
                    let head = self.ages.aged(head, stamp, clock);
                    count += begin(&mut self.large, into, (head, total, body), self.limits.max_frame)?;
                    true
                }
                Unit::More(body) => {
                    count += go_on(&mut self.large, into, body)?;
                    true
                }
                Unit::Bye => {
                    self.over = true;
                    false
                }
                _ => false,
            };
            self.inlet.took(len);
            if counted {
                self.received += 1;
                self.owed += len;
            }
        }
        self.settle();
        Ok(count)
    }

    /// Confirms what was handed out as soon as it is worth a write of its own.
    fn settle(&mut self) {
        let window = self.peer.map_or(0, |peer| peer.window) as usize;
        if self.received > self.told && self.owed >= window / 8 && self.own.len() < OWN {
            self.tell();
        }
    }
}

impl Ages {
    /// The head as it arrives: with the time that is left. 1 is what is left of a time that is over.
    fn aged(&mut self, head: Head, stamp: u64, clock: u64) -> Head {
        if head.ttl_ms == 0 {
            return head;
        }
        let age = self.note(clock, stamp).min(u32::MAX.into()) as u32;
        Head { ttl_ms: head.ttl_ms.saturating_sub(age).max(Head::EXPIRED), ..head }
    }
}

/// The bytes that tell a dialer that its session is over.
pub(crate) fn farewell() -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::put_bye(&mut bytes);
    bytes
}

type First<'a> = (Head, Option<u32>, &'a [u8]);

/// Takes a frame or its first part; says whether a frame is whole.
fn begin(large: &mut Option<Large>, into: &mut Batch, first: First<'_>, longest: usize) -> Result<usize, Broken> {
    let (head, total, body) = first;
    let Some(total) = total else {
        into.push(head, body);
        return Ok(1);
    };
    let total = total as usize;
    if large.is_some() || total > longest || body.len() >= total {
        return Err(Broken("a large frame that cannot be"));
    }
    *large = Some(Large { head, total, body: body.to_vec() });
    Ok(0)
}

/// Takes a further part; says whether the frame is whole.
fn go_on(large: &mut Option<Large>, into: &mut Batch, part: &[u8]) -> Result<usize, Broken> {
    let Some(open) = large else { return Err(Broken("a part of no frame")) };
    if part.is_empty() || open.body.len() + part.len() > open.total {
        return Err(Broken("a part that does not fit"));
    }
    open.body.extend_from_slice(part);
    if open.body.len() < open.total {
        return Ok(0);
    }
    into.push(open.head, &open.body);
    *large = None;
    Ok(1)
}
