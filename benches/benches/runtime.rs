//! What the parts of the runtime cost by themselves: looking a route up, an actor's mailbox, an actor's timers.
//!
//! One thread runs shard and caller, so nothing here waits for a core.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark is no interface, and may fail")]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use due::{core::RouteId, handler::Raw, prelude::*};
use tokio::runtime::{Builder, Runtime};

const TELL: Notify<Bytes, Raw> = Notify::new(1, "bench.tell");
const ASK: Call<Bytes, Bytes, Raw> = Call::new(2, "bench.ask");
/// Messages or timers of one look.
const BATCH: u64 = 512;
/// Routes of a node.
const ROUTES: i32 = 200;

struct Counter(u64);

impl Actor for Counter {
    const KIND: &'static str = "bench-counter";
    type Key = u64;
}

impl Counter {
    fn tell(&mut self, Msg(_): Msg<Bytes>) {
        self.0 += 1;
    }

    fn ask(&mut self, Msg(body): Msg<Bytes>) -> Bytes {
        body
    }
}

fn routes(c: &mut Criterion) {
    // Every route has a name of its own.
    let numbered = |i: i32| Call::<Bytes, Bytes, Raw>::new(i * 7, format!("bench.{i}").leak());
    let all = (0..ROUTES).fold(Routes::new(), |all: Routes, i| all.raw(numbered(i), |_, _| Ok(())));
    let table = all.build().unwrap();
    let mut group = c.benchmark_group("routes");
    group.throughput(Throughput::Elements(ROUTES as u64));
    group.bench_function(format!("find each of {ROUTES}"), |b| {
        b.iter(|| (0..ROUTES).filter_map(|i| table.find(black_box(RouteId(i * 7)))).count());
    });
    group.bench_function("find none", |b| {
        b.iter(|| (0..ROUTES).filter_map(|i| table.find(black_box(RouteId(i * 7 + 1)))).count());
    });
    group.finish();
}

/// A node whose shard runs on the caller's thread.
fn world() -> (Runtime, Running) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let routes = Routes::new().actor_by(TELL, |_| 1, Counter::tell).actor_by(ASK, |_| 1, Counter::ask);
    let node = Node::new("bench").routes(routes).actors(|_: u64, _| async { Ok(Counter(0)) });
    let app = App::new(due::drivers()).shards(Shards::Inline).with(node);
    let running = runtime.block_on(app.start()).unwrap();
    (runtime, running)
}

fn actors(c: &mut Criterion) {
    let (runtime, running) = world();
    let (addr, body) = (running.cluster().actor::<Counter>(&1), Bytes::from_static(&[7; 48]));
    let mut group = c.benchmark_group("actor");
    group.bench_function("ask", |b| {
        b.iter(|| runtime.block_on(addr.call(ASK, black_box(&body))).unwrap());
    });
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(format!("tell {BATCH} and ask"), |b| {
        b.iter(|| {
            runtime.block_on(async {
                (1..BATCH).for_each(|_| addr.tell(TELL, black_box(&body)).unwrap());
                addr.call(ASK, &body).await.unwrap()
            })
        });
    });
    group.bench_function(format!("set and cancel {BATCH} timers"), |b| {
        b.iter(|| runtime.block_on(addr.with(timers)).unwrap());
    });
    group.finish();
    runtime.block_on(running.stop(Duration::from_secs(1))).unwrap();
}

fn timers(_: &mut Counter, cx: &Cx<Counter>) {
    let set: Vec<_> =
        (0..BATCH).map(|i| cx.after(Duration::from_millis(1000 + i), |_: &mut Counter, _: &Cx<Counter>| {})).collect();
    set.into_iter().for_each(|timer| cx.cancel(timer));
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
}

criterion_group!(name = runtime; config = quick(); targets = routes, actors);
criterion_main!(runtime);
