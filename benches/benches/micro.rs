//! What the parts of a message's way cost by themselves: frames, bodies, outboxes and the memory link.
//!
//! Quick by default; `cargo bench -p due-benches -- --measurement-time 5` gives steadier figures.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark is no interface, and may fail")]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use due_codec::{Json, MsgPack, Protobuf};
use due_core::{
    Codec,
    net::{Pool, Segments},
    transport::{Batch, FrameKind, Head, Part},
};
use due_protocol::{Assembler, Dialect, Flow, Framing, Peer};

/// Bytes of a body, small and large.
const BODIES: [usize; 2] = [128, 1024];
/// Frames that a read brings.
const FRAMES: usize = 32;

/// A message of a game: ten fields of the usual kinds.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
struct Player {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int32, tag = "3")]
    level: i32,
    #[prost(uint64, tag = "4")]
    gold: u64,
    #[prost(bool, tag = "5")]
    alive: bool,
    #[prost(float, tag = "6")]
    x: f32,
    #[prost(float, tag = "7")]
    y: f32,
    #[prost(uint32, repeated, tag = "8")]
    items: Vec<u32>,
    #[prost(string, optional, tag = "9")]
    guild: Option<String>,
    #[prost(sint32, tag = "10")]
    score: i32,
}

fn player() -> Player {
    Player {
        id: 9_007_199_254,
        name: "Ada of the Hill".into(),
        level: 42,
        gold: 1_234_567,
        alive: true,
        x: 12.5,
        y: -3.25,
        items: vec![1, 20, 300, 4000, 50_000],
        guild: Some("Analysts".into()),
        score: -17,
    }
}

fn put(dialect: &Dialect, body: &[u8], out: &mut Vec<u8>) {
    dialect.put_data(due_protocol::Head { route: 1, seq: 7 }, body, Framing::Stream, out).unwrap();
}

fn protocol(c: &mut Criterion) {
    let dialect = Dialect::default();
    let mut group = c.benchmark_group("protocol");
    for len in BODIES {
        let body = vec![7; len];
        let (mut one, mut read) = (Vec::new(), Vec::new());
        put(&dialect, &body, &mut one);
        (0..FRAMES).for_each(|_| put(&dialect, &body, &mut read));
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("encode/{len}"), |b| {
            b.iter(|| {
                one.clear();
                put(&dialect, black_box(&body), &mut one);
                black_box(&one);
            });
        });
        group.throughput(Throughput::Elements(FRAMES as u64));
        let mut inbound = Assembler::new(Peer::Old, Framing::Stream);
        group.bench_function(format!("decode/{FRAMES}x{len}"), |b| {
            b.iter(|| feed(&mut inbound, &dialect, [black_box(&read[..])]));
        });
        // The second read ends the frame that the first has cut.
        let (first, second) = read.split_at(read.len() / 2 - 10);
        group.bench_function(format!("decode cut/{FRAMES}x{len}"), |b| {
            b.iter(|| feed(&mut inbound, &dialect, black_box([first, second])));
        });
    }
    group.finish();
}

fn feed<const N: usize>(inbound: &mut Assembler, dialect: &Dialect, reads: [&[u8]; N]) {
    for read in reads {
        let each = |frame: due_protocol::Frame<'_>| {
            black_box(frame);
            Flow::Continue
        };
        inbound.feed(dialect, read, each).unwrap();
    }
}

fn codec<C: Codec<Player>>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, codec: C) {
    let (player, mut bytes) = (player(), Vec::new());
    codec.encode(&player, &mut bytes).unwrap();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut out = Vec::new();
    group.bench_function(format!("encode/{name}"), |b| {
        b.iter(|| {
            out.clear();
            codec.encode(black_box(&player), &mut out).unwrap();
            black_box(&out);
        });
    });
    group.bench_function(format!("decode/{name}"), |b| b.iter(|| codec.decode(black_box(&bytes)).unwrap()));
}

fn codecs(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    codec(&mut group, "json", Json);
    codec(&mut group, "msgpack", MsgPack);
    codec(&mut group, "protobuf", Protobuf);
    group.finish();
}

fn outbox(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbox");
    let (mut pool, mut out) = (Pool::default(), Segments::default());
    for len in BODIES {
        let body = vec![7; len];
        group.throughput(Throughput::Elements(FRAMES as u64));
        group.bench_function(format!("copied/{FRAMES}x{len}"), |b| {
            b.iter(|| {
                out.prime(&mut pool);
                (0..FRAMES).for_each(|_| out.append(black_box(&body)));
                drain(&mut out, &mut pool);
            });
        });
    }
    let shared = Bytes::from(vec![7; 4096]);
    group.bench_function(format!("shared/{FRAMES}x4096"), |b| {
        b.iter(|| {
            out.prime(&mut pool);
            (0..FRAMES).for_each(|_| out.share(black_box(&shared)));
            drain(&mut out, &mut pool);
        });
    });
    group.finish();
}

/// Writes everything, as a socket with room does.
fn drain(out: &mut Segments, pool: &mut Pool) {
    while !out.is_empty() {
        let len = black_box(out.first()).len();
        out.advance(len);
    }
    out.reclaim(pool);
}

fn batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("link batch");
    let (mut batch, head) = (Batch::default(), Head { kind: FrameKind::Message, route: 1, ..Head::default() });
    for len in BODIES {
        let body = vec![7; len];
        group.throughput(Throughput::Elements(FRAMES as u64));
        group.bench_function(format!("fill and walk/{FRAMES}x{len}"), |b| {
            b.iter(|| {
                batch.clear();
                (0..FRAMES).for_each(|_| batch.push(head, Part::Copy(black_box(&body)).bytes()));
                (0..batch.len()).for_each(|i| _ = black_box(batch.get(i)));
            });
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
}

criterion_group!(name = micro; config = quick(); targets = protocol, codecs, outbox, batch);
criterion_main!(micro);
