//! Sinks that block, fail, panic and are too slow.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind},
    process::Command,
    sync::{Arc, mpsc},
    time::Instant,
};

use common::{Folder, Shelf, setup, with};
use due_log::{Format, Output, Record, Sink, sink};

/// Blocks until it is told to go on, then writes to a shelf.
struct Blocked {
    until: mpsc::Receiver<()>,
    shelf: Shelf,
}

impl Sink for Blocked {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        // An error: who would tell it is gone, and it is free.
        let _ = self.until.recv();
        self.shelf.write(batch)
    }
}

const LOST: &str = "lines are lost";

/// proves P20
#[test] // invariant 5, invariant 15
fn a_million_lines_into_a_blocked_sink_hold_nobody_up_and_take_bounded_memory() {
    const LINES: u64 = 1_000_000;
    const QUEUE: usize = 1 << 20;
    let (shelf, other) = (Shelf::default(), Shelf::default());
    let (release, until) = mpsc::channel();
    let blocked = Output::new("blocked", Blocked { until, shelf: shelf.clone() }).queue(QUEUE);
    let warnings = other.output("other").level(due_log::LevelFilter::WARN);
    let (most, guard) = with(setup("info").repeats(0).sink(blocked).sink(warnings), |guard| {
        let mut most = 0;
        for n in 0..LINES {
            tracing::info!(n, "flood");
            if n % 10_000 == 0 {
                most = most.max(guard.sinks()[0].waiting);
            }
        }
        most.max(guard.sinks()[0].waiting)
    });
    assert!(most <= QUEUE, "{most} bytes waited");
    let state = guard.sinks()[0].clone();
    assert!(state.lost > 0 && state.written == 0, "{state:?}");
    other.wait_for(LOST);
    assert_eq!(other.count(LOST), 1, "told more than once");
    drop(release);
    let told = shelf.wait_for("were lost here");
    assert!(guard.flush());
    assert_eq!(told.fields()[0].value, due_log::Value::Uint(state.lost));
    assert_eq!(shelf.count("flood") as u64 + state.lost, LINES, "each line is there or counted");
    // What was kept is what came first, and the account stands behind it.
    assert_eq!(shelf.records().last().unwrap().message(), told.message());
    other.wait_for("keeps up again");
}

#[test] // invariant 15
fn a_pipe_that_nobody_reads_ends_neither_the_server_nor_its_stop() {
    let (folder, shelf) = (Folder::new(), Shelf::default());
    let path = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let pipe = sink::File::new(&path, Format::Text, sink::Rotation::default()).unwrap();
    let setup = setup("info").repeats(0).sink(Output::new("pipe", pipe).queue(64 << 10)).sink(shelf.output("shelf"));
    let ((), guard) = with(setup, |_| (0..10_000).for_each(|n| tracing::info!(n, "line")));
    shelf.wait_for(LOST);
    assert!(!guard.flush(), "a pipe without a reader took lines");
    drop(guard);
    // It was the reader that was missing: the thread, which is still there, writes to the first one that comes.
    let first = BufReader::new(File::open(&path).unwrap()).lines().next().unwrap().unwrap();
    assert!(first.ends_with("INFO trouble: line n=0"), "{first}");
}

/// Fails so often, then works.
struct Failing {
    left: u32,
    error: ErrorKind,
    shelf: Shelf,
}

impl Sink for Failing {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        if self.left > 0 {
            self.left -= 1;
            return Err(self.error.into());
        }
        self.shelf.write(batch)
    }
}

#[test]
fn a_full_disk_is_told_once_and_costs_no_line_that_the_queue_can_hold() {
    let (shelf, other) = (Shelf::default(), Shelf::default());
    let failing = Failing { left: 3, error: ErrorKind::StorageFull, shelf: shelf.clone() };
    let setup = setup("info").sink(Output::new("disk", failing)).sink(other.output("other"));
    let ((), guard) = with(setup, |_| {
        tracing::info!("first");
        tracing::info!("second");
        other.wait_for("works again");
    });
    let why = other.wait_for("fails");
    let shown = format!("{:?}", why.fields());
    assert!(shown.contains("disk") && shown.contains("no storage space"), "{shown}");
    assert_eq!((other.count("fails"), guard.sinks()[0].lost), (1, 0));
    shelf.wait_for("second");
    let lines: Vec<String> = shelf.messages().into_iter().filter(|m| ["first", "second"].contains(&&**m)).collect();
    assert_eq!(lines, ["first", "second"]);
}

/// Works at every other call.
struct Unsteady {
    works: bool,
    shelf: Shelf,
}

impl Sink for Unsteady {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        self.works = !self.works;
        if self.works { self.shelf.write(batch) } else { Err(ErrorKind::TimedOut.into()) }
    }
}

#[test]
fn a_sink_that_fails_now_and_then_does_not_fill_the_others() {
    let (shelf, other) = (Shelf::default(), Shelf::default());
    let unsteady = Output::new("unsteady", Unsteady { works: true, shelf: shelf.clone() });
    let begin = Instant::now();
    let ((), guard) = with(setup("info").sink(unsteady).sink(other.output("other")), |_| {
        for text in ["one", "two", "three"] {
            tracing::info!("{text}");
            shelf.wait_for(text);
        }
    });
    other.wait_for("works again");
    drop(guard);
    // Once, and once more for every ten seconds that a slow machine took.
    let most = 1 + begin.elapsed().as_secs() / 10;
    assert_eq!(shelf.messages(), ["one", "two", "three"]);
    assert!(other.count("it is tried again") as u64 <= most, "{:?}", other.messages());
    assert_eq!(other.count("works again"), other.count("it is tried again"));
}

#[test]
fn a_sink_that_would_block_is_tried_again_and_not_told() {
    let (shelf, other) = (Shelf::default(), Shelf::default());
    let failing = Failing { left: 5, error: ErrorKind::WouldBlock, shelf: shelf.clone() };
    let setup = setup("info").sink(Output::new("busy", failing)).sink(other.output("other"));
    let ((), _guard) = with(setup, |_| {
        tracing::info!("line");
        shelf.wait_for("line");
    });
    other.wait_for("line");
    assert_eq!(other.messages(), ["line"]);
}

#[test]
fn a_full_device_is_told_and_the_stop_does_not_wait_for_it() {
    let shelf = Shelf::default();
    let full = sink::File::new("/dev/full", Format::Text, sink::Rotation::default()).unwrap();
    let setup = setup("info").sink(Output::new("full", full)).sink(shelf.output("shelf"));
    let ((), guard) = with(setup, |_| tracing::info!("line"));
    let shown = format!("{:?}", shelf.wait_for("fails").fields());
    assert!(shown.contains("space"), "{shown}");
    drop(guard);
    assert_eq!(shelf.count("line"), 1);
}

/// Panics at one record.
struct Delicate(Shelf);

impl Sink for Delicate {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        while let Some(record) = batch.front() {
            assert_ne!(record.message(), "poison", "not for me");
            let mut one: VecDeque<_> = batch.pop_front().into_iter().collect();
            self.0.write(&mut one)?;
        }
        Ok(())
    }
}

#[test]
fn a_sink_that_panics_loses_the_line_it_cannot_take_and_goes_on() {
    let (shelf, other) = (Shelf::default(), Shelf::default());
    let delicate = Output::new("delicate", Delicate(shelf.clone()));
    let ((), guard) = with(setup("info").sink(delicate).sink(other.output("other")), |_| {
        ["one", "poison", "two"].iter().for_each(|text| tracing::info!("{text}"));
        shelf.wait_for("two");
    });
    let shown = format!("{:?}", other.wait_for("fails").fields());
    assert!(shown.contains("panicked") && shown.contains("not for me"), "{shown}");
    let lines: Vec<String> = shelf.messages().into_iter().filter(|m| !m.contains("sink")).collect();
    assert_eq!((lines, guard.sinks()[0].lost), (vec!["one".to_owned(), "two".to_owned()], 1));
}
