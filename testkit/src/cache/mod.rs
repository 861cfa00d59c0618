//! What every cache does.
//!
//! A bench is one cache as two processes see it. Faults are optional: a case that needs one which the bench cannot play
//! is skipped and reported.

mod loading;
mod values;

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
    cache::{Cache, Cached, Ttl, memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};

/// A cache as two processes see it.
#[derive(Clone)]
pub struct Bench {
    /// One process.
    pub a: Arc<dyn Cache>,
    /// Another one.
    pub b: Arc<dyn Cache>,
    /// What can go wrong here.
    pub faults: Arc<dyn Faults>,
}

/// One fault of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses connections or answers with errors.
    Unavailable(bool),
}

/// Plays faults on the bench's cache.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Plays `fault`; `false` if it cannot.
    async fn play(&self, fault: Fault) -> bool;
}

/// For a cache on which nothing can be played.
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn play(&self, _: Fault) -> bool {
        false
    }
}

#[async_trait]
impl Faults for memory::Store {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(down) => self.set_down(down),
        }
        true
    }
}

/// The bench of the memory cache.
pub fn memory() -> Bench {
    let store = Arc::new(memory::Store::default());
    Bench { a: Arc::new(Cached::new(store.clone())), b: Arc::new(Cached::new(store.clone())), faults: store }
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(values::what_is_set_is_there_elsewhere),
    case!(values::a_value_ends_with_its_life),
    case!(values::a_kept_life_is_not_made_longer),
    case!(values::a_random_life_is_within_its_bounds),
    case!(values::only_one_sets_what_is_absent),
    case!(values::a_deleted_key_is_absent),
    case!(values::counting_loses_nothing),
    case!(values::a_counter_keeps_its_life),
    case!(values::what_is_no_number_is_not_counted),
    case!(values::odd_keys_and_lives_are_refused),
    case!(loading::one_loads_for_all),
    case!(loading::what_is_there_is_not_loaded),
    case!(loading::absence_is_remembered_for_a_while),
    case!(loading::absence_is_no_value),
    case!(loading::an_error_is_told_to_all_and_forgotten),
    case!(loading::a_panic_of_the_loader_hurts_nobody_else),
    case!(loading::a_load_outlives_its_caller),
    case!(loading::a_cache_that_is_away_costs_a_load),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

const SOON: Duration = Duration::from_secs(8);
const CANNOT: Ran = Ran::Skipped(suite::CANNOT);
const LONG: Ttl = Ttl::For(Duration::from_secs(600));

/// A key that no other case and no earlier run has used.
fn key(what: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("suite:{what}:{run:x}:{}", LAST.fetch_add(1, Ordering::Relaxed))
}
