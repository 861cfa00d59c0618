//! Levels that change while the program runs, and lines that repeat.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Shelf, setup, with};
use due_core::Kind;
use due_log::{Format, LevelFilter, Record};

const LONG: Duration = Duration::from_secs(3_600);

fn debug() {
    tracing::debug!("detail");
}

#[test]
fn a_level_is_set_for_a_time_and_ends_by_itself() {
    let shelf = Shelf::default();
    let ((), guard) = with(setup("info").sink(shelf.output("shelf")), |guard| {
        debug();
        guard.levels().set("levels", LevelFilter::DEBUG, Duration::from_millis(1)).unwrap();
        shelf.wait_for("is over");
        assert_eq!(guard.levels().list(), []);
        debug();
        guard.levels().set("levels", LevelFilter::DEBUG, LONG).unwrap();
        debug();
    });
    assert!(guard.flush());
    assert_eq!(shelf.count("detail"), 1, "{:?}", shelf.messages());
    let said = shelf.wait_for("was set");
    let mut line = String::new();
    Format::Text.write(&said, &mut line);
    assert!(line.contains("target=levels level=debug for=1s"), "{line}");
}

#[test]
fn a_level_is_replaced_listed_and_cleared() {
    let shelf = Shelf::default();
    let ((), guard) = with(setup("info").sink(shelf.output("shelf")), |guard| {
        let levels = guard.levels();
        levels.set("levels", LevelFilter::DEBUG, LONG).unwrap();
        levels.set("", LevelFilter::ERROR, LONG).unwrap();
        levels.set("levels", LevelFilter::TRACE, LONG / 2).unwrap();
        let list = levels.list();
        let shown: Vec<_> = list.iter().map(|set| (set.target.as_str(), set.level)).collect();
        assert_eq!(shown, [("", LevelFilter::ERROR), ("levels", LevelFilter::TRACE)]);
        assert!(list[1].left <= LONG / 2 && list[1].left > LONG / 4, "{list:?}");
        debug();
        tracing::warn!(target: "game", "quiet");
        assert!(levels.clear("levels") && levels.clear("") && !levels.clear("levels"));
        debug();
        tracing::warn!(target: "game", "loud");
    });
    assert!(guard.flush());
    assert_eq!((shelf.count("detail"), shelf.count("quiet"), shelf.count("loud")), (1, 0, 1));
}

#[test]
fn wrong_levels_are_refused_and_their_number_is_bounded() {
    let shelf = Shelf::default();
    let ((), _guard) = with(setup("info").sink(shelf.output("shelf")), |guard| {
        let levels = guard.levels();
        let kind = |target: &str, time| levels.set(target, LevelFilter::DEBUG, time).unwrap_err().kind();
        assert_eq!(kind("a b", LONG), Kind::Config);
        assert_eq!(kind("levels", Duration::ZERO), Kind::Config);
        (0..64).for_each(|n| levels.set(&format!("t{n}"), LevelFilter::DEBUG, LONG).unwrap());
        assert_eq!(kind("t64", LONG), Kind::Full);
        levels.set("t0", LevelFilter::WARN, Duration::MAX).unwrap();
        assert_eq!(levels.list().len(), 64);
    });
}

#[test]
fn a_repeated_line_is_written_a_few_times_and_counted() {
    let shelf = Shelf::default();
    let written = |all: &[Arc<Record>]| -> u64 {
        let lines = all.iter().filter(|record| record.message() == "again");
        lines.map(|record| record.repeated().max(1)).sum()
    };
    let ((), guard) = with(setup("info").repeats(3).sink(shelf.output("shelf")), |_| {
        for room in [1, 2] {
            (0..5_000).for_each(|_| tracing::info!(room, "again"));
        }
        tracing::info!("again, but from another place");
    });
    // The end tells what no second has told yet.
    drop(guard);
    let all = shelf.records();
    assert_eq!(written(&all), 10_000, "{all:#?}");
    assert!(all.len() < 5_000, "{} lines were written", all.len());
    let mut line = String::new();
    Format::Text.write(all.iter().find(|record| record.repeated() > 0).unwrap(), &mut line);
    assert!(line.contains("again room=1 .. repeated "), "{line}");
}

#[test]
fn the_count_of_a_repeated_line_comes_without_another_line() {
    let shelf = Shelf::default();
    let ((), _guard) = with(setup("info").repeats(1).sink(shelf.output("shelf")), |_| {
        // One second holds them all, unless it ends in between: then two do.
        (0..3).for_each(|_| tracing::info!("again"));
        shelf.wait_for_count(3);
    });
}
