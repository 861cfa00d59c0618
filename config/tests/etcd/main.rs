//! Settings in a real etcd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bench;
mod faults;
mod odd;

use due_testkit::{
    config::CASES,
    server::{Program, Server},
    suite::{self, Case},
};

use bench::{behind_a_network, on_a_machine};

/// What only a server with backups can play.
const RESTORE: &str = "a_restored_source_wins";

/// Cases with an outage.
const OUTAGES: [&str; 3] =
    ["a_source_that_is_away_says_so", "after_a_break_the_full_set_comes", "an_outage_changes_nothing"];

#[tokio::test]
async fn etcd_does_what_every_config_source_does() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let report = suite::run(CASES, || behind_a_network(server.address())).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|(name, _)| *name).collect();
    assert_eq!(skipped, [RESTORE]);
}

#[tokio::test]
async fn etcd_may_be_killed() {
    let Some(server) = bench::server().await else { return };
    let chosen = CASES.iter().filter(|case| OUTAGES.contains(&case.name));
    let cases: Vec<_> = chosen.map(|case| Case { name: case.name, run: case.run }).collect();
    let report = suite::run(&cases, || on_a_machine(server.clone())).await.unwrap();
    assert_eq!(report.passed, OUTAGES);
}
