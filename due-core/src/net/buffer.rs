//! Buffers of a shard: read into one scratch, write from pooled segments.

use std::{collections::VecDeque, io::IoSlice, ops::Range};

use bytes::{Buf, Bytes};

/// The one read buffer of a shard, and where the messages in it stand.
pub struct Scratch {
    bytes: Box<[u8]>,
    filled: usize,
    messages: Vec<Message>,
    large: Vec<Vec<u8>>,
}

enum Message {
    Here(Range<usize>),
    Large(usize),
}

impl Scratch {
    /// Bytes of a scratch: the most one connection reads in a turn.
    pub const SIZE: usize = 64 * 1024;

    /// An empty scratch.
    pub fn new() -> Self {
        Self { bytes: vec![0; Self::SIZE].into_boxed_slice(), filled: 0, messages: Vec::new(), large: Vec::new() }
    }

    /// Forgets what was read.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.messages.clear();
        self.large.clear();
    }

    /// The whole buffer, to read into.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Says that the first `n` bytes were read.
    pub fn set_filled(&mut self, n: usize) {
        self.filled = n.min(self.bytes.len());
    }

    /// What was read, of a stream.
    pub fn stream(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Notes a message that stands in the buffer.
    pub fn push_message(&mut self, at: Range<usize>) {
        self.messages.push(Message::Here(at));
    }

    /// Notes a message that was larger than the buffer.
    pub fn push_large(&mut self, message: Vec<u8>) {
        self.messages.push(Message::Large(self.large.len()));
        self.large.push(message);
    }

    /// The messages in the order they came.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.messages.iter().map(|m| self.bytes_of(m))
    }

    /// The message at a place in that order.
    #[inline]
    pub fn message(&self, place: usize) -> Option<&[u8]> {
        self.messages.get(place).map(|m| self.bytes_of(m))
    }

    #[inline]
    fn bytes_of(&self, message: &Message) -> &[u8] {
        match message {
            Message::Here(at) => self.bytes.get(at.clone()).unwrap_or_default(),
            Message::Large(i) => self.large.get(*i).map_or(&[][..], Vec::as_slice),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Emptied buffers of a shard, to be used again. Bounded in count and size.
#[derive(Default)]
pub struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    const KEEP: usize = 1024;
    const LARGEST: usize = 128 * 1024;
    const FIRST: usize = 1024;

    /// An empty buffer with some capacity.
    pub fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(Self::FIRST))
    }

    /// Gives a buffer back.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() != 0 && buffer.capacity() <= Self::LARGEST && self.free.len() < Self::KEEP {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

/// What a connection has still to write: chunks that small frames are copied into, and shared bodies between them.
#[derive(Default)]
pub struct Segments {
    /// Grows at its end while nothing shared stands behind it.
    front: Vec<u8>,
    /// Bytes of `front` that are written already.
    written: usize,
    rest: VecDeque<Segment>,
    rest_len: usize,
}

enum Segment {
    Chunk(Vec<u8>),
    Shared(Bytes),
}

impl Segments {
    /// From this size on a shared body is not copied.
    pub const SHARE_FROM: usize = 2048;

    /// Bytes to write.
    #[inline]
    pub fn len(&self) -> usize {
        self.front.len() - self.written + self.rest_len
    }

    /// Is there nothing to write?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure that the next append finds a pooled buffer.
    #[inline]
    pub fn prime(&mut self, pool: &mut Pool) {
        if self.front.capacity() == 0 && self.rest.is_empty() {
            self.front = pool.take();
        }
    }

    /// Appends through `write`, which may only grow the buffer; its result is passed on.
    pub fn append_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if self.rest.is_empty() {
            return write(&mut self.front);
        }
        if !matches!(self.rest.back(), Some(Segment::Chunk(_))) {
            self.rest.push_back(Segment::Chunk(Vec::new()));
        }
        let Some(Segment::Chunk(chunk)) = self.rest.back_mut() else { return write(&mut self.front) };
        let before = chunk.len();
        let result = write(chunk);
        self.rest_len += chunk.len().saturating_sub(before);
        result
    }

    /// Appends a copy.
    pub fn append(&mut self, bytes: &[u8]) {
        self.append_with(|out| out.extend_from_slice(bytes));
    }

    /// Appends a shared body: copied when short, kept by reference from [`Segments::SHARE_FROM`] on.
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < Self::SHARE_FROM {
            return self.append(bytes);
        }
        self.refer(bytes);
    }

    /// Appends a shared body by reference, however short it is: for what many connections get and is hardly ever read
    /// from memory again.
    pub fn refer(&mut self, bytes: &Bytes) {
        self.rest_len += bytes.len();
        self.rest.push_back(Segment::Shared(bytes.clone()));
    }

    /// The first contiguous piece.
    #[inline]
    pub fn first(&self) -> &[u8] {
        match self.front.get(self.written..) {
            Some(front) if !front.is_empty() => front,
            _ => self.rest.front().map_or(&[][..], Segment::bytes),
        }
    }

    /// Is all of it one piece, that of [`Segments::first`]?
    #[inline]
    pub fn is_single(&self) -> bool {
        match self.rest.len() {
            0 => true,
            1 => self.written == self.front.len(),
            _ => false,
        }
    }

    /// Fills `slices` from the front and says how many were used.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let front = self.front.get(self.written..).unwrap_or_default();
        let pieces = std::iter::once(front).chain(self.rest.iter().map(Segment::bytes)).filter(|p| !p.is_empty());
        let mut used = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    /// Forgets the first `n` bytes: they are written.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        if self.rest.is_empty() && n == self.front.len() - self.written {
            self.front.clear();
            self.written = 0;
            return;
        }
        self.advance_within(n);
    }

    fn advance_within(&mut self, n: usize) {
        let of_front = n.min(self.front.len() - self.written);
        self.written += of_front;
        let mut left = n - of_front;
        self.rest_len = self.rest_len.saturating_sub(left);
        while left > 0 {
            let Some(segment) = self.rest.front_mut() else { break };
            let len = segment.bytes().len();
            if left < len {
                segment.advance(left);
                break;
            }
            left -= len;
            self.rest.pop_front();
        }
        self.settle();
    }

    /// Gives the buffers back when all is written.
    #[inline]
    pub fn reclaim(&mut self, pool: &mut Pool) {
        if self.is_empty() && self.front.capacity() != 0 {
            pool.give(std::mem::take(&mut self.front));
            self.written = 0;
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps `front` from growing for ever behind a slow reader, and moves the next chunk into it.
    fn settle(&mut self) {
        if self.written < self.front.len() {
            if self.written > 64 * 1024 {
                self.front.drain(..self.written);
                self.written = 0;
            }
            return;
        }
        self.front.clear();
        self.written = 0;
        if let Some(Segment::Chunk(_)) = self.rest.front()
            && let Some(Segment::Chunk(chunk)) = self.rest.pop_front()
        {
            self.rest_len -= chunk.len();
            self.front = chunk;
        }
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Chunk(c) => c,
            Segment::Shared(b) => b,
        }
    }

    fn advance(&mut self, n: usize) {
        match self {
            Segment::Chunk(c) => drop(c.drain(..n)),
            Segment::Shared(b) => b.advance(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(out: &mut Segments, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !out.is_empty() {
            let piece = out.first();
            let n = piece.len().min(step);
            assert!(n > 0);
            all.extend_from_slice(&piece[..n]);
            out.advance(n);
        }
        all
    }

    #[test]
    fn segments_come_out_in_the_order_they_went_in() {
        for step in [1, 7, 100, 5000, 100_000] {
            let mut out = Segments::default();
            let large = Bytes::from(vec![7; 5000]);
            let mut want = Vec::new();
            for round in 0..4u8 {
                out.append(&[round; 30]);
                out.share(&large);
                out.share(&Bytes::from_static(b"short"));
                out.append(&[round; 3]);
                want.extend_from_slice(&[round; 30]);
                want.extend_from_slice(&large);
                want.extend_from_slice(b"short");
                want.extend_from_slice(&[round; 3]);
            }
            assert_eq!(out.len(), want.len());
            let mut slices = [IoSlice::new(&[]); 16];
            let used = out.slices(&mut slices);
            assert_eq!(slices[..used].iter().map(|s| s.len()).sum::<usize>(), want.len());
            assert_eq!(drained(&mut out, step), want);
        }
    }

    #[test]
    fn what_is_referred_to_is_one_piece_and_is_not_copied() {
        let mut out = Segments::default();
        let short = Bytes::from_static(b"short");
        out.refer(&short);
        assert!(out.is_single() && out.first().as_ptr() == short.as_ptr());
        out.refer(&short);
        assert!(!out.is_single());
        out.advance(7);
        assert!(out.is_single() && out.first() == b"ort");
        out.append(b"more");
        assert!(!out.is_single());
        assert_eq!(drained(&mut out, 2), b"ortmore");
        assert!(out.is_single() && out.first().is_empty());
    }

    #[test]
    fn an_empty_outbox_holds_no_buffer() {
        let mut pool = Pool::default();
        let mut out = Segments::default();
        out.prime(&mut pool);
        out.append(b"abc");
        out.advance(3);
        out.reclaim(&mut pool);
        assert_eq!(out.front.capacity(), 0);
        assert_eq!(pool.free.len(), 1);
    }
}
