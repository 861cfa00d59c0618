//! What every registry does.
//!
//! A bench is one registry as two processes see it, in a namespace of its own. Faults are optional: a case that needs one
//! which the bench cannot play is skipped and reported.

mod faults;
mod holders;
mod members;
mod probe;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{
    Result,
    registry::{Instance, InstanceKind, Kept, Registry, Standing, View, Watch, memory::Memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};

/// A registry as two processes see it.
#[derive(Clone)]
pub struct Bench {
    /// One process.
    pub a: Arc<dyn Registry>,
    /// Another one.
    pub b: Arc<dyn Registry>,
    /// What can go wrong here.
    pub faults: Arc<dyn Faults>,
}

/// One fault of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All entries and the history are lost; the server goes on.
    Wipe,
    /// The lease of this key is over.
    LoseLease(String),
    /// Lists go on to answer what is true now.
    OldLists(bool),
    /// Watchers are told of no change.
    HideChanges(bool),
    /// The server refuses connections or answers with errors.
    Unavailable(bool),
    /// The server does not answer.
    Hang(bool),
}

/// Plays faults on the bench's registry.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Plays `fault`; `false` if it cannot.
    async fn play(&self, fault: Fault) -> bool;
}

/// For a registry on which nothing can be played.
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn play(&self, _: Fault) -> bool {
        false
    }
}

#[async_trait]
impl Faults for due_core::registry::memory::Faults {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Wipe => self.wipe(),
            Fault::LoseLease(key) => self.lose_lease(&key),
            Fault::OldLists(on) => self.old_lists(on),
            Fault::HideChanges(on) => self.hide_changes(on),
            Fault::Unavailable(on) => self.unavailable(on),
            Fault::Hang(on) => self.hang(on),
        }
        true
    }
}

/// The bench of the memory registry.
pub fn memory() -> Bench {
    let store = Memory::default();
    let seeded = |seed| Arc::new(Kept::with(store.clone(), Kept::<Memory>::TTL, Some(seed)));
    Bench { a: seeded(1), b: seeded(2), faults: Arc::new(store.faults()) }
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(members::a_registered_instance_is_seen_whole_by_another_process),
    case!(members::a_watch_begins_with_the_full_set),
    case!(members::kinds_and_cousin_ids_do_not_mix),
    case!(members::changes_reach_the_watchers),
    case!(members::a_bad_change_is_refused_and_changes_nothing),
    case!(members::a_bad_instance_is_refused),
    case!(members::closing_removes),
    case!(members::dropping_the_guard_removes),
    case!(members::an_abandoned_instance_vanishes_with_its_lease),
    case!(members::a_kept_instance_outlives_many_leases),
    case!(members::a_crowd_is_seen_in_full),
    case!(members::an_ended_watch_leaves_the_others_alone),
    case!(holders::an_incarnation_registers_once),
    case!(holders::a_living_holder_keeps_its_id),
    case!(holders::a_dead_holder_is_taken_over_and_never_comes_back),
    case!(holders::a_silent_holder_that_renews_keeps_its_id),
    case!(holders::a_silent_holder_loses_its_id_with_its_lease),
    case!(holders::who_comes_back_too_late_is_superseded),
    case!(faults::a_wiped_registry_fills_again),
    case!(faults::a_lost_lease_is_written_again),
    case!(faults::a_wipe_that_nobody_is_told_of_is_seen),
    case!(faults::a_change_that_nobody_is_told_of_is_seen),
    case!(faults::an_outage_keeps_the_view_and_heals),
    case!(faults::a_hanging_registry_holds_nobody_up),
    case!(faults::what_changes_in_an_outage_is_written_after_it),
    case!(faults::a_newcomer_waits_for_the_registry),
    case!(faults::a_newcomer_that_gives_up_leaves_nothing),
    case!(faults::old_lists_are_overcome),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

/// Time for anything that a healthy registry shows: 5 s, and some for a slow machine.
const SOON: Duration = Duration::from_secs(8);

fn node(id: &str) -> Instance {
    let endpoints = vec![format!("link://10.0.0.1:{}", 7000 + id.len())];
    Instance { endpoints, ..Instance::new(InstanceKind::Node, id, "game") }
}

fn ids(view: &View) -> Vec<&str> {
    view.members.iter().map(|m| &*m.id.0).collect()
}

async fn see(watch: &mut Watch, wanted: &'static [&'static str]) -> Result<View> {
    within(SOON, "the members expected", watch.until(|view| ids(view) == wanted)).await
}

async fn stands(status: &mut tokio::sync::watch::Receiver<Standing>, wanted: Standing, limit: Duration) -> Result<()> {
    let stood = within(limit, "a standing", status.wait_for(|s| *s == wanted)).await?;
    assert!(stood.is_ok_and(|s| *s == wanted), "the registration ended before it was {wanted:?}");
    Ok(())
}
