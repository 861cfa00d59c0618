//! The receiving half: pushes that came too early, bytes that wait to be read, and what to acknowledge.

use std::collections::VecDeque;

use super::{NEVER, Tuning};
use crate::kcp::{
    datagrams::Datagrams,
    segment::{Cmd, Head},
};

/// An open window is told so often, so long apart (ms), until data comes: one lost message must not stop the peer for
/// the seconds that it waits before it asks.
const TELLS: u8 = 3;
const TELL_AGAIN: u64 = 100;
/// An empty buffer larger than this is given back.
const KEEP: usize = 512;
/// The same for the list of acknowledgements, in entries.
const KEEP_ACKS: usize = 16;

#[derive(Debug)]
pub(super) struct Receiver {
    mss: usize,
    window: u32,
    interval: u64,
    ack_nodelay: bool,
    /// The push that is awaited.
    next: u32,
    /// Pushes from `next` on, where they have come.
    early: VecDeque<Option<Vec<u8>>>,
    /// Bytes in order.
    ready: VecDeque<u8>,
    /// Number and time of pushes to acknowledge.
    acks: Vec<(u32, u32)>,
    ack_at: u64,
    /// The window last told.
    told: u16,
    tells: u8,
    tell_at: u64,
}

impl Receiver {
    pub(super) fn new(tuning: &Tuning) -> Self {
        Self {
            mss: tuning.mss,
            window: tuning.receive_window,
            interval: tuning.interval.into(),
            ack_nodelay: tuning.ack_nodelay,
            next: 0,
            early: VecDeque::new(),
            ready: VecDeque::new(),
            acks: Vec::new(),
            ack_at: NEVER,
            told: tuning.receive_window.min(u16::MAX.into()) as u16,
            tells: 0,
            tell_at: NEVER,
        }
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Free pushes: what is read leaves room, what is only here does not.
    pub(super) fn window(&self) -> u16 {
        let free = self.limit().saturating_sub(self.ready.len()) / self.mss.max(1);
        free.min(u16::MAX.into()) as u16
    }

    fn limit(&self) -> usize {
        self.window as usize * self.mss
    }

    /// A push came. One far ahead is dropped, one that was here before is only acknowledged again.
    pub(super) fn push(&mut self, now: u64, sn: u32, ts: u32, data: &[u8]) {
        let ahead = sn.wrapping_sub(self.next);
        let old = (ahead as i32) < 0;
        if !old && ahead >= self.window {
            return;
        }
        (self.tells, self.tell_at) = (0, NEVER);
        let in_order = ahead == 0 && self.early.is_empty();
        if in_order && self.ready.len() < self.limit() {
            self.deliver(data);
        } else if !old {
            self.keep(ahead as usize, data);
            self.release();
        }
        self.owe(now, sn, ts, in_order);
    }

    fn deliver(&mut self, data: &[u8]) {
        self.ready.extend(data);
        self.next = self.next.wrapping_add(1);
    }

    fn keep(&mut self, at: usize, data: &[u8]) {
        if self.early.len() <= at {
            self.early.resize_with(at + 1, || None);
        }
        if let Some(slot @ None) = self.early.get_mut(at) {
            *slot = Some(data.to_vec());
        }
    }

    /// Moves what is in order behind the bytes that wait, while there is room.
    fn release(&mut self) {
        while self.ready.len() < self.limit()
            && let Some(Some(_)) = self.early.front()
            && let Some(Some(data)) = self.early.pop_front()
        {
            self.deliver(&data);
        }
        if self.early.is_empty() {
            self.early = VecDeque::new();
        }
    }

    /// Notes an acknowledgement. It waits for company unless the peer needs it to find out what was lost.
    fn owe(&mut self, now: u64, sn: u32, ts: u32, in_order: bool) {
        if self.acks.len() >= 2 * self.window as usize {
            return;
        }
        self.acks.push((sn, ts));
        let at_once = self.ack_nodelay || !in_order || self.acks.len() > 1;
        self.ack_at = if at_once { 0 } else { self.ack_at.min(now + self.interval) };
    }

    pub(super) fn readable(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> usize {
        let (front, back) = self.ready.as_slices();
        let mut read = 0;
        for piece in [front, back] {
            let space = into.get_mut(read..).unwrap_or_default();
            let len = piece.len().min(space.len());
            if let (Some(to), Some(from)) = (space.get_mut(..len), piece.get(..len)) {
                to.copy_from_slice(from);
                read += len;
            }
        }
        self.ready.drain(..read);
        self.after_read();
        read
    }

    pub(super) fn discard(&mut self) {
        while self.readable() {
            self.ready.clear();
            self.after_read();
        }
    }

    fn after_read(&mut self) {
        self.release();
        if self.ready.is_empty() && self.ready.capacity() > KEEP {
            self.ready = VecDeque::new();
        }
        let (free, all) = (u32::from(self.window()), self.window.min(u16::MAX.into()));
        if u32::from(self.told) <= all / 4 && free > all / 2 && self.tells == 0 {
            (self.tells, self.tell_at) = (TELLS, 0);
        }
    }

    /// Bytes of memory behind the queues.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.ready.capacity() + self.early.capacity() * size_of::<Option<Vec<u8>>>() + self.acks.capacity() * 8
    }

    /// The peer asks: tells the window with the next flush.
    pub(super) fn asked(&mut self) {
        (self.tells, self.tell_at) = (self.tells.max(1), 0);
    }

    /// When something is to be sent; 0 is now.
    pub(super) fn due(&self) -> u64 {
        self.ack_at.min(self.tell_at)
    }

    /// Acknowledges, and tells the window. A push below `next` needs no acknowledgement of its own: only the last one
    /// is confirmed, for its time.
    pub(super) fn flush(&mut self, now: u64, head: Head, out: &mut Datagrams) {
        if now >= self.tell_at {
            out.segment(&Head { cmd: Cmd::Tell, ..head }, [&[], &[]]);
            self.tells = self.tells.saturating_sub(1);
            self.tell_at = if self.tells > 0 { now + TELL_AGAIN } else { NEVER };
        }
        let last = self.acks.len().saturating_sub(1);
        for (i, &(sn, ts)) in self.acks.iter().enumerate() {
            if i == last || !super::before(sn, self.next) {
                out.segment(&Head { cmd: Cmd::Ack, sn, ts, ..head }, [&[], &[]]);
            }
        }
        self.acks.clear();
        self.acks.shrink_to(KEEP_ACKS);
        self.ack_at = NEVER;
        if !out.is_empty() {
            self.told = head.wnd;
        }
    }
}
