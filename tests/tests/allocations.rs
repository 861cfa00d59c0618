//! What messages cost the allocator: nothing, whether a shard answers them itself, or a node over a link, be it in memory or
//! between two servers.
//!
//! An allocator that counts stands in for the system's in this test program, so everything in the process is counted:
//! shards, the service runtime, the watchdog and the client, whose buffers are made before.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions beside the tests are tests too")]

use std::{
    alloc::System,
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use due::{
    prelude::*,
    protocol::{Dialect, Framing, Head},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Only one test may run at a time: all share the allocator.
static ALONE: Mutex<()> = Mutex::new(());

/// How a client sends: so many times, so many frames at once, with bodies of so many bytes.
const SHAPES: [(usize, usize, usize); 4] = [(20_000, 1, 128), (200, 100, 128), (20_000, 1, 1024), (200, 100, 1024)];

/// Nothing, but for what the process does once in a while.
const NOTHING: f64 = 0.01;
/// Servers look after their links and each other by the clock, however many messages a slow machine gets done meanwhile:
/// told from an allocation for each message by being less.
const BY_THE_CLOCK: f64 = 0.5;

fn echo(body: Bytes) -> Bytes {
    body
}

fn app(shards: usize) -> App {
    App::new(due::drivers())
        .shards(Shards::Count(NonZeroUsize::new(shards).unwrap()))
        .with(Gate::new("gate").listen("tcp://127.0.0.1:0"))
        .with(Node::new("echo").routes(Routes::new().fallback(echo)))
}

/// A client that sends the same frames again and again and wants them back.
struct Client {
    stream: TcpStream,
    frames: Vec<u8>,
    replies: Vec<u8>,
}

impl Client {
    fn connect(running: &Running, frames: usize, body: usize) -> Self {
        let url = running.url("gate").unwrap();
        let stream = TcpStream::connect(url.host()).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut sent = Vec::new();
        for seq in 1..=frames as i32 {
            Dialect::default()
                .put_data(Head { route: 1, seq }, &vec![seq as u8; body], Framing::Stream, &mut sent)
                .unwrap();
        }
        Self { stream, replies: vec![0; sent.len()], frames: sent }
    }

    fn exchange(&mut self, times: usize) {
        for _ in 0..times {
            self.stream.write_all(&self.frames).unwrap();
            self.stream.read_exact(&mut self.replies).unwrap();
            assert_eq!(self.frames, self.replies);
        }
    }
}

/// Allocations for each message of a shape, after a warm-up with the same.
fn figure(running: &Running, (times, frames, body): (usize, usize, usize)) -> f64 {
    let mut client = Client::connect(running, frames, body);
    client.exchange(times / 4);
    let region = Region::new(ALLOCATOR);
    client.exchange(times);
    let change = region.change();
    let each = (change.allocations + change.reallocations) as f64 / (times * frames) as f64;
    eprintln!("{times} times {frames} frames of {body} B: {each:.5} allocations a message");
    each
}

/// Runs all shapes against the gate, the last to start; `alone` is the most for messages that go one by one.
fn check(start: impl AsyncFnOnce() -> Vec<Running>, alone: f64) {
    // Held until the end of the test: the report of a failure allocates too.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let running = runtime.block_on(start());
    let gate = running.last().unwrap();
    for shape in SHAPES {
        let (each, most) = (figure(gate, shape), if shape.1 == 1 { alone } else { NOTHING });
        assert!(each <= most, "{shape:?}: {each} allocations a message, at most {most}");
    }
    for one in running.into_iter().rev() {
        runtime.block_on(one.stop(Duration::from_secs(5))).unwrap();
    }
}

#[test]
fn an_echo_on_the_connections_own_shard_allocates_nothing() {
    check(async || vec![app(1).shared_shards().start().await.unwrap()], NOTHING);
}

#[test]
fn an_echo_over_the_memory_link_allocates_nothing() {
    check(async || vec![app(2).start().await.unwrap()], NOTHING);
}

#[test]
fn an_echo_over_a_link_between_two_servers_allocates_nothing() {
    let start = async || {
        let drivers = due::drivers();
        let server =
            || App::new(drivers.clone()).shards(Shards::Count(NonZeroUsize::MIN)).transport("link://127.0.0.1:0");
        let node = server().with(Node::new("echo").routes(Routes::new().fallback(echo)));
        let gate = server().with(Gate::new("gate").listen("tcp://127.0.0.1:0"));
        vec![node.start().await.unwrap(), gate.start().await.unwrap()]
    };
    check(start, BY_THE_CLOCK);
}
