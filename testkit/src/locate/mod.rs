//! What every locator does.
//!
//! A bench is one locator as two processes see it, in a namespace of its own. Faults are optional: a case that needs one
//! which the bench cannot play is skipped and reported.

mod claims;
mod endings;
mod faults;
mod feeds;
mod inputs;
pub mod login;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{
    Epoch, Error, Incarnation, Kind, Owner, Result, SessionId, Uid,
    locate::{Attempt, Binding, Claim, Locator, Place, Slot, Subject, Taken, memory::Memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};

/// A locator as two processes see it.
#[derive(Clone)]
pub struct Bench {
    /// One process.
    pub a: Arc<dyn Locator>,
    /// Another one.
    pub b: Arc<dyn Locator>,
    /// What can go wrong here.
    pub faults: Arc<dyn Faults>,
}

/// One fault of a locator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All records are lost.
    Wipe,
    /// A replica takes over that has not seen the last so many writes.
    FailOver(usize),
    /// The store cannot be reached.
    Unavailable(bool),
    /// The next so many writes happen, but nobody hears of it.
    LoseAnswers(usize),
    /// The connection of the feeds is broken; it is back when this is taken back.
    BreakFeeds(bool),
}

/// Plays faults on the bench's locator.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Plays `fault`; `false` if it cannot.
    async fn play(&self, fault: Fault) -> bool;
}

/// For a locator on which nothing can be played.
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn play(&self, _: Fault) -> bool {
        false
    }
}

#[async_trait]
impl Faults for due_core::locate::memory::Faults {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Wipe => self.wipe(),
            Fault::FailOver(writes) => self.fail_over(writes),
            Fault::Unavailable(on) => self.unavailable(on),
            Fault::LoseAnswers(writes) => self.lose_answers(writes),
            Fault::BreakFeeds(on) => self.break_feeds(on),
        }
        true
    }
}

/// The bench of the memory locator.
pub fn memory() -> Bench {
    let memory = Memory::default();
    Bench { a: Arc::new(memory.clone()), b: Arc::new(memory.clone()), faults: Arc::new(memory.faults()) }
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(claims::the_last_take_wins_with_a_higher_epoch),
    case!(claims::a_repeated_take_gets_what_the_first_got),
    case!(claims::a_session_that_moves_takes_anew),
    case!(claims::a_claimant_who_has_seen_more_takes_anew),
    case!(claims::epochs_rise_above_the_floor_and_over_places),
    case!(claims::if_absent_yields_to_a_holder),
    case!(claims::if_epoch_is_won_once),
    case!(claims::of_many_at_once_one_wins),
    case!(claims::takes_at_once_get_epochs_of_their_own),
    case!(claims::places_and_subjects_do_not_meet),
    case!(claims::an_actor_is_located),
    case!(endings::unbind_leaves_a_tombstone_with_a_higher_epoch),
    case!(endings::unbind_compares_session_and_epoch),
    case!(endings::unbind_may_be_repeated),
    case!(endings::a_late_reassert_revives_no_logout),
    case!(endings::unbind_of_a_lost_slot_leaves_a_tombstone),
    case!(endings::unbind_fences_nobody_above_it),
    case!(endings::reassert_follows_the_epochs),
    case!(endings::check_answers_in_order_and_writes_nothing),
    case!(endings::a_fenced_owner_owns_nothing),
    case!(endings::a_fence_covers_one_incarnation),
    case!(feeds::every_feed_sees_every_write_in_order),
    case!(feeds::what_changes_nothing_is_no_event),
    case!(feeds::a_broken_feed_says_so),
    case!(inputs::bad_input_is_refused),
    case!(faults::epochs_do_not_fall_over_a_wipe),
    case!(faults::epochs_do_not_fall_over_a_wipe_without_a_floor),
    case!(faults::a_wiped_store_is_filled_by_its_owners),
    case!(faults::after_a_failover_the_later_login_wins),
    case!(faults::a_tie_after_a_failover_is_told_and_ends),
    case!(faults::a_lost_answer_is_had_by_asking_again),
    case!(faults::an_outage_is_an_error_and_never_an_answer),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

const CANNOT: Ran = Ran::Skipped(suite::CANNOT);

/// Time for anything that a healthy store does.
const SOON: Duration = Duration::from_secs(5);

fn user() -> Subject {
    Uid::from(7001).into()
}

fn game() -> Place {
    Place::node("game")
}

fn owner(n: u64) -> Owner {
    Owner { id: format!("gate-{n}").into(), incarnation: Incarnation(n) }
}

/// Session `n` of gate `n`.
fn claim(n: u64, floor: Epoch) -> Claim {
    Claim { owner: owner(n), session: SessionId(n.into()), floor }
}

const NONE: Epoch = Epoch(0);

fn slot(n: u64, epoch: Epoch) -> Slot {
    Slot { owner: owner(n), session: SessionId(n.into()), epoch }
}

fn at_gate(n: u64, epoch: Epoch) -> Binding {
    Binding { subject: user(), place: Place::Gate, slot: slot(n, epoch) }
}

async fn take(locator: &Arc<dyn Locator>, n: u64) -> Result<Taken> {
    locator.take(user(), Place::Gate, claim(n, NONE)).await
}

fn won(attempt: Attempt) -> Result<Taken> {
    attempt.won().ok_or_else(|| Error::new(Kind::Internal, "refused where a win was due"))
}

fn is_refused(attempt: &Attempt, holder: &Slot) -> bool {
    matches!(attempt, Attempt::Refused(record) if record.gate.as_ref() == Some(holder))
}

fn above(epoch: Epoch, by: u64) -> Epoch {
    Epoch(epoch.0 + by)
}
