//! What one read brought of a client, taken from the front frame by frame.

use due_core::net::{Framing, Scratch};
use due_protocol::due::{Dialect, Frame, Peer, Step};

/// The part of a read that is not handled yet.
pub(super) trait Input<'a>: Copy {
    /// How frames stand in it.
    const FRAMING: Framing;

    /// Is everything handled?
    fn is_empty(&self) -> bool;

    /// The frame at the front, unless it is not whole or not good.
    fn front(&self, dialect: &Dialect, peer: &mut Peer) -> Option<Front<'a>>;

    /// Forgets so much of the front as [`Front::len`] says.
    fn skip(&mut self, len: usize);

    /// Takes one frame as it is; all that is left, if there is no whole one.
    fn take_one(&mut self, dialect: &Dialect, peer: Peer) -> &'a [u8];

    /// Takes all that can be cut at once: the rest of a stream, or one message.
    fn take_chunk(&mut self) -> &'a [u8];
}

/// A frame at the front.
pub(super) struct Front<'a> {
    pub(super) frame: Frame<'a>,
    /// The same as it came.
    pub(super) bytes: &'a [u8],
    /// What it takes up: bytes of a stream, or one message.
    pub(super) len: usize,
}

/// Bytes of a stream.
#[derive(Clone, Copy)]
pub(super) struct Stream<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> for Stream<'a> {
    const FRAMING: Framing = Framing::Stream;

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn front(&self, dialect: &Dialect, peer: &mut Peer) -> Option<Front<'a>> {
        match dialect.next(peer, self.0) {
            Ok(Step::Frame(frame, len)) => Some(Front { frame, bytes: self.0.get(..len)?, len }),
            _ => None,
        }
    }

    #[inline]
    fn skip(&mut self, len: usize) {
        self.0 = self.0.get(len..).unwrap_or_default();
    }

    fn take_one(&mut self, dialect: &Dialect, mut peer: Peer) -> &'a [u8] {
        let Some(front) = self.front(dialect, &mut peer) else { return self.take_chunk() };
        self.skip(front.len);
        front.bytes
    }

    fn take_chunk(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// The messages of a scratch from the one at this place on.
#[derive(Clone, Copy)]
pub(super) struct Messages<'a>(pub(super) &'a Scratch, pub(super) usize);

impl<'a> Input<'a> for Messages<'a> {
    const FRAMING: Framing = Framing::Messages;

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.message(self.1).is_none()
    }

    #[inline]
    fn front(&self, dialect: &Dialect, peer: &mut Peer) -> Option<Front<'a>> {
        let bytes = self.0.message(self.1)?;
        Some(Front { frame: dialect.message(peer, bytes).ok()?, bytes, len: 1 })
    }

    #[inline]
    fn skip(&mut self, len: usize) {
        self.1 += len;
    }

    fn take_one(&mut self, _: &Dialect, _: Peer) -> &'a [u8] {
        self.take_chunk()
    }

    fn take_chunk(&mut self) -> &'a [u8] {
        self.1 += 1;
        self.0.message(self.1 - 1).unwrap_or_default()
    }
}
