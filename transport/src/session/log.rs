//! What was sent and is not confirmed: one list for what has still to be written and what may have to be written again.

use std::collections::VecDeque;

use bytes::Bytes;

use super::wire::Broken;

/// From this size on a shared body is not copied.
const SHARE_FROM: usize = 2048;
/// A chunk takes no further unit beyond this.
const CHUNK: usize = 64 * 1024;
/// Emptied chunks that are kept for the next units.
const SPARE: usize = 4;

/// Units in the order of the wire. A cursor parts those that were written on this connection from the others.
#[derive(Default)]
pub(super) struct Log {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are confirmed.
    confirmed: usize,
    units: VecDeque<Entry>,
    /// Units confirmed since the link session began.
    first: u64,
    /// Of `units`, so many were written wholly on this connection.
    written: usize,
    /// Bytes of the next unit that were written.
    partial: usize,
    /// Where the next byte to write is: segment and offset.
    at: (usize, usize),
    bytes: usize,
    unwritten: usize,
    spare: Vec<Vec<u8>>,
    /// The highest frame of which any byte was ever written.
    most: u64,
}

struct Entry {
    len: u32,
    frame: u64,
}

enum Segment {
    Chunk(Vec<u8>),
    Shared(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Chunk(c) => c,
            Segment::Shared(b) => b,
        }
    }
}

impl Log {
    /// Appends a unit of frame number `frame`: what `head` writes, then `body`. A body that cannot be shared, or is too
    /// small for it, is copied.
    pub(super) fn push(&mut self, frame: u64, body: Body<'_>, head: impl FnOnce(&mut Vec<u8>)) {
        let copied = match body {
            Body::Copied(b) => b,
            Body::Shared(b) if b.len() < SHARE_FROM => b,
            Body::Shared(_) => &[],
        };
        let mut chunk = self.chunk(copied.len());
        let before = chunk.len();
        head(&mut chunk);
        chunk.extend_from_slice(copied);
        let mut len = chunk.len() - before;
        self.segments.push_back(Segment::Chunk(chunk));
        if let Body::Shared(shared) = body
            && shared.len() >= SHARE_FROM
        {
            len += shared.len();
            self.segments.push_back(Segment::Shared(shared.clone()));
        }
        self.bytes += len;
        self.unwritten += len;
        self.units.push_back(Entry { len: len as u32, frame });
    }

    /// Takes out the chunk that the next unit goes into; the caller puts it back at the end.
    fn chunk(&mut self, need: usize) -> Vec<u8> {
        match self.segments.pop_back() {
            Some(Segment::Chunk(chunk)) if chunk.len() + need <= CHUNK => chunk,
            last => {
                self.segments.extend(last);
                self.spare.pop().unwrap_or_default()
            }
        }
    }

    /// What everything in it weighs: small frames must not be free.
    pub(super) fn weight(&self) -> usize {
        self.bytes + self.units.len() * size_of::<Entry>()
    }

    /// Bytes that are not written on this connection.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Was a byte of this frame ever written?
    pub(super) fn is_written(&self, frame: u64) -> bool {
        frame <= self.most
    }

    /// Bytes that are missing to the end of the unit that is written in part; 0 between units.
    pub(super) fn rest(&self) -> usize {
        match (self.partial, self.units.get(self.written)) {
            (partial @ 1.., Some(unit)) => unit.len as usize - partial,
            _ => 0,
        }
    }

    /// The pieces still to write, without the first `skip` bytes, at most `take` bytes.
    pub(super) fn pieces(&self, skip: usize, take: usize) -> impl Iterator<Item = &[u8]> {
        let (index, offset) = self.at;
        let mut skip = skip + offset;
        let mut take = take;
        self.segments.iter().skip(index).filter_map(move |segment| {
            let bytes = segment.bytes();
            let from = skip.min(bytes.len());
            skip -= from;
            let piece = bytes.get(from..)?;
            let piece = piece.get(..take.min(piece.len()))?;
            take -= piece.len();
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Moves the cursor over `n` bytes that were written.
    pub(super) fn wrote(&mut self, n: usize) {
        self.unwritten = self.unwritten.saturating_sub(n);
        self.advance(n);
        self.partial += n;
        while let Some(unit) = self.units.get(self.written) {
            if self.partial == 0 {
                break;
            }
            self.most = self.most.max(unit.frame);
            if self.partial < unit.len as usize {
                break;
            }
            self.partial -= unit.len as usize;
            self.written += 1;
        }
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(segment) = self.segments.get(self.at.0) {
            let left = segment.bytes().len() - self.at.1;
            if n < left || self.at.0 + 1 == self.segments.len() {
                self.at.1 += n.min(left);
                return;
            }
            n -= left;
            self.at = (self.at.0 + 1, 0);
        }
    }

    /// The other side has `received` units in all.
    pub(super) fn confirm(&mut self, received: u64) -> Result<(), Broken> {
        let count = received.checked_sub(self.first).ok_or(Broken("a count that falls"))?;
        if count > self.written as u64 {
            return Err(Broken("a count beyond what was sent"));
        }
        self.forget(count as usize);
        Ok(())
    }

    /// The connection is gone: nothing is written on the next one.
    pub(super) fn restart(&mut self) {
        (self.written, self.partial) = (0, 0);
        self.at = (0, self.confirmed);
        self.unwritten = self.bytes;
    }

    /// A new connection: everything behind the `received` units is written again.
    pub(super) fn rewind(&mut self, received: u64) -> Result<(), Broken> {
        let count = received.checked_sub(self.first).ok_or(Broken("a count that falls"))?;
        if count > self.units.len() as u64 {
            return Err(Broken("a count beyond what was sent"));
        }
        // Everything counts as written for as long as the confirmed ones are taken out.
        (self.written, self.partial) = (self.units.len(), 0);
        self.at = (self.segments.len(), 0);
        self.forget(count as usize);
        self.restart();
        Ok(())
    }

    /// Drops the first `count` units, all of them written.
    fn forget(&mut self, count: usize) {
        self.first += count as u64;
        self.written -= count;
        let len: usize = self.units.drain(..count).map(|unit| unit.len as usize).sum();
        self.bytes -= len;
        self.confirmed += len;
        while let Some(segment) = self.segments.front() {
            let all = segment.bytes().len();
            if self.confirmed < all || all == 0 {
                break;
            }
            self.confirmed -= all;
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        match self.at {
            (0, _) => self.at = (0, 0),
            (index, offset) => self.at = (index - 1, offset),
        }
        if let Some(Segment::Chunk(mut chunk)) = self.segments.pop_front()
            && self.spare.len() < SPARE
        {
            chunk.clear();
            self.spare.push(chunk);
        }
    }
}

/// The body of a unit.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Copied(&'a [u8]),
    Shared(&'a Bytes),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(log: &Log) -> Vec<u8> {
        log.pieces(0, usize::MAX).collect::<Vec<_>>().concat()
    }

    fn push(log: &mut Log, frame: u64, body: &[u8]) {
        log.push(frame, Body::Copied(body), |out| out.push(b'<'));
    }

    #[test]
    fn what_is_written_in_any_steps_comes_out_once_and_in_order() {
        for step in [1, 2, 7, 1000, 3000, 100_000] {
            let mut log = Log::default();
            let large = Bytes::from(vec![b'L'; 5000]);
            let mut want = Vec::new();
            for n in 0..40u8 {
                push(&mut log, u64::from(n), &[n; 30]);
                log.push(u64::from(n), Body::Shared(&large), |out| out.push(b'>'));
                want.extend_from_slice(&[&[b'<'][..], &[n; 30], b">", &large].concat());
            }
            let mut seen = Vec::new();
            while log.unwritten() > 0 {
                let piece = log.pieces(0, step).next().unwrap().to_vec();
                log.wrote(piece.len());
                seen.extend_from_slice(&piece);
            }
            assert!(seen == want && log.rest() == 0);
        }
    }

    #[test]
    fn confirmed_units_go_and_a_rewind_writes_the_others_again() {
        let mut log = Log::default();
        for n in 1..=9u8 {
            push(&mut log, u64::from(n), &[n; 3]);
        }
        log.wrote(4 * 6 + 1);
        assert_eq!(log.rest(), 3);
        assert!(log.is_written(7) && !log.is_written(8), "of the seventh one byte is out");
        log.confirm(2).unwrap();
        assert_eq!(log.confirm(1), Err(Broken("a count that falls")));
        assert_eq!(log.confirm(7), Err(Broken("a count beyond what was sent")));
        assert_eq!(log.rewind(10), Err(Broken("a count beyond what was sent")));
        log.rewind(5).unwrap();
        assert_eq!(written(&log), b"<\x06\x06\x06<\x07\x07\x07<\x08\x08\x08<\x09\x09\x09");
        assert_eq!((log.rest(), log.unwritten()), (0, 16));
        log.wrote(16);
        push(&mut log, 10, &[10; 3]);
        assert_eq!(written(&log), b"<\x0a\x0a\x0a");
        log.confirm(9).unwrap();
        assert_eq!(log.weight(), 4 + size_of::<Entry>());
        log.rewind(10).unwrap();
        assert_eq!((log.weight(), log.unwritten()), (0, 0));
        push(&mut log, 11, b"x");
        assert_eq!(written(&log), b"<x");
    }

    #[test]
    fn chunks_go_round() {
        let mut log = Log::default();
        let mut places = std::collections::HashSet::new();
        for n in 0..5_000u64 {
            push(&mut log, n, &[7; 100]);
            if let Some(Segment::Chunk(chunk)) = log.segments.back()
                && n > 2_000
            {
                places.insert((chunk.as_ptr() as usize, chunk.capacity()));
            }
            log.wrote(log.unwritten());
            if n % 50 == 0 {
                log.confirm(n).unwrap();
            }
        }
        assert!(places.len() <= SPARE, "{places:?}");
    }
}
