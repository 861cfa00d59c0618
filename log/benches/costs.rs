//! What an event costs whoever emits it: the table of `docs/log.md`.
//!
//!     cargo bench -p due-log
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark is no interface, and may fail")]

use std::{
    collections::VecDeque,
    hint::black_box,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use due_log::{Guard, Output, Record, Setup, Sink};
use tracing_subscriber::layer::SubscriberExt;

/// Events between two waits for the sink: its queue never fills, so none is counted as lost, which would be quicker.
const AT_ONCE: u64 = 256;

/// Takes all, at no cost.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        batch.clear();
        Ok(())
    }
}

/// Runs within a log that writes so many equal lines a second.
fn logged(c: &mut Criterion, repeats: u32, run: impl FnOnce(&Guard, &mut BenchmarkGroup<'_, WallTime>)) {
    let setup = Setup::new().levels("info".parse().unwrap()).repeats(repeats);
    let (layer, guard) = setup.sink(Output::new("nowhere", Nowhere)).layer().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        run(&guard, &mut c.benchmark_group("event"));
    });
}

/// Emits so many events; only that is timed, not the wait for the sink.
fn emit(guard: &Guard, events: u64, event: impl Fn(u64)) -> Duration {
    let mut spent = Duration::ZERO;
    for first in (0..events).step_by(AT_ONCE as usize) {
        let begin = Instant::now();
        (first..events.min(first + AT_ONCE)).for_each(&event);
        spent += begin.elapsed();
        assert!(guard.flush());
    }
    spent
}

fn different(c: &mut Criterion) {
    logged(c, 0, |guard, group| {
        let three = |i: u64| tracing::info!(room = i, name = "lobby", %i, "a room is open");
        group.bench_function("off", |b| b.iter(|| tracing::debug!(room = black_box(7), "a room is open")));
        group.bench_function("a message", |b| b.iter_custom(|n| emit(guard, n, |_| tracing::info!("a room is open"))));
        group.bench_function("three fields", |b| b.iter_custom(|n| emit(guard, n, three)));
        let _outer = tracing::info_span!("node", id = "game-1").entered();
        let _inner = tracing::info_span!("message", route = 17).entered();
        group.bench_function("three fields in two spans", |b| b.iter_custom(|n| emit(guard, n, three)));
    });
}

fn equal(c: &mut Criterion) {
    logged(c, 10, |guard, group| {
        let same = |_| tracing::info!(name = "lobby", "a room is open");
        group.bench_function("a repeated line", |b| b.iter_custom(|n| emit(guard, n, same)));
    });
}

criterion_group!(benches, different, equal);
criterion_main!(benches);
