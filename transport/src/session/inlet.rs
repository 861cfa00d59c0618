//! What was read and is not handed out.

use super::wire::{self, Broken, LONGEST};

/// Bytes of one read at most.
const READ: usize = 64 * 1024;
/// Bytes of the longest unit.
const UNIT: usize = LONGEST + 4;
/// Room of a buffer that holds nothing back: a unit that is not whole and a read behind it.
const ROOM: usize = UNIT + READ;

/// The read buffer of one connection. Units are handed out from its front; what the link keeps for itself is looked for
/// further behind too, so that a full user does not hold back a confirmation.
#[derive(Default)]
pub(super) struct Inlet {
    bytes: Vec<u8>,
    /// The next unit to hand out.
    start: usize,
    /// Up to here the link's own units were taken.
    scanned: usize,
    end: usize,
    /// Bytes to hold at most while the user gets nothing.
    hold: usize,
}

impl Inlet {
    /// Forgets everything: the connection is gone.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// From now on up to `most` bytes are held back, 0 ends it.
    pub(super) fn hold(&mut self, most: usize) {
        self.hold = most;
    }

    /// May more be read?
    pub(super) fn is_hungry(&self) -> bool {
        let held = self.end - self.start;
        if self.hold > 0 { held < self.hold } else { held < UNIT }
    }

    /// Room to read into; empty if nothing may be read.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if !self.is_hungry() {
            return &mut [];
        }
        self.settle();
        let end = (self.end + READ).min(self.bytes.len());
        self.bytes.get_mut(self.end..end).unwrap_or_default()
    }

    /// Moves what is left to the front and makes room behind it.
    fn settle(&mut self) {
        let held = self.end - self.start;
        if self.start > 0 && (held == 0 || self.bytes.len() - self.end < READ) {
            self.bytes.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            (self.start, self.end) = (0, held);
        }
        if held == 0 && self.bytes.len() > ROOM {
            self.bytes = Vec::new();
        }
        if self.bytes.len() - self.end < READ {
            self.bytes.resize((self.end + READ).max(ROOM), 0);
        }
    }

    /// `n` bytes were read into the space.
    pub(super) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
    }

    /// What was not looked through for units of the link itself: is the next one such a unit, and how long is it?
    pub(super) fn unseen(&self) -> Result<Option<(bool, &[u8])>, Broken> {
        let bytes = self.bytes.get(self.scanned..self.end).unwrap_or_default();
        Ok(wire::peek(bytes)?.and_then(|(own, len)| Some((own, bytes.get(..len)?))))
    }

    /// The unit of `len` bytes was looked at; is it `done` with, so that nobody need look again?
    pub(super) fn seen(&mut self, len: usize, done: bool) {
        if done && self.start == self.scanned {
            self.start += len;
        }
        self.scanned += len;
    }

    /// The bytes from the next unit to hand out to the last one that was looked at.
    pub(super) fn ready(&self) -> &[u8] {
        self.bytes.get(self.start..self.scanned).unwrap_or_default()
    }

    /// The first `len` bytes were handed out.
    pub(super) fn took(&mut self, len: usize) {
        self.start += len;
    }
}
