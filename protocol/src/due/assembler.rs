//! What one connection has left over between reads.

use due_core::net::Framing;

use super::{
    dialect::Dialect,
    frame::{Frame, FrameError, Peer, Step},
};

/// Does the receiver of a frame want the next one?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    Continue,
    /// Not now: the rest is kept until [`Assembler::resume`].
    Pause,
    /// Never: the rest is dropped, and all that comes later.
    Stop,
}

/// Cuts what a connection reads into frames.
///
/// Frames are parsed where they stand in the chunk; only a frame that is not complete yet, or what follows a pause, is
/// copied and kept. An idle connection keeps no buffer. Every frame is given out once, in order; an error comes after
/// the frames before it, is final, and drops what is kept.
#[derive(Debug)]
pub struct Assembler {
    /// Running on a stream: the front of one frame. Paused: frames from `start` on; messages each behind their length.
    kept: Vec<u8>,
    start: usize,
    state: Flow,
    peer: Peer,
    framing: Framing,
    /// `kept` stands in a buffer that goes back to its owner when it is empty.
    lent: bool,
}

/// What may pile up besides one frame while paused: one read of a connection.
const CHUNK: usize = 64 * 1024;
/// A buffer up to this capacity stays with an idle connection.
const SPARE: usize = 256;
/// The length that is kept before a message.
const LEN: usize = size_of::<u32>();

impl Assembler {
    /// For a connection that has read nothing yet: [`Peer::New`] on a server, [`Peer::Server`] on a client.
    pub fn new(peer: Peer, framing: Framing) -> Self {
        Self { kept: Vec::new(), start: 0, state: Flow::Continue, peer, framing, lent: false }
    }

    /// Who is on the other side, as far as it is known.
    #[inline]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Bytes kept. Not 0 on a running stream means: in the middle of a frame.
    #[inline]
    pub fn kept(&self) -> usize {
        self.kept.len() - self.start
    }

    /// Is it waiting for [`Assembler::resume`]?
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.state == Flow::Pause
    }

    /// The peer, if frames may be taken from the front of the next chunk by [`Dialect::next`], or messages by
    /// [`Dialect::message`], instead of being fed: nothing is kept, nothing is paused, and the first frame is behind.
    #[inline]
    pub fn is_straight(&self) -> Option<Peer> {
        let settled = matches!(self.peer, Peer::Old | Peer::Hello);
        let clear = self.kept.is_empty() && self.state == Flow::Continue;
        (settled && clear).then_some(self.peer)
    }

    /// Pauses before the next frame.
    pub fn pause(&mut self) {
        if self.state == Flow::Continue {
            self.state = Flow::Pause;
        }
    }

    /// Lends an empty buffer for what has to be kept of a stream, if there is none yet. Ask for it back with
    /// [`Assembler::reclaim`] after each call; without that an idle connection holds it.
    pub fn lend(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.kept.capacity() == 0 && self.framing == Framing::Stream {
            self.kept = buffer();
            self.kept.clear();
            self.lent = true;
        }
    }

    /// A lent buffer that is not needed any more.
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        let free = self.lent && self.kept() == 0;
        free.then(|| {
            (self.lent, self.start) = (false, 0);
            std::mem::take(&mut self.kept)
        })
    }

    /// Takes a chunk of a stream, or one whole message, and gives each frame to `each`. Tells what `each` said last.
    ///
    /// While paused it only keeps the bytes: at most one frame and 64 KiB in all, or what one call brought, else
    /// [`FrameError::Full`]. After `Stop` or an error it drops them.
    #[inline]
    pub fn feed<F: FnMut(Frame<'_>) -> Flow>(
        &mut self,
        dialect: &Dialect,
        chunk: &[u8],
        mut each: F,
    ) -> Result<Flow, FrameError> {
        let fed = match (self.state, self.framing) {
            (Flow::Continue, Framing::Stream) => self.stream(dialect, chunk, &mut each),
            (Flow::Continue, Framing::Messages) => dialect.message(&mut self.peer, chunk).map(each),
            (Flow::Pause, _) => self.keep(dialect, chunk),
            (Flow::Stop, _) => Ok(Flow::Stop),
        };
        self.turn(fed)
    }

    /// Goes on after a pause with what was kept. Does nothing if there was none.
    pub fn resume<F: FnMut(Frame<'_>) -> Flow>(&mut self, dialect: &Dialect, mut each: F) -> Result<Flow, FrameError> {
        if self.state != Flow::Pause {
            return Ok(self.state);
        }
        let unread = self.kept.get(self.start..).unwrap_or_default();
        let parsed = match self.framing {
            Framing::Stream => parse(dialect, &mut self.peer, unread, &mut each),
            Framing::Messages => parse_messages(dialect, &mut self.peer, unread, &mut each),
        };
        let flow = parsed.map(|(flow, used)| {
            self.start += used;
            flow
        });
        if flow == Ok(Flow::Continue) || self.kept() == 0 {
            self.compact();
        }
        self.turn(flow)
    }

    fn stream<F: FnMut(Frame<'_>) -> Flow>(
        &mut self,
        dialect: &Dialect,
        chunk: &[u8],
        each: &mut F,
    ) -> Result<Flow, FrameError> {
        let mut rest = chunk;
        let mut flow = Flow::Continue;
        while !self.kept.is_empty() && flow == Flow::Continue {
            match dialect.next(&mut self.peer, &self.kept)? {
                // The kept bytes never reach past the frame they begin, so the frame is all of them.
                Step::Frame(frame, _) => {
                    flow = each(frame);
                    self.start = self.kept.len();
                    self.compact();
                }
                Step::Need(_) if rest.is_empty() => return Ok(Flow::Continue),
                Step::Need(total) => {
                    let missing = total.saturating_sub(self.kept.len()).min(rest.len());
                    let (now, later) = rest.split_at(missing);
                    self.kept.extend_from_slice(now);
                    rest = later;
                }
            }
        }
        if flow == Flow::Continue {
            let (last, used) = parse(dialect, &mut self.peer, rest, each)?;
            (flow, rest) = (last, rest.get(used..).unwrap_or_default());
        }
        self.kept.extend_from_slice(rest);
        Ok(flow)
    }

    #[cold]
    fn keep(&mut self, dialect: &Dialect, chunk: &[u8]) -> Result<Flow, FrameError> {
        if self.kept() + chunk.len() > dialect.max_frame() + CHUNK {
            return Err(FrameError::Full);
        }
        self.compact();
        if self.framing == Framing::Messages {
            let Ok(len) = u32::try_from(chunk.len()) else { return Err(FrameError::Full) };
            self.kept.extend_from_slice(&len.to_ne_bytes());
        }
        self.kept.extend_from_slice(chunk);
        Ok(Flow::Pause)
    }

    /// Forgets what was read, and gives memory back that an idle connection should not hold.
    fn compact(&mut self) {
        self.kept.drain(..self.start.min(self.kept.len()));
        self.start = 0;
        if !self.lent && self.kept.capacity() > SPARE.max(2 * self.kept.len()) {
            self.kept.shrink_to_fit();
        }
    }

    #[inline]
    fn turn(&mut self, flow: Result<Flow, FrameError>) -> Result<Flow, FrameError> {
        self.state = flow.unwrap_or(Flow::Stop);
        if self.state == Flow::Stop {
            self.kept.clear();
            self.start = 0;
            if !self.lent {
                self.kept = Vec::new();
            }
        }
        flow
    }
}

/// Frames from the front of a stream, and how many bytes they took.
#[inline]
fn parse<F: FnMut(Frame<'_>) -> Flow>(
    dialect: &Dialect,
    peer: &mut Peer,
    bytes: &[u8],
    each: &mut F,
) -> Result<(Flow, usize), FrameError> {
    let mut used = 0;
    while let Some(rest) = bytes.get(used..) {
        let Step::Frame(frame, len) = dialect.next(peer, rest)? else { break };
        used += len;
        let flow = each(frame);
        if flow != Flow::Continue {
            return Ok((flow, used));
        }
    }
    Ok((Flow::Continue, used))
}

/// The same for kept messages.
fn parse_messages<F: FnMut(Frame<'_>) -> Flow>(
    dialect: &Dialect,
    peer: &mut Peer,
    bytes: &[u8],
    each: &mut F,
) -> Result<(Flow, usize), FrameError> {
    let mut used = 0;
    while let Some((len, rest)) = bytes.get(used..).and_then(<[u8]>::split_first_chunk::<LEN>) {
        let len = u32::from_ne_bytes(*len) as usize;
        let Some(message) = rest.get(..len) else { break };
        used += LEN + len;
        let flow = each(dialect.message(peer, message)?);
        if flow != Flow::Continue {
            return Ok((flow, used));
        }
    }
    Ok((Flow::Continue, used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Head;

    fn frames(n: i32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        (0..n).for_each(|seq| {
            Dialect::default().put_data(Head { route: 1, seq }, body, Framing::Stream, &mut out).unwrap()
        });
        out
    }

    #[test]
    fn an_idle_connection_keeps_no_large_buffer() {
        let dialect = Dialect::default();
        let mut assembler = Assembler::new(Peer::New, Framing::Stream);
        for answer in [Flow::Continue, Flow::Pause] {
            for chunk in frames(20, &[0; 9000]).chunks(10_000) {
                assembler.feed(&dialect, chunk, |_| answer).unwrap();
                assembler.resume(&dialect, |_| Flow::Continue).unwrap();
                assert!(assembler.kept.capacity() <= SPARE.max(2 * 10_000));
            }
            assert_eq!(assembler.kept(), 0);
            assert!(assembler.kept.capacity() <= SPARE, "{}", assembler.kept.capacity());
        }
    }

    #[test]
    fn a_lent_buffer_comes_back_when_nothing_is_kept() {
        let dialect = Dialect::default();
        let mut assembler = Assembler::new(Peer::New, Framing::Stream);
        let all = frames(2, &[7; 900]);
        let (front, back) = all.split_at(1000);
        assembler.lend(|| Vec::with_capacity(4096));
        assembler.feed(&dialect, front, |_| Flow::Continue).unwrap();
        assert!(assembler.reclaim().is_none() && assembler.is_straight().is_none());
        assembler.lend(|| unreachable!("it has one"));
        let mut seen = 0;
        assembler
            .feed(&dialect, back, |_| {
                seen += 1;
                Flow::Continue
            })
            .unwrap();
        assert_eq!((seen, assembler.reclaim().map(|b| b.capacity())), (1, Some(4096)));
        assert_eq!(assembler.is_straight(), Some(Peer::Old));
        assert!(assembler.reclaim().is_none());
    }

    #[test]
    fn a_pause_between_frames_keeps_the_next_one() {
        let dialect = Dialect::default();
        let mut assembler = Assembler::new(Peer::New, Framing::Stream);
        assembler.pause();
        let mut seen = 0;
        let mut count = |_: Frame<'_>| {
            seen += 1;
            Flow::Continue
        };
        assert_eq!(assembler.feed(&dialect, &frames(2, b"x"), &mut count), Ok(Flow::Pause));
        assert_eq!(assembler.resume(&dialect, &mut count), Ok(Flow::Continue));
        assert_eq!((seen, assembler.kept()), (2, 0));
    }

    #[test]
    fn a_buffer_does_not_grow_while_input_and_pauses_take_turns() {
        let dialect = Dialect::default();
        let mut assembler = Assembler::new(Peer::New, Framing::Stream);
        let one = frames(1, &[0; 900]);
        assembler.feed(&dialect, &frames(3, &[0; 900]), |_| Flow::Pause).unwrap();
        for _ in 0..100 {
            assembler.resume(&dialect, |_| Flow::Pause).unwrap();
            assembler.feed(&dialect, &one, |_| Flow::Pause).unwrap();
            assert_eq!(assembler.kept(), 2 * one.len());
            assert!(assembler.kept.len() <= 3 * one.len());
        }
    }
}
