//! When pushes to many are written at once, and when at the end of the turn.
//!
//! Written at once, a client is out of the cache only once for each push, not a second time when the turn ends. But what
//! comes for the same client later in the turn needs a write of its own then, which costs more. The turns before tell
//! which is likely: a server that ticks pushes to its rooms and is done; one whose users talk to each other pushes to the same
//! room many times a turn.

use due_core::net::Segments;

/// From so many clients on.
const MANY: usize = 32;
/// Turns with pushes that end with one write for each client, before the other way is tried again: after the first failure,
/// and after many.
const PATIENCE: (u32, u32) = (2, 256);
/// Of so many clients that were written at once one may have had more to write.
const WORTH: usize = 4;

/// What the shard knows of its turns, and an outbox for the client that is written just now.
#[derive(Default)]
pub(crate) struct AtOnce {
    deliveries: u32,
    written: usize,
    /// Turns with pushes to wait, and how many it will be after the next failure.
    wait: u32,
    patience: u32,
    pub(super) out: Segments,
}

impl AtOnce {
    /// Pushes are delivered: is it the first time in this turn, and was once enough lately?
    pub(super) fn begin(&mut self) -> bool {
        self.deliveries += 1;
        self.deliveries == 1 && self.wait == 0
    }

    /// Are these enough to care?
    pub(super) fn is_worth(groups: usize, members: usize) -> bool {
        groups.max(members) >= MANY
    }

    pub(super) fn wrote(&mut self) {
        self.written += 1;
    }

    /// The turn is over but for the clients that are to be written now.
    pub(crate) fn end_turn(&mut self, to_write: usize) {
        if self.deliveries == 0 {
            return;
        }
        if self.wait > 0 {
            self.wait -= 1;
        } else if self.deliveries > 1 || to_write.saturating_mul(WORTH) > self.written.max(WORTH * MANY) {
            self.wait = self.patience.max(PATIENCE.0);
            self.patience = (self.wait * 2).min(PATIENCE.1);
        } else if self.written > 0 {
            self.patience = PATIENCE.0;
        }
        (self.deliveries, self.written) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn in which pushes are delivered so often; were the first of them written at once?
    fn turn(at_once: &mut AtOnce, deliveries: usize, members: usize, more: usize) -> bool {
        let mut first = false;
        for n in 0..deliveries {
            if at_once.begin() {
                assert_eq!(n, 0, "only the first");
                first = true;
                (0..members).for_each(|_| at_once.wrote());
            }
        }
        at_once.end_turn(more);
        first
    }

    #[test]
    fn ticks_are_written_at_once_for_ever() {
        let mut at_once = AtOnce::default();
        for n in 0..1_000 {
            assert!(turn(&mut at_once, 1, 100, n % 20), "a few have an answer to get too");
            assert!(!turn(&mut at_once, 0, 0, 1_000), "turns without pushes change nothing");
        }
    }

    #[test]
    fn talk_is_hardly_ever_written_at_once() {
        for (deliveries, more) in [(2, 0), (50, 0), (1, 100)] {
            let mut at_once = AtOnce::default();
            let tried = (0..10_000).filter(|_| turn(&mut at_once, deliveries, 100, more)).count();
            assert!((1..=50).contains(&tried), "{tried} times with {deliveries} deliveries and {more} others");
        }
    }

    #[test]
    fn ticks_are_found_again_after_talk() {
        let mut at_once = AtOnce::default();
        (0..1_000).for_each(|_| _ = turn(&mut at_once, 2, 100, 0));
        let later = (0..).find(|_| turn(&mut at_once, 1, 100, 0)).unwrap();
        assert!(later <= PATIENCE.1, "{later}");
        // One turn of talk between ticks.
        turn(&mut at_once, 2, 100, 0);
        let later = (0..).find(|_| turn(&mut at_once, 1, 100, 0)).unwrap();
        assert!(later <= PATIENCE.0, "{later}");
    }
}
