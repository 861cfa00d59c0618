//! What goes wrong with real registries, on demand.

use super::Memory;

/// Plays faults on a [`Memory`] registry. Each one stays until it is taken back, unless it says that it happens once.
#[derive(Clone)]
pub struct Faults {
    memory: Memory,
}

impl Faults {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory }
    }

    /// Happens once: all entries and the history are gone; waiters are not told, and older cursors look valid.
    pub fn wipe(&self) {
        self.memory.lock().wipe();
    }

    /// Happens once: the lease of this key (`node/game-1`) is over.
    pub fn lose_lease(&self, key: &str) {
        self.memory.lock().remove(key);
        self.memory.wake();
    }

    /// Lists go on to answer what is true at this moment.
    pub fn old_lists(&self, on: bool) {
        let mut state = self.memory.lock();
        match on {
            true => state.freeze_lists(),
            false => state.old = None,
        }
    }

    /// Waiters learn of no change that happens from now on.
    pub fn hide_changes(&self, on: bool) {
        self.memory.lock().hides_changes = on;
    }

    /// Every call fails with `Unavailable`; leases run on.
    pub fn unavailable(&self, on: bool) {
        self.memory.lock().down = on;
        self.memory.wake();
    }

    /// No call is answered; leases run on. Calls that wait go on when it is taken back.
    pub fn hang(&self, on: bool) {
        self.memory.lock().hung = on;
        self.memory.wake();
    }
}
