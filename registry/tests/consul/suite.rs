//! What every registry does.

use due_testkit::{
    registry::CASES,
    server::{Program, Server},
    suite::{self, Case},
};

use crate::bench::{behind_a_network, on_a_machine, server};

/// Cases whose fault is one of the server itself.
const OF_THE_SERVER: [&str; 6] = [
    "a_wiped_registry_fills_again",
    "a_wipe_that_nobody_is_told_of_is_seen",
    "an_outage_keeps_the_view_and_heals",
    "a_hanging_registry_holds_nobody_up",
    "what_changes_in_an_outage_is_written_after_it",
    "a_newcomer_waits_for_the_registry",
];

#[tokio::test]
async fn consul_does_what_every_registry_does() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let report = suite::run(CASES, || behind_a_network(server.address())).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|(name, _)| *name).collect();
    let wanted = [
        // Ids are detected, not enforced: see the tests of one agent and of two.
        "an_incarnation_registers_once",
        "a_living_holder_keeps_its_id",
        "a_dead_holder_is_taken_over_and_never_comes_back",
        "a_silent_holder_that_renews_keeps_its_id",
        "who_comes_back_too_late_is_superseded",
        "a_wiped_registry_fills_again",
        "a_wipe_that_nobody_is_told_of_is_seen",
        "a_change_that_nobody_is_told_of_is_seen",
        "old_lists_are_overcome",
    ];
    assert_eq!(skipped, wanted);
}

#[tokio::test] // proves P11, P12
async fn consul_may_be_killed_stopped_and_wiped() {
    let Some(server) = server().await else { return };
    let chosen = CASES.iter().filter(|case| OF_THE_SERVER.contains(&case.name));
    let cases: Vec<_> = chosen.map(|case| Case { name: case.name, run: case.run }).collect();
    let report = suite::run(&cases, || on_a_machine(server.clone())).await.unwrap();
    assert_eq!(report.passed, OF_THE_SERVER);
}
