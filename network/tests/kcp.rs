//! The kcp network over real sockets on loopback.
#![cfg(feature = "kcp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::{
    future::{Future, poll_fn},
    net::UdpSocket,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use due_core::{
    Kind, Url,
    net::{Bound, Conn, Inbound, Listener, Network, Scratch, Segments},
};
use due_network::kcp::{Kcp, fuzz};
use proptest::prelude::*;

fn url(query: &str) -> Url {
    Url::parse(&format!("kcp://127.0.0.1:0?{query}")).unwrap()
}

/// A shard that sends back what it reads. Polls all it has in every turn, and flushes at the end of it.
struct Echo {
    listener: Box<dyn Listener>,
    conns: Vec<(Box<dyn Conn>, Segments)>,
    scratch: Scratch,
    accepted: Arc<AtomicUsize>,
}

impl Echo {
    fn new(listener: Box<dyn Listener>, accepted: &Arc<AtomicUsize>) -> Self {
        Self { listener, conns: Vec::new(), scratch: Scratch::new(), accepted: accepted.clone() }
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(conn) = self.listener.poll_accept(cx) {
            self.accepted.fetch_add(1, Relaxed);
            self.conns.push((conn.unwrap(), Segments::default()));
        }
        let scratch = &mut self.scratch;
        self.conns.retain_mut(|(conn, out)| echo(conn.as_mut(), scratch, out, cx));
        let _ = self.listener.poll_flush(cx);
    }

    async fn run(mut self) {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Pending
        })
        .await
    }
}

/// False when the connection is gone.
fn echo(conn: &mut dyn Conn, scratch: &mut Scratch, out: &mut Segments, cx: &mut Context<'_>) -> bool {
    loop {
        match conn.poll_write(cx, out) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return false,
            Poll::Pending => return true,
        }
        match conn.poll_read(cx, scratch, out) {
            Poll::Ready(Ok(Inbound::Data { .. })) => out.append(scratch.stream()),
            Poll::Ready(_) => return false,
            Poll::Pending => return true,
        }
    }
}

/// Runs `work` beside shards that echo, and says how many connections they accepted.
async fn beside(bound: Bound, work: impl Future<Output = ()>) -> usize {
    let accepted = Arc::new(AtomicUsize::new(0));
    let shards: Vec<_> = bound.listeners.into_iter().map(|l| tokio::spawn(Echo::new(l, &accepted).run())).collect();
    work.await;
    shards.iter().for_each(tokio::task::JoinHandle::abort);
    accepted.load(Relaxed)
}

/// Sends `data` and reads as much back.
async fn exchange(conn: &mut dyn Conn, data: &[u8]) {
    let (mut out, mut scratch, mut got) = (Segments::default(), Scratch::new(), Vec::new());
    out.append(data);
    poll_fn(|cx| {
        let _ = conn.poll_write(cx, &mut out);
        let mut none = Segments::default();
        while let Poll::Ready(read) = conn.poll_read(cx, &mut scratch, &mut none) {
            assert!(matches!(read, Ok(Inbound::Data { .. })), "{read:?}");
            got.extend_from_slice(scratch.stream());
        }
        if got.len() >= data.len() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert!(got == data);
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect()
}

async fn read_error(conn: &mut dyn Conn) -> due_core::Error {
    let (mut scratch, mut none) = (Scratch::new(), Segments::default());
    poll_fn(|cx| conn.poll_read(cx, &mut scratch, &mut none)).await.unwrap_err()
}

#[tokio::test]
async fn a_megabyte_goes_each_way() {
    for query in ["", "stream=off&ack-nodelay=on&nc=off", "mtu=64&snd-wnd=8&rcv-wnd=8"] {
        let bound = Kcp.bind(&url(query), 1).await.unwrap();
        let mut conn = Kcp.connect(&bound.url).await.unwrap();
        let data = pattern(if query.contains("mtu") { 100_000 } else { 1 << 20 });
        let accepted = beside(bound, async {
            exchange(conn.as_mut(), b"first").await;
            exchange(conn.as_mut(), &data).await;
            poll_fn(|cx| conn.poll_shutdown(cx)).await;
            assert_eq!(conn.taken(), data.len() as u64 + 5);
        })
        .await;
        assert_eq!(accepted, 1);
    }
}

#[tokio::test]
async fn many_sessions_are_dealt_to_shards_and_kept_apart() {
    let bound = Kcp.bind(&url(""), 3).await.unwrap();
    assert_eq!(bound.listeners.len(), 3);
    let at = bound.url.clone();
    let accepted = beside(bound, async {
        let clients = (0..200_usize).map(|n| {
            let at = at.clone();
            tokio::spawn(async move {
                let mut conn = Kcp.connect(&at).await.unwrap();
                for round in 0..5 {
                    exchange(conn.as_mut(), format!("client {n} round {round}").repeat(n + 1).as_bytes()).await;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
    })
    .await;
    assert_eq!(accepted, 200);
}

#[tokio::test]
async fn a_busy_port_is_named() {
    for shards in [1, 2] {
        let bound = Kcp.bind(&url(""), shards).await.unwrap();
        let e = Kcp.bind(&bound.url, 3 - shards).await.err().unwrap();
        assert!(e.kind() == Kind::Config && e.to_string().contains(bound.url.host()), "{e}");
    }
}

#[tokio::test]
async fn a_bad_address_or_setting_is_refused() {
    for wrong in ["kcp://127.0.0.1", "kcp://127.0.0.1:0?mtu=7", "kcp://127.0.0.1:0?colour=red"] {
        let url = Url::parse(wrong).unwrap();
        assert_eq!(Kcp.bind(&url, 1).await.err().unwrap().kind(), Kind::Config, "{wrong}");
        assert_eq!(Kcp.connect(&url).await.err().unwrap().kind(), Kind::Config, "{wrong}");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_client_learns_it() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = Url::parse(&format!("kcp://{}", free.local_addr().unwrap())).unwrap();
    drop(free);
    let mut conn = Kcp.connect(&at).await.unwrap();
    let mut out = Segments::default();
    out.append(b"anyone?");
    let _ = poll_fn(|cx| conn.poll_write(cx, &mut out)).await;
    assert_eq!(read_error(conn.as_mut()).await.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn strays_get_no_answer() {
    // B111, B114
    let bound = Kcp.bind(&url(""), 1).await.unwrap();
    let (at, host) = (bound.url.clone(), bound.url.host().to_owned());
    let stray = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stray.connect(&host).await.unwrap();
    let accepted = beside(bound, async {
        for len in 0..100 {
            stray.send(&vec![81; len]).await.unwrap();
        }
        let mut conn = Kcp.connect(&at).await.unwrap();
        exchange(conn.as_mut(), b"after the strays").await;
    })
    .await;
    assert_eq!(accepted, 1);
    assert!(stray.try_recv(&mut [0; 10]).is_err());
}

#[tokio::test]
async fn a_closed_listener_keeps_its_connections_and_takes_no_new_ones() {
    let mut bound = Kcp.bind(&url(""), 1).await.unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let mut shard = Echo::new(bound.listeners.remove(0), &accepted);
    let mut old = Kcp.connect(&bound.url).await.unwrap();
    with(&mut shard, exchange(old.as_mut(), b"before")).await;
    shard.listener.close();
    with(&mut shard, exchange(old.as_mut(), b"after")).await;
    let mut new = Kcp.connect(&bound.url).await.unwrap();
    let mut out = Segments::default();
    out.append(b"let me in");
    poll_fn(|cx| new.poll_write(cx, &mut out)).await.unwrap();
    with(&mut shard, exchange(old.as_mut(), b"still")).await;
    assert_eq!(accepted.load(Relaxed), 1);
    drop(shard);
}

/// Drives a shard in the same task until `work` is done.
async fn with(shard: &mut Echo, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let done = work.as_mut().poll(cx);
        shard.turn(cx);
        done
    })
    .await;
}

#[tokio::test]
async fn a_connection_whose_listener_is_dropped_is_gone() {
    let mut bound = Kcp.bind(&url(""), 1).await.unwrap();
    let mut shard = Echo::new(bound.listeners.remove(0), &Arc::default());
    let mut client = Kcp.connect(&bound.url).await.unwrap();
    with(&mut shard, exchange(client.as_mut(), b"hello")).await;
    let Echo { listener, mut conns, .. } = shard;
    let (mut conn, _) = conns.pop().unwrap();
    assert_eq!(conn.peer().ip().to_string(), "127.0.0.1");
    drop(listener);
    assert_eq!(read_error(conn.as_mut()).await.kind(), Kind::Gone);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_either() {
    let bound = Kcp.bind(&url(""), 1).await.unwrap();
    let mut conn = Kcp.connect(&bound.url).await.unwrap();
    beside(bound, async {
        let (mut out, data) = (Segments::default(), pattern(8 << 20));
        out.append(&data);
        // The server, which cannot send its echo, stops reading: what waits on the way is bounded.
        poll_fn(|cx| {
            let _ = conn.poll_write(cx, &mut out);
            if conn.taken() > 1_000_000 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(out.len() > 4 << 20, "{}", out.len());
        let (mut scratch, mut got) = (Scratch::new(), Vec::new());
        poll_fn(|cx| {
            let _ = conn.poll_write(cx, &mut out);
            let mut none = Segments::default();
            while let Poll::Ready(read) = conn.poll_read(cx, &mut scratch, &mut none) {
                read.as_ref().unwrap();
                got.extend_from_slice(scratch.stream());
            }
            if got.len() == data.len() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(got == data);
    })
    .await;
}

/// Datagrams as the wire has them, so that the fuzzer begins beyond the first checks.
fn corpus() -> Vec<Vec<u8>> {
    let segment = |cmd: u8, frg: u8, wnd: u16, numbers: [u32; 4]| {
        let mut bytes = vec![7, 0, 0, 0, cmd, frg];
        bytes.extend_from_slice(&wnd.to_le_bytes());
        numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
        bytes
    };
    let wild = [0, 1, 31, 32, 255, 256, 65_535, i32::MAX as u32, 1 << 31, u32::MAX];
    let mut all = Vec::new();
    for cmd in 80..=85 {
        for a in wild {
            for b in wild {
                // B115, B116, B117, B118
                let mut bytes = vec![1];
                bytes.extend(segment(81, 255, 65_535, [a, 0, b, 16]));
                bytes.extend([9; 16]);
                bytes.push(0x30);
                bytes.extend(segment(cmd, 3, a as u16, [b, a, b, 0]));
                bytes.push(0x30);
                bytes.extend(segment(cmd, 0, b as u16, [a, b, a, b]));
                all.push(bytes);
            }
        }
    }
    all
}

#[test]
fn the_corpus_does_no_harm() {
    corpus().iter().for_each(|data| fuzz::segment(data));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_datagrams_do_no_harm(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::segment(&data);
    }

    #[test]
    fn datagrams_that_are_nearly_right_do_no_harm(
        picks in proptest::collection::vec((0..600_usize, 0..100_usize, any::<u8>()), 1..20),
    ) {
        let corpus = corpus();
        let mut data = Vec::new();
        for (which, at, byte) in picks {
            let mut bytes = corpus[which].clone();
            let at = at % bytes.len();
            bytes[at] = byte;
            data.extend(bytes);
        }
        fuzz::segment(&data);
    }
}
