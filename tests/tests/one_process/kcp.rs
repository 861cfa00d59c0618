//! KCP: our own client is served; datagrams that follow no format, or come from anywhere, disturb nobody.

use crate::wire::{self, Client, ECHO_ID, Got, LOGIN, NEWS, PLACES, Place, routes, soon, start, until};
use due::{Kind, app::Running, prelude::*};
use tokio::net::UdpSocket;

const KCP: &str = "kcp://127.0.0.1:0";

async fn world(place: Place, keys: &str) -> Running {
    start(place, &[&format!("{KCP}{keys}"), "tcp://127.0.0.1:0"], routes()).await
}

async fn client(running: &Running) -> Client {
    Client::to(running.url("gate:kcp").unwrap()).await
}

/// A socket without any protocol, towards the server.
async fn socket(running: &Running) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(running.url("gate:kcp").unwrap().host()).await.unwrap();
    socket
}

const PUSH: u8 = 81;
const ACK: u8 = 82;

/// The fields of a segment; what is not named is 0.
#[derive(Clone, Copy, Default)]
struct Segment<'a> {
    conv: u32,
    cmd: u8,
    frg: u8,
    wnd: u16,
    ts: u32,
    sn: u32,
    una: u32,
    /// The length it claims, if not that of its data.
    len: Option<u32>,
    data: &'a [u8],
}

impl Segment<'_> {
    fn bytes(self) -> Vec<u8> {
        let mut out = self.conv.to_le_bytes().to_vec();
        out.extend([self.cmd, self.frg]);
        out.extend(self.wnd.to_le_bytes());
        for field in [self.ts, self.sn, self.una, self.len.unwrap_or(self.data.len() as u32)] {
            out.extend(field.to_le_bytes());
        }
        out.extend(self.data);
        out
    }
}

fn push(conv: u32, sn: u32, data: &[u8]) -> Segment<'_> {
    Segment { conv, cmd: PUSH, wnd: 256, sn, data, ..Segment::default() }
}

/// An echo request and its answer are the same frame.
fn echo_frame(seq: u8) -> Vec<u8> {
    let body = b"\"kcp\"";
    [&[0, 0, 0, 5 + body.len() as u8, 0, 0, ECHO_ID as u8, 0, seq][..], body].concat()
}

/// Reads until the server has pushed this frame on the conversation.
async fn pushed(socket: &UdpSocket, conv: u32, frame: &[u8]) {
    soon("the answer", async {
        let mut buffer = [0; 2048];
        loop {
            let n = socket.recv(&mut buffer).await.unwrap();
            assert_eq!(buffer[..4], conv.to_le_bytes(), "a datagram of another conversation");
            if buffer[..n].windows(frame.len()).any(|w| w == frame) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
// conformance 34, 47, P1, P8
async fn a_kcp_client_plays_like_any_other() {
    for place in PLACES {
        let running = world(place, "").await;
        let mut told = client(&running).await;
        told.say_hello().await;
        for seq in 1..=50 {
            let body = format!("\"{}\"", "x".repeat(seq as usize * 100));
            assert_eq!(told.ask(ECHO_ID, seq, body.as_bytes()).await, body.as_bytes());
        }
        told.data(999, 51, b"").await;
        assert_eq!(told.next().await, Some(Got::failure(999, 51, Kind::NoRoute)));
        told.ask(LOGIN.def().id.0, 52, b"\"ann\"").await;
        let sent = running.cluster().push(To::User("ann".into()), NEWS, &"hi".into()).await.unwrap();
        assert_eq!(sent.queued, 1);
        assert_eq!(told.next().await, Some(Got::data(NEWS.def().id.0, 0, b"\"hi\"")));
        let mut page = Client::tcp(&running).await;
        page.ask(LOGIN.def().id.0, 1, b"\"ann\"").await;
        assert_eq!(told.next().await, Some(Got::kick(Kind::Relogin)));
    }
}

#[tokio::test(flavor = "multi_thread")]
// B016, P1
async fn many_frames_over_many_kcp_connections_come_back_in_order() {
    let running = world(Place::Apart, "").await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let url = running.url("gate:kcp").unwrap().clone();
            tokio::spawn(async move {
                let mut client = Client::to(&url).await;
                for batch in 0..10 {
                    let seqs = batch * 20 + 1..batch * 20 + 21;
                    let frames: Vec<u8> =
                        seqs.clone().flat_map(|seq| client.data_bytes(ECHO_ID, seq, b"\"kcp\"")).collect();
                    client.raw(&frames).await;
                    for seq in seqs {
                        assert_eq!(client.next().await, Some(Got::data(ECHO_ID, seq, b"\"kcp\"")));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        soon("a client ends", task).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
// B111, B115
async fn random_datagrams_get_no_reply_and_make_no_session() {
    let running = world(Place::Shared, "").await;
    let socket = socket(&running).await;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for n in 0..2000 {
        let mut bytes = Vec::new();
        for _ in 0..n % 90 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes.push(random as u8);
        }
        // Never by chance a whole segment.
        if let Some(cmd) = bytes.get_mut(4) {
            *cmd &= 0x3f;
        }
        socket.send(&bytes).await.unwrap();
    }
    for len in [6, 1000, u32::MAX] {
        socket.send(&Segment { len: Some(len), ..push(7, 0, b"short") }.bytes()).await.unwrap();
    }
    // Whole segments that begin nothing.
    for segment in [push(7, 1, b"x"), Segment { cmd: ACK, ..push(7, 0, b"") }, Segment { cmd: 83, ..push(7, 0, b"") }] {
        socket.send(&segment.bytes()).await.unwrap();
    }
    // The first datagram that ever comes back is for the first good one.
    socket.send(&push(99, 0, &echo_frame(1)).bytes()).await.unwrap();
    pushed(&socket, 99, &echo_frame(1)).await;
    wire::connections(&running, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
// B114, B116, B117, B118
async fn hostile_segments_of_a_live_session_are_dropped() {
    let running = world(Place::Apart, "").await;
    let mut bystander = client(&running).await;
    bystander.silence().await;
    let socket = socket(&running).await;
    socket.send(&push(5, 0, &echo_frame(1)).bytes()).await.unwrap();
    pushed(&socket, 5, &echo_frame(1)).await;
    for hostile in [
        Segment { frg: 255, ..push(5, 7, b"x") },
        Segment { wnd: 65_535, una: 0x7fff_ffff, ..push(5, 0, b"") },
        Segment { wnd: 65_535, una: u32::MAX, cmd: ACK, ..push(5, 0, b"") },
        Segment { ts: u32::MAX / 2, cmd: ACK, ..push(5, 0, b"") },
        Segment { ts: u32::MAX, cmd: ACK, sn: u32::MAX, ..push(5, 0, b"") },
        Segment { sn: 0x8000_0000, ..push(5, 0, b"far") },
        Segment { len: Some(60_000), ..push(5, 1, b"x") },
        Segment { cmd: 0, ..push(5, 1, b"x") },
    ] {
        socket.send(&hostile.bytes()).await.unwrap();
    }
    // Somebody else who guessed the conversation.
    let thief = self::socket(&running).await;
    thief.send(&push(5, 1, &echo_frame(9)).bytes()).await.unwrap();
    socket.send(&push(5, 1, &echo_frame(2)).bytes()).await.unwrap();
    pushed(&socket, 5, &echo_frame(2)).await;
    bystander.silence().await;
    wire::connections(&running, 2).await;
    wire::alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B021, B012
async fn bytes_of_no_frame_end_a_kcp_session() {
    let running = world(Place::Shared, "").await;
    for (n, bytes) in [&[0xff; 8][..], b"GET / HTTP/1.1\r\n\r\n"].into_iter().enumerate() {
        let socket = socket(&running).await;
        socket.send(&push(3, 0, bytes).bytes()).await.unwrap();
        until("it is noticed", || async { wire::counted(&running).await.malformed > n as u64 }).await;
    }
    wire::connections(&running, 0).await;
    client(&running).await.silence().await;
}

#[tokio::test(flavor = "multi_thread")]
// B112, B119: 100,000 with DUE_CHURN
async fn a_storm_of_sources_is_bounded_and_hurts_no_session() {
    let sources = std::env::var("DUE_CHURN").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    let running = world(Place::Shared, "?half-open=64&max-sessions=200").await;
    let mut old = client(&running).await;
    old.silence().await;
    for n in 0..sources {
        let source = socket(&running).await;
        source.send(&push(n, 0, b"\0").bytes()).await.unwrap();
        if n % 100 == 0 {
            old.silence().await;
            // What a turn has ended and not yet forgotten comes on top.
            let open = running.snapshot().await.connections["gate"];
            assert!(open <= 400, "{open} sessions");
        }
    }
    until("only the bound is left", || async { running.snapshot().await.connections["gate"] <= 64 + 4 + 1 }).await;
    old.silence().await;
    client(&running).await.silence().await;
}
