//! What every config source does, and what live settings make of it.
//!
//! A bench is one source as two processes see it. Faults are optional: a case that needs one which the bench cannot play
//! is skipped and reported.

mod history;
mod live;
mod source;
mod watching;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    config::{ConfigSource, Entry, Update, Watch, memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};

/// A source as two processes see it.
#[derive(Clone)]
pub struct Bench {
    /// One process.
    pub a: Arc<dyn ConfigSource>,
    /// Another one.
    pub b: Arc<dyn ConfigSource>,
    /// What can go wrong here.
    pub faults: Arc<dyn Faults>,
}

/// One fault of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses connections or answers with errors.
    Unavailable(bool),
    /// Remember everything.
    Backup,
    /// Go back to what was remembered, versions too.
    Restore,
}

/// Plays faults on the bench's source.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Plays `fault`; `false` if it cannot.
    async fn play(&self, fault: Fault) -> bool;
}

/// For a source on which nothing can be played.
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn play(&self, _: Fault) -> bool {
        false
    }
}

/// Plays on the memory source.
struct Memory {
    source: memory::Memory,
    backup: Mutex<Option<memory::Backup>>,
}

#[async_trait]
impl Faults for Memory {
    async fn play(&self, fault: Fault) -> bool {
        let mut backup = self.backup.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Fault::Unavailable(down) => self.source.set_down(down),
            Fault::Backup => *backup = Some(self.source.backup()),
            Fault::Restore => match &*backup {
                Some(backup) => self.source.restore(backup),
                None => return false,
            },
        }
        true
    }
}

/// The bench of the memory source.
pub fn memory() -> Bench {
    let source = memory::Memory::default();
    let faults = Memory { source: source.clone(), backup: Mutex::default() };
    Bench { a: Arc::new(source.clone()), b: Arc::new(source), faults: Arc::new(faults) }
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(source::what_is_stored_is_loaded_elsewhere),
    case!(source::every_write_has_a_new_version),
    case!(source::a_write_happens_only_as_expected),
    case!(source::a_deleted_key_is_absent),
    case!(source::a_list_holds_its_prefix_and_no_cousins),
    case!(source::of_many_writers_none_is_overwritten_unseen),
    case!(source::writes_that_go_together_all_happen_or_none),
    case!(source::odd_keys_and_large_values_are_refused),
    case!(source::a_source_that_is_away_says_so),
    case!(watching::a_watch_begins_with_the_full_set),
    case!(watching::changes_and_deletions_come_in_order),
    case!(watching::only_its_prefix_comes),
    case!(watching::a_slow_watcher_sees_the_newest_state),
    case!(watching::after_a_break_the_full_set_comes),
    case!(live::a_stored_value_is_in_use_at_once),
    case!(live::a_change_is_seen_by_every_handle),
    case!(live::a_bad_value_is_refused_and_does_not_stick),
    case!(live::a_deletion_brings_the_default),
    case!(live::a_deletion_without_a_valid_default_keeps_the_last_value),
    case!(live::nothing_valid_at_the_start_is_an_error),
    case!(live::half_written_values_are_refused),
    case!(live::a_panic_in_user_code_is_a_refusal),
    case!(live::a_restored_source_wins),
    case!(live::an_outage_changes_nothing),
    case!(live::readers_never_see_half),
    case!(live::nobody_watches_when_the_last_handle_is_gone),
    case!(history::the_last_ten_versions_are_kept),
    case!(history::a_rollback_writes_a_new_version),
    case!(history::a_refused_write_is_an_attempt),
    case!(history::a_writer_that_died_behind_its_write_is_found_out),
    case!(history::two_writers_share_a_history),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

const SOON: Duration = Duration::from_secs(12);
const CANNOT: Ran = Ran::Skipped(suite::CANNOT);

/// A folder that no other case and no earlier run has used.
fn folder(name: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("suite-{run:x}-{}/{name}", LAST.fetch_add(1, Ordering::Relaxed))
}

async fn update(watch: &mut Watch) -> Result<Update> {
    let update = within(SOON, "an update", watch.next()).await?;
    update.ok_or_else(|| Error::new(Kind::Gone, "the watch ended"))
}

fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

fn value(entry: Option<&Entry>) -> Option<&[u8]> {
    entry.map(|e| &*e.value)
}
