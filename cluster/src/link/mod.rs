//! What gates and nodes say to each other over a link: the bodies behind the frame heads.

use due_core::transport::{FrameKind, Head};

mod claim;
pub(crate) mod end;
mod order;
pub(crate) mod past;
mod table;
mod wire;

pub(crate) use claim::{Claim, mark_of};
pub(crate) use order::{
    Audience, Counts, GateOrder, Opened, Owned, STALE_ORDER, TABLE_ORDER, decode_fault, encode_fault,
};
pub(crate) use table::{NodeTable, TableRoute};
pub(crate) use wire::{Reader, Writer};

/// Flag of a message: the client said hello.
pub(crate) const FLAG_HELLO: u8 = 1;
/// Flag of a reply or push: close the connection gracefully once it is written.
pub(crate) const FLAG_THEN_CLOSE: u8 = 2;
/// Flag of a message: nobody waits for an answer to it.
pub(crate) const FLAG_NOTIFY: u8 = 4;
/// Flags of a push: its class, 0 `Must`, 1 `Latest`, 2 `Droppable`, in bits 2 and 3.
pub(crate) const CLASS_SHIFT: u8 = 2;

/// Frames that may be under way in one lane.
pub(crate) const LANE_FRAMES: u32 = 256;
/// Bytes that may be under way in one lane; at least one largest frame more fits.
pub(crate) const LANE_BYTES: u32 = 256 * 1024;

/// Lane credit on its way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) frames: u32,
    pub(crate) bytes: u32,
    /// Those of the frames that nobody answered otherwise.
    pub(crate) notifies: u32,
}

impl Credit {
    /// The credit that a frame brings.
    pub(crate) fn of(head: &Head) -> Self {
        Self { frames: head.corr as u32, bytes: head.seq as u32, notifies: head.route as u32 }
    }

    /// The frame that brings it.
    pub(crate) fn head(self, lane: u64) -> Head {
        let (frames, bytes, notifies) = (self.frames.into(), self.bytes as i32, self.notifies as i32);
        Head { kind: FrameKind::Credit, corr: frames, seq: bytes, route: notifies, lane, ..Head::default() }
    }

    pub(crate) fn add(&mut self, bytes: u32, notify: bool) {
        self.frames += 1;
        self.bytes += bytes;
        self.notifies += u32::from(notify);
    }
}

/// The bits of a push's class.
pub(crate) fn class_bits(class: due_core::Class) -> u8 {
    let n = match class {
        due_core::Class::Must => 0,
        due_core::Class::Latest => 1,
        due_core::Class::Droppable => 2,
    };
    n << CLASS_SHIFT
}

/// The class in the flags of a push.
pub(crate) fn class_of(flags: u8) -> due_core::Class {
    match (flags >> CLASS_SHIFT) & 3 {
        1 => due_core::Class::Latest,
        2 => due_core::Class::Droppable,
        _ => due_core::Class::Must,
    }
}

/// A lane of a session: slot in the low half, generation in the high half. Generations begin at 1, so it is never 0.
pub(crate) fn lane_of(slot: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(slot)
}

/// Slot and generation of a lane.
pub(crate) fn slot_of(lane: u64) -> (u32, u32) {
    (lane as u32, (lane >> 32) as u32)
}
