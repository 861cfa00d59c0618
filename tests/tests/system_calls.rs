//! What a message costs in system calls: the unit of cost of a server on a network.
//!
//! Counts, no times: the server is held still until a whole round of messages has arrived, so the figures are the same on
//! a busy machine and on an idle one, and a write too many for each message cannot hide.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may")]

mod counted;
mod program;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use counted::{Calls, Counted};
use due::protocol::{Dialect, Framing, Head};
use program::{build, free_port};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const BODY: usize = 128;
/// Rounds before those that count, in which buffers and links are made.
const WARM_UP: usize = 5;
/// A limit against hanging, not a measure.
const LIMIT: Duration = Duration::from_secs(60);

static ECHO: LazyLock<PathBuf> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("files may be opened");
    build("echo")
});

/// A round: every connection sends so many frames in one write and wants them back.
struct Clients {
    streams: Vec<TcpStream>,
    requests: Vec<u8>,
    replies: Vec<u8>,
}

impl Clients {
    fn connect(network: &str, address: &str, connections: usize, window: usize) -> Self {
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        for seq in 1..=window as i32 {
            let mut frame = Vec::new();
            Dialect::default()
                .put_data(Head { route: 1, seq }, &[seq as u8; BODY], Framing::Stream, &mut frame)
                .unwrap();
            if network == "ws" {
                // A whole binary message of up to 64 KiB; a mask of zeros leaves the bytes as they are.
                let len = u16::try_from(frame.len()).unwrap().to_be_bytes();
                requests.extend([0x82, 0xfe, len[0], len[1], 0, 0, 0, 0]);
                replies.extend([0x82, 126, len[0], len[1]]);
            }
            requests.extend_from_slice(&frame);
            replies.extend_from_slice(&frame);
        }
        let dial = if network == "ws" { upgraded } else { plain };
        Self { streams: (0..connections).map(|_| dial(address)).collect(), requests, replies }
    }

    fn send(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.write_all(&self.requests).unwrap());
    }

    fn receive(&mut self) {
        let mut replies = vec![0; self.replies.len()];
        for stream in &mut self.streams {
            stream.read_exact(&mut replies).unwrap();
            assert_eq!(replies, self.replies);
        }
    }
}

fn plain(address: &str) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// A connection that has become a WebSocket.
fn upgraded(address: &str) -> TcpStream {
    let mut stream = plain(address);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// How much load, and how many rounds of it.
#[derive(Clone, Copy, Debug)]
struct Load {
    connections: usize,
    window: usize,
    rounds: usize,
}

impl Load {
    fn messages(self) -> usize {
        self.connections * self.window * self.rounds
    }

    /// Calls of each of `programs` in all rounds. The first is the one that clients talk to.
    fn run(self, programs: &[Counted], (network, address): (&str, &str)) -> Vec<Calls> {
        let gate = programs.first().unwrap();
        let mut clients = Clients::connect(network, address, self.connections, self.window);
        let mut round = || {
            gate.held(|| clients.send());
            clients.receive();
        };
        (0..WARM_UP).for_each(|_| round());
        let before: Vec<Calls> = programs.iter().map(Counted::calls).collect();
        (0..self.rounds).for_each(|_| round());
        programs.iter().zip(before).map(|(program, before)| program.calls() - before).collect()
    }
}

fn check(what: &str, load: Load, calls: Calls, most: f64) {
    let each = calls.each(load.messages());
    eprintln!("{what}: {each:.4} system calls a message, of {load:?}: {calls:?}");
    // What counts nothing finds nothing.
    assert!(calls.reads > 0 && calls.writes > 0 && calls.waits > 0, "{what}: {calls:?}");
    assert!(each <= most, "{what}: {each:.4} system calls a message, at most {most}: {load:?}: {calls:?}");
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// At the gate alone, on one shard.
fn check_gate(network: &str, connections: usize, window: usize, most: f64) {
    let address = format!("127.0.0.1:{}", free_port());
    let args = words(&format!("--{network} {address} --heartbeat off --shards 1"));
    let Some(echo) = Counted::start(&ECHO, &args) else { return };
    let load = Load { connections, window, rounds: 10_000 / connections };
    let calls = load.run(&[echo], (network, &address));
    check(network, load, calls[0], most);
}

/// A gate and a node of one process, on a shard each.
fn check_memory(connections: usize, window: usize, most: f64) {
    let address = format!("127.0.0.1:{}", free_port());
    let args = words(&format!("--tcp {address} --heartbeat off --via node --shards 2"));
    let Some(echo) = Counted::start(&ECHO, &args) else { return };
    let load = Load { connections, window, rounds: 10_000 / connections };
    let calls = load.run(&[echo], ("tcp", &address));
    check("gate and node over memory", load, calls[0], most);
}

/// A gate and a node of two processes, on a shard each.
fn check_link(connections: usize, window: usize, most: [f64; 2]) {
    let [address, home] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let peers = format!("--registry peer://{home} --locator peer://{home} --eventbus peer://{home}");
    let common = format!("--via node --shards 1 --heartbeat off --transport link://127.0.0.1:0 {peers}");
    let Some(node) = Counted::start(&ECHO, &words(&format!("--roles node {common}"))) else { return };
    let gate = words(&format!("--roles gate --tcp {address} {common}"));
    let gate = Counted::start(&ECHO, &gate).unwrap();
    until_answered(&address);
    let load = Load { connections, window, rounds: 10_000 / connections };
    let calls = load.run(&[gate, node], ("tcp", &address));
    check("gate of a link", load, calls[0], most[0]);
    check("node of a link", load, calls[1], most[1]);
}

/// A gate needs a moment to hear of its node; before, it answers with an error.
fn until_answered(address: &str) {
    let begin = Instant::now();
    loop {
        let mut one = Clients::connect("tcp", address, 1, 1);
        one.send();
        let mut reply = vec![0; one.replies.len()];
        let n = one.streams[0].read(&mut reply).unwrap();
        if reply[..n] == one.replies {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "no answer from the node: {:?}", &reply[..n]);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_ping_pong_takes_one_read_and_one_write_with_fifty_connections() {
    check_gate("tcp", 50, 1, 2.05);
    check_gate("ws", 50, 1, 2.05);
}

#[test]
fn a_ping_pong_takes_one_read_and_one_write_with_a_thousand_connections() {
    check_gate("tcp", 1000, 1, 2.05);
}

#[test]
fn frames_that_arrive_together_are_read_and_answered_together() {
    check_gate("tcp", 50, 32, 0.08);
    check_gate("ws", 50, 32, 0.08);
}

#[test]
fn a_handler_on_another_shard_costs_a_few_calls_a_turn() {
    check_memory(50, 1, 2.25);
    check_memory(50, 32, 0.08);
}

#[test]
fn a_handler_in_another_process_costs_a_few_calls_a_turn() {
    check_link(50, 1, [2.2, 0.2]);
    check_link(50, 32, [0.09, 0.02]);
}
