//! Settings in a real consul.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bench;
mod faults;
mod odd;

use due_testkit::{
    config::{self, CASES},
    server::{Program, Server},
    suite::{self, Case},
};

use bench::{behind_a_network, on_a_machine, server};

/// Cases whose fault is one of the server itself.
const OF_THE_SERVER: [&str; 4] = [
    "a_source_that_is_away_says_so",
    "after_a_break_the_full_set_comes",
    "a_restored_source_wins",
    "an_outage_changes_nothing",
];

#[tokio::test]
async fn consul_does_what_every_config_source_does() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let report = config::suite(|| behind_a_network(server.address())).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|(name, _)| *name).collect();
    assert_eq!(skipped, ["a_restored_source_wins"]);
}

#[tokio::test] // proves P18
async fn consul_may_be_killed_and_restored() {
    let Some(server) = server().await else { return };
    let chosen = CASES.iter().filter(|case| OF_THE_SERVER.contains(&case.name));
    let cases: Vec<_> = chosen.map(|case| Case { name: case.name, run: case.run }).collect();
    let report = suite::run(&cases, || on_a_machine(server.clone())).await.unwrap();
    assert_eq!(report.passed, OF_THE_SERVER);
}
