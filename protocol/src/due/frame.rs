//! Decoding: from bytes to frames.

use std::{error::Error as StdError, fmt};

use due_core::error::{Error, Kind};

use super::{code, dialect::Dialect, hello::MAGIC};

/// One frame, its bytes borrowed from what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message. `seq` is 0 where the listener has none.
    Data {
        /// The route's number.
        route: i32,
        /// The sender's number for it; only ever echoed.
        seq: i32,
        /// The body, not looked into.
        body: &'a [u8],
    },
    /// A sign of life, with what followed its header (a server's time, see [`Dialect::server_time`]).
    Heartbeat(&'a [u8]),
    /// A frame of the extension, only after hello. A first hello comes with [`code::HELLO`] and its whole body.
    Extension {
        /// One of [`code`].
        code: u8,
        /// What follows the code.
        body: &'a [u8],
    },
    /// A frame of no bytes from an old client: ignored, but a sign of life.
    Empty,
    /// A frame too short for its head, or a message whose size lies, from an old client: dropped, the connection stays.
    Short,
}

/// What [`Dialect::next`] found at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A frame, and how many bytes it takes up.
    Frame(Frame<'a>, usize),
    /// More bytes are needed: so many in all, counted from the front. More than there are, at most
    /// [`Dialect::max_frame`].
    Need(usize),
}

/// Who is on the other side, as far as the format cares. Starts as [`Peer::New`] on a server and as [`Peer::Server`] on
/// a client; decoding moves it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// A client before its first frame, which may be a hello.
    #[default]
    New,
    /// A client that did not say hello: due's own rules hold, extension codes are ignored.
    Old,
    /// A client that said hello: anything odd is an error.
    Hello,
    /// A server: it may send everything there is.
    Server,
}

/// Why a connection cannot go on. The frames before it were good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The peer breaks the format.
    Malformed(&'static str),
    /// The peer announces more than the limit. Nothing was allocated for it.
    TooLarge {
        /// What it announces, in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A new client speaks HTTP; [`HTTP_ANSWER`] is all it gets.
    Http,
    /// More bytes were fed to a paused [`Assembler`](super::Assembler) than it may keep.
    Full,
}

/// What a client that speaks HTTP on a stream listener is told before the connection closes.
pub const HTTP_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 29\r\n\r\nthis port does not speak HTTP";

const HEARTBEAT: u8 = 0x80;

impl Dialect {
    /// The frame at the front of a stream. Never allocates, and refuses a size over the limit as soon as its four bytes
    /// are there.
    #[inline]
    pub fn next<'a>(&self, peer: &mut Peer, buf: &'a [u8]) -> Result<Step<'a>, FrameError> {
        let Some((prefix, rest)) = buf.split_first_chunk::<4>() else { return Ok(Step::Need(4)) };
        let size = self.order().u32(*prefix) as usize;
        if size > self.max_size() {
            return self.oversize(peer, buf, size);
        }
        match rest.get(..size) {
            Some(inner) => Ok(Step::Frame(self.frame(peer, inner)?, 4 + size)),
            None => Ok(Step::Need(4 + size)),
        }
    }

    /// The frame that is one whole message, on networks of messages. Never allocates.
    #[inline]
    pub fn message<'a>(&self, peer: &mut Peer, message: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let sized = self.settings().ws_size;
        let max = if sized { self.max_frame() } else { self.max_size() };
        if message.len() > max {
            return Err(FrameError::TooLarge { size: message.len(), max });
        }
        if !sized || message.is_empty() {
            return self.frame(peer, message);
        }
        match message.split_first_chunk::<4>() {
            Some((prefix, inner)) if self.order().u32(*prefix) as usize == inner.len() => self.frame(peer, inner),
            Some((prefix, [HEARTBEAT])) if peer.lenient() && self.swapped_one(*prefix) => {
                peer.settle();
                Ok(Frame::Heartbeat(&[]))
            }
            _ => peer.odd(Frame::Short, "a message whose size differs from its length"),
        }
    }

    /// A size that no good frame has, unless it is the heartbeat of a client with the other byte order: due's
    /// TypeScript client sends it so, and due takes it as life.
    #[cold]
    fn oversize<'a>(&self, peer: &mut Peer, buf: &'a [u8], size: usize) -> Result<Step<'a>, FrameError> {
        let Some((prefix, rest)) = buf.split_first_chunk::<4>() else { return Ok(Step::Need(4)) };
        if peer.lenient() && self.swapped_one(*prefix) {
            match rest.first() {
                None => return Ok(Step::Need(5)),
                Some(&HEARTBEAT) => {
                    peer.settle();
                    return Ok(Step::Frame(Frame::Heartbeat(&[]), 5));
                }
                Some(_) => {}
            }
        }
        match (*peer, prefix) {
            (Peer::New, b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" | b"DELE" | b"PATC" | b"CONN" | b"TRAC") => {
                Err(FrameError::Http)
            }
            _ => Err(FrameError::TooLarge { size, max: self.max_size() }),
        }
    }

    /// Is it a size of 1 in the other byte order?
    fn swapped_one(&self, prefix: [u8; 4]) -> bool {
        self.order().u32(prefix) == 1_u32.swap_bytes()
    }

    /// A frame without its size.
    #[inline]
    fn frame<'a>(&self, peer: &mut Peer, inner: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let Some((&header, rest)) = inner.split_first() else { return peer.odd(Frame::Empty, "an empty frame") };
        match *peer {
            Peer::New if header == code::HELLO && rest.starts_with(MAGIC) => {
                *peer = Peer::Hello;
                Ok(Frame::Extension { code: header, body: rest })
            }
            Peer::New | Peer::Old => {
                *peer = Peer::Old;
                Ok(if header & HEARTBEAT != 0 { Frame::Heartbeat(rest) } else { self.data(rest) })
            }
            Peer::Hello | Peer::Server if header == 0 => match self.data(rest) {
                Frame::Short => peer.odd(Frame::Short, "a frame shorter than its head"),
                data => Ok(data),
            },
            Peer::Hello => from_hello_client(header, rest),
            Peer::Server => from_server(header, rest),
        }
    }

    #[inline]
    fn data<'a>(&self, rest: &'a [u8]) -> Frame<'a> {
        let (route, seq) = self.widths();
        let Some((route, rest)) = rest.split_at_checked(route) else { return Frame::Short };
        let Some((seq, body)) = rest.split_at_checked(seq) else { return Frame::Short };
        Frame::Data { route: self.order().int(route), seq: self.order().int(seq), body }
    }
}

fn from_hello_client(header: u8, rest: &[u8]) -> Result<Frame<'_>, FrameError> {
    match header {
        HEARTBEAT if rest.is_empty() => Ok(Frame::Heartbeat(rest)),
        HEARTBEAT => Err(FrameError::Malformed("a heartbeat with a body")),
        code::HELLO => Err(FrameError::Malformed("a second hello")),
        code::ACK | code::KEY_EXCHANGE => Ok(Frame::Extension { code: header, body: rest }),
        _ => Err(FrameError::Malformed("an extension code that clients do not send")),
    }
}

fn from_server(header: u8, rest: &[u8]) -> Result<Frame<'_>, FrameError> {
    match header {
        HEARTBEAT => Ok(Frame::Heartbeat(rest)),
        code::HELLO..=code::KEY_EXCHANGE => Ok(Frame::Extension { code: header, body: rest }),
        _ => Err(FrameError::Malformed("an unknown extension code")),
    }
}

impl Peer {
    /// Before hello the rules of due hold for a client's odd frames.
    fn lenient(self) -> bool {
        matches!(self, Peer::New | Peer::Old)
    }

    /// The first frame was no hello.
    fn settle(&mut self) {
        if *self == Peer::New {
            *self = Peer::Old;
        }
    }

    /// A frame that due ignores and the extension forbids.
    fn odd<'a>(&mut self, ignored: Frame<'a>, why: &'static str) -> Result<Frame<'a>, FrameError> {
        if *self == Peer::Hello {
            return Err(FrameError::Malformed(why));
        }
        self.settle();
        Ok(ignored)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Malformed(why) => f.write_str(why),
            FrameError::TooLarge { size, max } => write!(f, "a frame of {size} bytes is over the limit of {max}"),
            FrameError::Http => f.write_str("an HTTP request on a port that does not speak HTTP"),
            FrameError::Full => f.write_str("more input than a paused connection may keep"),
        }
    }
}

impl StdError for FrameError {}

impl From<FrameError> for Error {
    fn from(e: FrameError) -> Self {
        let kind = match e {
            FrameError::Malformed(_) | FrameError::Http => Kind::Malformed,
            FrameError::TooLarge { .. } => Kind::TooLarge,
            FrameError::Full => Kind::Full,
        };
        Error::new(kind, e.to_string())
    }
}
