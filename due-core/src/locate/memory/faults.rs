//! What goes wrong with real locators, on demand.

use super::{Event, Memory};

/// Plays faults on a [`Memory`] locator.
#[derive(Clone)]
pub struct Faults {
    memory: Memory,
}

impl Faults {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory }
    }

    /// All records, fences and epochs are gone. Feeds see a gap, as their connection would break.
    pub fn wipe(&self) {
        let mut state = self.memory.lock();
        state.ledger = Default::default();
        state.send(Event::Gap);
    }

    /// A replica takes over that has not seen the last `writes` (of at most 256). Feeds see a gap.
    pub fn fail_over(&self, writes: usize) {
        let mut state = self.memory.lock();
        state.ledger.undo(writes);
        state.send(Event::Gap);
    }

    /// Every call fails at once with `Unavailable`, until it is taken back.
    pub fn unavailable(&self, on: bool) {
        self.memory.lock().down = on;
    }

    /// The next `writes` happen, but their callers get `Timeout`.
    pub fn lose_answers(&self, writes: usize) {
        self.memory.lock().mute = writes;
    }

    /// While on, feeds learn nothing; when it is taken back they see a gap.
    pub fn break_feeds(&self, on: bool) {
        let mut state = self.memory.lock();
        if state.deaf && !on {
            state.send(Event::Gap);
        }
        state.deaf = on;
    }
}
