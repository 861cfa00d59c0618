use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Wake, Waker},
};

use due_core::{Kind, Url, net::Segments};

use super::*;
use crate::kcp::segment::{Cmd, Head};

fn endpoint(query: &str) -> Endpoint {
    Endpoint::new(&Settings::of(&Url::parse(&format!("kcp://a:1?{query}")).unwrap()).unwrap())
}

fn address(n: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + n), 9))
}

fn datagram(conv: u32, cmd: Cmd, sn: u32, una: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { conv, cmd, wnd: 32, ts: 0, sn, una }.write(data.len(), &mut bytes);
    bytes.extend_from_slice(data);
    bytes
}

fn hello(conv: u32) -> Vec<u8> {
    datagram(conv, Cmd::Push, 0, 0, b"hello")
}

fn text(endpoint: &mut Endpoint, key: Key) -> Result<String, Kind> {
    let mut space = [0; 100];
    match endpoint.read(key, &mut space, Waker::noop()) {
        Poll::Ready(Ok((len, _))) => Ok(String::from_utf8_lossy(&space[..len]).into_owned()),
        Poll::Ready(Err(e)) => Err(e.kind()),
        Poll::Pending => Ok(String::new()),
    }
}

fn flushed(endpoint: &mut Endpoint, now: u64) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    endpoint.flush(now, |to, _, out| {
        all.extend(out.iter().map(|bytes| (to, bytes.to_vec())));
        true
    });
    all
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_session_opens_reads_answers_and_is_confirmed() {
    let mut e = endpoint("");
    e.datagram(0, address(1), None, &hello(7));
    let (key, peer) = e.accept().unwrap();
    assert_eq!((peer, text(&mut e, key).as_deref()), (address(1), Ok("hello")));
    let mut out = Segments::default();
    out.append(b"world");
    assert!(e.write(key, &mut out, Waker::noop()).is_ready());
    let sent = flushed(&mut e, 3);
    assert_eq!(sent, [(address(1), [datagram_of(b"world", 3), ack_of()].concat())]);
    assert_eq!((e.taken(key), e.half_open.len()), (0, 1));
    e.datagram(20, address(1), None, &datagram(7, Cmd::Ack, 0, 1, b""));
    assert_eq!((e.taken(key), e.half_open.len()), (5, 0));
    assert!(e.drain(key, Waker::noop()).is_ready());
    e.leave(key);
    assert_eq!((e.len(), e.by_peer.len(), e.deadlines.len()), (0, 0, 0));
}

fn datagram_of(data: &[u8], ts: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { conv: 7, cmd: Cmd::Push, wnd: 256, ts, sn: 0, una: 1 }.write(data.len(), &mut bytes);
    bytes.extend_from_slice(data);
    bytes
}

fn ack_of() -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { conv: 7, cmd: Cmd::Ack, wnd: 256, ts: 0, sn: 0, una: 1 }.write(0, &mut bytes);
    bytes
}

#[test]
fn what_opens_no_session_leaves_no_trace() {
    // B111
    let mut e = endpoint("");
    let mut cut = hello(7);
    cut.pop();
    let mut parity = hello(7);
    parity[4] = 0xf2;
    let strays = [
        vec![],
        vec![1; 3],
        vec![81; 24],
        vec![0; 2000],
        cut,
        parity,
        datagram(7, Cmd::Push, 1, 0, b"later"),
        datagram(7, Cmd::Push, 0, 0, b""),
        datagram(7, Cmd::Ask, 0, 0, b""),
        datagram(7, Cmd::Ack, 0, 0, b""),
        datagram(7, Cmd::Push, 0, 0, &[1; 1500]),
    ];
    for stray in strays {
        e.datagram(0, address(1), None, &stray);
    }
    assert!(e.accept().is_none() && flushed(&mut e, 100).is_empty());
    assert_eq!((e.len(), e.timer()), (0, None));
}

#[test]
fn a_wrapped_first_datagram_opens_a_session() {
    let mut e = endpoint("");
    let inner = hello(7);
    let wrapped = [&[0, 0, 0, 0, 0xf1, 0, inner.len() as u8 + 2, 0][..], &inner].concat();
    e.datagram(0, address(1), None, &wrapped);
    let (key, _) = e.accept().unwrap();
    assert_eq!(text(&mut e, key).as_deref(), Ok("hello"));
    assert!(flushed(&mut e, 10).iter().all(|(_, bytes)| bytes[4] == 82), "answers go without");
}

#[test]
fn a_foreign_conversation_is_dropped() {
    // B114
    let mut e = endpoint("");
    e.datagram(0, address(1), None, &hello(7));
    let (key, _) = e.accept().unwrap();
    assert_eq!(text(&mut e, key).as_deref(), Ok("hello"));
    e.datagram(0, address(1), None, &datagram(8, Cmd::Push, 1, 0, b"guess"));
    e.datagram(0, address(2), None, &datagram(7, Cmd::Push, 1, 0, b"guess"));
    assert_eq!(text(&mut e, key).as_deref(), Ok(""));
    assert_eq!(e.len(), 1);
    e.datagram(0, address(1), None, &datagram(7, Cmd::Push, 1, 0, b"real"));
    assert_eq!(text(&mut e, key).as_deref(), Ok("real"));
}

#[test]
fn a_new_conversation_from_the_same_address_replaces_the_session() {
    let mut e = endpoint("");
    e.datagram(0, address(1), None, &hello(7));
    let (old, _) = e.accept().unwrap();
    let woken = Arc::new(Count::default());
    let _ = text(&mut e, old);
    assert!(e.read(old, &mut [0; 9], &woken.clone().into()).is_pending());
    e.datagram(5, address(1), None, &hello(8));
    assert_eq!(woken.0.load(Relaxed), 1);
    assert_eq!(text(&mut e, old), Err(Kind::Gone));
    assert!(e.drain(old, Waker::noop()).is_ready());
    let (new, _) = e.accept().unwrap();
    assert_eq!(text(&mut e, new).as_deref(), Ok("hello"));
    e.leave(old);
    // A late copy of the first datagram of the old conversation does not turn it back.
    e.datagram(6, address(1), None, &hello(7));
    assert!(e.accept().is_none());
    e.datagram(6, address(1), None, &datagram(8, Cmd::Push, 1, 0, b"!"));
    assert_eq!(text(&mut e, new).as_deref(), Ok("!"));
    assert_eq!(e.len(), 1);
}

#[test]
fn a_session_that_ended_is_not_begun_again_by_a_late_copy() {
    let mut e = endpoint("");
    e.datagram(0, address(1), None, &hello(7));
    let (key, _) = e.accept().unwrap();
    e.leave(key);
    e.datagram(9_999, address(1), None, &hello(7));
    assert!(e.accept().is_none());
    e.datagram(10_000, address(1), None, &hello(7));
    assert!(e.accept().is_some());
}

#[test]
fn a_flood_of_addresses_keeps_memory_flat_and_old_sessions_alive() {
    // B119
    let mut e = endpoint("half-open=64&max-sessions=1000");
    e.datagram(0, address(0), None, &hello(7));
    let (old, _) = e.accept().unwrap();
    let mut out = Segments::default();
    out.append(b"welcome");
    assert!(e.write(old, &mut out, Waker::noop()).is_ready());
    flushed(&mut e, 1);
    e.datagram(2, address(0), None, &datagram(7, Cmd::Ack, 0, 1, b""));
    let _ = text(&mut e, old);

    let mut conns = Vec::new();
    for n in 1..100_000 {
        e.datagram(3, address(n), None, &hello(n));
        assert!(e.len() <= 64 + 1 + conns.len());
        if n % 100 == 0 {
            // The shard's turn: connections that were pushed out are dropped.
            conns.extend(std::iter::from_fn(|| e.accept()).map(|(key, _)| key));
            conns.retain(|&key| {
                let lives = text(&mut e, key) != Err(Kind::Overloaded);
                if !lives {
                    e.leave(key);
                }
                lives
            });
            flushed(&mut e, 3);
        }
    }
    assert!(e.by_peer.len() <= 65 && e.half_open.len() <= 64 && e.deadlines.len() <= 65);
    assert!(e.sessions.len() <= 130 && e.ended.len() <= REMEMBERED + 1 && e.dirty.len() < 200);
    e.datagram(4, address(0), None, &datagram(7, Cmd::Push, 1, 1, b"still here"));
    assert_eq!(text(&mut e, old).as_deref(), Ok("still here"));
}

#[test]
fn no_more_sessions_than_allowed() {
    let mut e = endpoint("max-sessions=3");
    for n in 0..5 {
        e.datagram(0, address(n), None, &hello(7));
    }
    assert_eq!(std::iter::from_fn(|| e.accept()).count(), 3);
}

#[test]
fn a_closed_endpoint_keeps_its_sessions_and_takes_no_new_ones() {
    let mut e = endpoint("");
    e.datagram(0, address(1), None, &hello(7));
    e.close();
    e.datagram(0, address(2), None, &hello(7));
    let (key, _) = e.accept().unwrap();
    assert!(e.accept().is_none());
    assert_eq!(text(&mut e, key).as_deref(), Ok("hello"));
    e.shut();
    assert_eq!(text(&mut e, key), Err(Kind::Gone));
    e.leave(key);
    assert_eq!(e.len(), 0);
}

#[test]
fn a_full_socket_keeps_the_other_sessions_for_the_next_flush() {
    let mut e = endpoint("ack-nodelay=on");
    for n in 0..3 {
        e.datagram(0, address(n), None, &hello(7));
    }
    let mut to = Vec::new();
    e.flush(0, |peer, _, _| {
        to.push(peer);
        false
    });
    assert!(to.len() == 1 && e.is_dirty());
    to.extend(flushed(&mut e, 0).into_iter().map(|sent| sent.0));
    assert_eq!(to, [address(0), address(1), address(2)]);
}

#[test]
fn a_write_waits_for_room_and_is_woken_by_an_acknowledgement() {
    let mut e = endpoint("snd-wnd=2&mtu=1400");
    e.datagram(0, address(1), None, &hello(7));
    let (key, _) = e.accept().unwrap();
    let mut out = Segments::default();
    out.append(&[1; 10 * 1376]);
    let woken = Arc::new(Count::default());
    assert!(e.write(key, &mut out, &woken.clone().into()).is_pending());
    assert_eq!(out.len(), 6 * 1376);
    flushed(&mut e, 0);
    assert_eq!(woken.0.load(Relaxed), 0);
    e.datagram(1, address(1), None, &datagram(7, Cmd::Ack, 1, 2, b""));
    assert_eq!(woken.0.load(Relaxed), 1);
    assert!(e.write(key, &mut out, &woken.into()).is_pending());
    assert_eq!(out.len(), 4 * 1376);
}

#[test]
fn a_silent_peer_ends_its_session() {
    let mut e = endpoint("");
    e.datagram(0, address(1), None, &hello(7));
    let (key, _) = e.accept().unwrap();
    let mut out = Segments::default();
    out.append(b"anyone?");
    assert!(e.write(key, &mut out, Waker::noop()).is_ready());
    let _ = text(&mut e, key);
    flushed(&mut e, 0);
    while let Some(at) = e.timer() {
        assert!(at < 100_000);
        e.expire(at);
        flushed(&mut e, at);
    }
    assert_eq!(text(&mut e, key), Err(Kind::Gone));
}
