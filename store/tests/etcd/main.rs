//! The locator on a real etcd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bench;
mod faults;
mod odd;

use due_testkit::{
    locate::CASES,
    server::{Program, Server},
    suite::{self, Case},
};

use bench::{behind_a_network, on_a_machine};

/// What etcd cannot do, or cannot be made to do: it has no clock of its own, loses no acknowledged write, and an answer
/// cannot be taken from a write alone (`faults` does so from the whole operation).
const NEVER: [&str; 4] = [
    "epochs_do_not_fall_over_a_wipe_without_a_floor",
    "after_a_failover_the_later_login_wins",
    "a_tie_after_a_failover_is_told_and_ends",
    "a_lost_answer_is_had_by_asking_again",
];

const WIPES: [&str; 2] = ["epochs_do_not_fall_over_a_wipe", "a_wiped_store_is_filled_by_its_owners"];

/// Cases whose fault is one of the server itself.
const OF_THE_SERVER: [&str; 4] = [
    "a_broken_feed_says_so",
    "epochs_do_not_fall_over_a_wipe",
    "a_wiped_store_is_filled_by_its_owners",
    "an_outage_is_an_error_and_never_an_answer",
];

#[tokio::test]
async fn etcd_does_what_every_locator_does() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let report = suite::run(CASES, || behind_a_network(server.address())).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|(name, _)| *name).collect();
    let mut wanted: Vec<_> = WIPES.into_iter().chain(NEVER).collect();
    wanted.sort_by_key(|name| CASES.iter().position(|case| case.name == *name));
    assert_eq!(skipped, wanted);
}

#[tokio::test] // proves P7
async fn etcd_may_be_killed_and_wiped() {
    let Some(server) = bench::server().await else { return };
    let chosen = CASES.iter().filter(|case| OF_THE_SERVER.contains(&case.name));
    let cases: Vec<_> = chosen.map(|case| Case { name: case.name, run: case.run }).collect();
    let report = suite::run(&cases, || on_a_machine(server.clone())).await.unwrap();
    assert_eq!(report.passed, OF_THE_SERVER);
}
