//! What a connection that does nothing costs the server: user memory alone, as the kernel counts it.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

mod program;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};

use due::protocol::{Dialect, Framing, Head};
use program::{Running, build, free_port};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CONNECTIONS: usize = 2000;
/// Each makes buffers for all its connections when it meets the first.
const SHARDS: usize = 2;
const TRIES: usize = 3;
/// Length of the body of the one message that a connection exchanges.
const BODY: usize = 1024;

static ECHO: LazyLock<PathBuf> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("files may be opened");
    build("echo")
});

/// Two processes of one program share its pages, and the end of the one would count as growth of the other.
static ALONE: Mutex<()> = Mutex::new(());

/// A client, what it sends and what it wants to hear.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Client {
    fn tcp(address: &str) -> Self {
        let request = frame();
        Self { stream: TcpStream::connect(address).unwrap(), reply: request.clone(), request }
    }

    fn ws(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let frame = frame();
        let len = u16::try_from(frame.len()).unwrap().to_be_bytes();
        // A whole binary message; a mask of zeros leaves the bytes as they are.
        let request = [&[0x82, 0xfe, len[0], len[1], 0, 0, 0, 0][..], &frame].concat();
        Self { stream, request, reply: [&[0x82, 126, len[0], len[1]][..], &frame].concat() }
    }

    fn exchange(&mut self) {
        self.stream.write_all(&self.request).unwrap();
        let mut reply = vec![0; self.reply.len()];
        self.stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, self.reply);
    }
}

fn frame() -> Vec<u8> {
    let mut out = Vec::new();
    Dialect::default().put_data(Head { route: 1, seq: 1 }, &[7; BODY], Framing::Stream, &mut out).unwrap();
    out
}

/// Proportional set size in bytes: a process's own memory and its share of what it shares.
fn pss(pid: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// Connections that have had one message echoed, and stay.
fn open(connect: fn(&str) -> Client, address: &str, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| connect(address)).collect();
    clients.iter_mut().for_each(Client::exchange);
    clients
}

fn check(network: &str, connect: fn(&str) -> Client, limit: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // The least of some: what else a process touches for the first time meanwhile is counted too.
    let least = (0..TRIES).map(|_| each(network, connect)).min().unwrap();
    assert!(least <= limit, "{least} B of user memory for an idle {network} connection, at most {limit}");
}

fn each(network: &str, connect: fn(&str) -> Client) -> usize {
    let address = format!("127.0.0.1:{}", free_port());
    let args = format!("--{network} {address} --heartbeat off --shards {SHARDS}");
    let echo = Running::start(&ECHO, &args.split(' ').map(String::from).collect::<Vec<_>>());
    echo.line("`ready`", |line| line == "ready");
    let _first = open(connect, &address, 8 * SHARDS);
    let empty = pss(echo.pid());
    let _idle = open(connect, &address, CONNECTIONS);
    let each = pss(echo.pid()).saturating_sub(empty) / CONNECTIONS;
    eprintln!("{each} B of user memory for an idle {network} connection");
    each
}

// 1,425 to 1,635 without optimization.
#[test]
fn an_idle_tcp_connection_takes_1700_bytes_at_most() {
    check("tcp", Client::tcp, 1700);
}

// 1,760 to 1,850 without optimization.
#[test]
fn an_idle_ws_connection_takes_2000_bytes_at_most() {
    check("ws", Client::ws, 2000);
}
