//! What a push of a user's owner says of itself, so that the gate can tell it from one that was owner once.

use due_core::{Epoch, transport::Head};

/// A slot of the user, and the epoch its owner has it by. It travels in `seq` and `corr` of the push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    slot: u32,
    epoch: Epoch,
}

impl Claim {
    pub(crate) fn new(slot: &str, epoch: Epoch) -> Self {
        Self { slot: mark_of(slot), epoch }
    }

    /// Writes it on a push.
    pub(crate) fn put(self, head: &mut Head) {
        (head.seq, head.corr) = (self.slot as i32, self.epoch.0);
    }

    /// The one on a push; most have none.
    pub(crate) fn of(head: &Head) -> Option<Self> {
        (head.corr != 0).then_some(Self { slot: head.seq as u32, epoch: Epoch(head.corr) })
    }

    /// Is it of this slot, and older than what the gate knows of it?
    pub(crate) fn is_outdated(&self, slot: u32, epoch: Epoch) -> bool {
        self.slot == slot && self.epoch < epoch
    }
}

/// A slot's name in 32 bits (FNV-1a). A user has a handful of slots, so two of them hardly ever look the same.
pub(crate) fn mark_of(slot: &str) -> u32 {
    slot.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_survives_the_head_and_is_judged_by_its_own_slot_only() {
        let mut head = Head::default();
        assert_eq!(Claim::of(&head), None);
        let claim = Claim::new("game/room", Epoch(7));
        claim.put(&mut head);
        assert_eq!(Claim::of(&head), Some(claim));
        assert!(claim.is_outdated(mark_of("game/room"), Epoch(8)));
        assert!(!claim.is_outdated(mark_of("game/room"), Epoch(7)));
        assert!(!claim.is_outdated(mark_of("game"), Epoch(8)));
    }
}
