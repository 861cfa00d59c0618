//! What every lock does.
//!
//! A bench is one lock service as two processes see it. Faults are optional: a case that needs one which the bench cannot
//! play is skipped and reported.

mod holding;
mod losing;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Result,
    lock::{Guard, Lock, memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};

/// A lock service as two processes see it.
#[derive(Clone)]
pub struct Bench {
    /// One process.
    pub a: Arc<dyn Lock>,
    /// Another one.
    pub b: Arc<dyn Lock>,
    /// What can go wrong here.
    pub faults: Arc<dyn Faults>,
}

/// One fault of a lock service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses connections or answers with errors.
    Unavailable(bool),
    /// The server forgets who holds what.
    Wipe,
}

/// Plays faults on the bench's lock service.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Plays `fault`; `false` if it cannot.
    async fn play(&self, fault: Fault) -> bool;
}

/// For a service on which nothing can be played.
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn play(&self, _: Fault) -> bool {
        false
    }
}

#[async_trait]
impl Faults for memory::Memory {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(down) => self.set_down(down),
            Fault::Wipe => self.wipe(),
        }
        true
    }
}

/// The bench of the memory locks.
pub fn memory() -> Bench {
    let locks = memory::Memory::default();
    Bench { a: Arc::new(locks.clone()), b: Arc::new(locks.clone()), faults: Arc::new(locks) }
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(holding::one_holds_and_the_next_has_a_higher_token),
    case!(holding::who_waits_gets_it_when_it_is_free),
    case!(holding::a_wait_that_is_over_is_a_safe_timeout),
    case!(holding::never_two_at_once),
    case!(holding::names_do_not_mix),
    case!(holding::a_living_holder_keeps_it_beyond_its_time_to_live),
    case!(holding::a_dropped_guard_gives_it_up),
    case!(holding::a_dropped_wait_leaves_nothing),
    case!(holding::a_time_to_live_that_cannot_be_kept_is_refused),
    case!(losing::a_dead_holder_loses_it_with_its_time_to_live),
    case!(losing::a_holder_is_told_of_its_loss),
    case!(losing::a_short_outage_is_survived),
    case!(losing::a_long_outage_is_a_loss),
    case!(losing::a_late_release_does_not_take_it_from_the_next),
    case!(losing::a_service_that_is_away_says_so),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

const SOON: Duration = Duration::from_secs(8);
const TTL: Duration = Duration::from_millis(900);
const CANNOT: Ran = Ran::Skipped(suite::CANNOT);

/// A name that no other case and no earlier run has used.
fn name(what: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("suite-{what}-{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

async fn take(lock: &Arc<dyn Lock>, name: &str) -> Result<Guard> {
    within(SOON * 2, "the lock", lock.acquire(name, TTL, SOON)).await?
}
