//! Large frames on their way out: cut into parts, so that other lanes and heartbeats go in between.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use due_core::transport::Head;

use super::{
    log::{Body, Log},
    wire::{self, PART},
};

/// Bytes of parts that lie ready to be written at most: what a frame of another lane has to wait for.
const AHEAD: usize = PART;

/// Frames that are too large for one unit, and those that must not overtake them.
#[derive(Default)]
pub(super) struct Parts {
    frames: VecDeque<Waiting>,
    /// Lanes of which a frame waits.
    lanes: HashSet<u64>,
    bytes: usize,
}

pub(super) struct Waiting {
    pub(super) head: Head,
    pub(super) stamp: u64,
    pub(super) frame: u64,
    pub(super) body: Bytes,
    /// Bytes that are in the log already.
    pub(super) sent: usize,
}

impl Parts {
    /// Must a frame of this lane wait? Control frames speak about lanes, so nothing overtakes them, nor they anything.
    pub(super) fn holds(&self, lane: u64) -> bool {
        !self.frames.is_empty() && (lane == 0 || self.lanes.contains(&lane) || self.lanes.contains(&0))
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.body.len() + size_of::<Waiting>();
        self.lanes.insert(waiting.head.lane);
        self.frames.push_back(waiting);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn weight(&self) -> usize {
        self.bytes
    }

    /// Moves parts into the log until enough lies there to be written.
    pub(super) fn pump(&mut self, log: &mut Log) {
        while log.unwritten() < AHEAD
            && let Some(first) = self.frames.front_mut()
        {
            let sent = first.sent;
            first.put_part(log);
            self.bytes -= first.sent - sent;
            if first.sent < first.body.len() {
                continue;
            }
            self.bytes -= size_of::<Waiting>();
            self.frames.pop_front();
            if self.frames.is_empty() {
                self.lanes.clear();
            }
        }
    }
}

impl Waiting {
    fn put_part(&mut self, log: &mut Log) {
        let len = (self.body.len() - self.sent).min(PART);
        let part = self.body.slice(self.sent..self.sent + len);
        let (whole, head, stamp) = (self.body.len(), self.head, self.stamp);
        if self.sent > 0 {
            log.push(self.frame, Body::Shared(&part), |out| wire::put_more(out, len));
        } else {
            let total = (whole > PART).then_some(whole as u32);
            log.push(self.frame, Body::Shared(&part), |out| wire::put_frame(out, &head, stamp, total, len));
        }
        self.sent += len;
    }
}
