//! What became of the sessions of a process that stopped.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// Gates elsewhere have seen by then that a node takes no new work.
pub(crate) const SEEN: Duration = Duration::from_secs(2);

/// The account of a stop: `sessions` is what the gates of the process had when it began, or accepted after that, and
/// each of them is in one of the next four numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Client sessions that had to leave.
    pub sessions: u64,
    /// Hello clients that left after they were told to go elsewhere, with all their answers.
    pub moved: u64,
    /// Old clients, which cannot be told, that were closed once nothing of them was under way.
    pub finished: u64,
    /// Closed near the deadline, with requests that were not answered.
    pub cut: u64,
    /// Still there at the deadline, and dropped with the process.
    pub dropped: u64,
    /// Users bound to nodes of this process that were let go: nobody had taken them over.
    pub released: u64,
    /// What had not ended at the deadline, for people.
    pub left: Vec<String>,
    /// Backends that could not be told, for people. Others find out by the registry that this life is over.
    pub unreached: Vec<String>,
}

/// Counts the ends of a gate's sessions while it drains.
#[derive(Default)]
pub(crate) struct Ledger {
    moved: AtomicU64,
    finished: AtomicU64,
    cut: AtomicU64,
    /// The deadline is near: who leaves now was made to.
    pub(crate) cutting: AtomicBool,
}

impl Ledger {
    /// A session has ended.
    pub(crate) fn note(&self, hello: bool) {
        let count = match (self.cutting.load(Ordering::Relaxed), hello) {
            (true, _) => &self.cut,
            (false, true) => &self.moved,
            (false, false) => &self.finished,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        [&self.moved, &self.finished, &self.cut].iter().for_each(|n| n.store(0, Ordering::Relaxed));
        self.cutting.store(false, Ordering::Relaxed);
    }

    /// Adds the counts to an account.
    pub(crate) fn add_to(&self, all: &mut Drained) {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        all.moved += read(&self.moved);
        all.finished += read(&self.finished);
        all.cut += read(&self.cut);
    }
}

/// Clients that are told to leave at once.
const CROWD: usize = 16;
const MOST_STEPS: usize = 100;

/// In how many steps so many clients leave, and the pause between two of them: they come back elsewhere, and not all at
/// once. All are told within half of the drain.
pub(crate) fn steps(clients: usize, deadline: Duration) -> (usize, Duration) {
    let steps = clients.div_ceil(CROWD).clamp(1, MOST_STEPS);
    (steps, deadline / 2 / steps as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clients_leave_at_once_and_many_over_half_of_the_drain() {
        let half_a_minute = Duration::from_secs(30);
        assert_eq!(steps(0, half_a_minute).0, 1);
        assert_eq!(steps(16, half_a_minute).0, 1);
        assert_eq!(steps(160, half_a_minute), (10, Duration::from_millis(1500)));
        assert_eq!(steps(1_000_000, half_a_minute), (100, Duration::from_millis(150)));
    }

    #[test]
    fn each_end_is_counted_once() {
        let (ledger, mut all) = (Ledger::default(), Drained::default());
        ledger.note(true);
        ledger.note(false);
        ledger.cutting.store(true, Ordering::Relaxed);
        ledger.note(true);
        ledger.note(false);
        ledger.add_to(&mut all);
        assert_eq!((all.moved, all.finished, all.cut), (1, 1, 2));
    }
}
