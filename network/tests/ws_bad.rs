//! Bad inputs on a raw socket, each with its answer; the listener serves others all the while.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use common::{Echo, Peer};
use due_core::error::Kind;
use due_network::ws::Ws;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HEAD: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn serve() -> Echo {
    Echo::start(&Ws, "ws://127.0.0.1:0").await
}

/// Sends bytes and reads until the server ends.
async fn ask(server: &Echo, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.url.host()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// The frames that the server answers to these, after the upgrade.
async fn frames(server: &Echo, bytes: &[u8]) -> Vec<u8> {
    let answer = ask(server, &[HEAD.as_bytes(), bytes].concat()).await;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    answer[end..].to_vec()
}

/// A masked frame; the key is zero.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 126);
    [&[first, 0x80 | body.len() as u8, 0, 0, 0, 0][..], body].concat()
}

fn close(code: u16) -> Vec<u8> {
    [&[0x88, 2][..], &code.to_be_bytes()].concat()
}

/// proves B094, B095, B096, B097, B098, B105, conformance 16
#[tokio::test]
async fn a_bad_request_gets_its_status_and_others_are_served() {
    let mut server = serve().await;
    let fields = "X-Field: y\r\n".repeat(10_000);
    let cases = [
        ("B094", HEAD.replace("Host", &format!("{fields}Host")), "431 ", Kind::TooLarge),
        ("B094", HEAD.replace("Host", &format!("X: {}\r\nHost", "y".repeat(20_000))), "431 ", Kind::TooLarge),
        ("B095", HEAD.replace("GET /", &format!("GET /{}", "x".repeat(65_536))), "414 ", Kind::TooLarge),
        (
            "B096",
            HEAD.replace("Host", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\nHost"),
            "400 ",
            Kind::Malformed,
        ),
        ("B097", HEAD.replace("Sec-WebSocket-Key", "X-Key"), "400 ", Kind::Malformed),
        ("B098", HEAD.replace("Version: 13", "Version: 8"), "426 ", Kind::Malformed),
        ("no upgrade", "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426 ", Kind::Malformed),
        ("a POST", HEAD.replace("GET", "POST"), "405 ", Kind::Malformed),
        ("B105", HEAD.replace("Host", "Origin: https://evil.example\r\nHost"), "403 ", Kind::Forbidden),
        ("not HTTP", "\x00\x00\x00\x05\x00hello".to_owned(), "400 ", Kind::Malformed),
    ];
    let mut client = Peer::connect(&Ws, &server.url).await;
    for (i, (name, request, status, kind)) in cases.iter().enumerate() {
        let answer = String::from_utf8(ask(&server, request.as_bytes()).await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        let log = server.until(|log| log.errors.len() == i + 1).await;
        assert_eq!(log.errors[i], *kind, "{name}");
        client.send(b"well").await.unwrap();
        assert_eq!(client.receive(4).await, b"well");
    }
    server.until(|log| log.open == 1).await;
}

#[tokio::test]
async fn the_right_version_and_method_are_told() {
    let server = serve().await;
    let answer = ask(&server, HEAD.replace("Version: 13", "Version: 7").as_bytes()).await;
    assert!(String::from_utf8(answer).unwrap().contains("\r\nSec-WebSocket-Version: 13\r\n"));
    let answer = ask(&server, HEAD.replace("GET", "PUT").as_bytes()).await;
    assert!(String::from_utf8(answer).unwrap().contains("\r\nAllow: GET\r\n"));
}

/// proves B093: the answer to a head that is not complete when its deadline passes
#[tokio::test]
async fn a_slow_head_is_told_so_when_the_caller_ends_it() {
    use common::accept;
    use due_core::net::{Bound, Farewell, Network};
    let Bound { url, mut listeners } = Ws.bind(&common::url("ws://127.0.0.1:0"), 1).await.unwrap();
    for (why, status) in [(Farewell::Policy, "408"), (Farewell::GoingAway, "503")] {
        let mut raw = TcpStream::connect(url.host()).await.unwrap();
        raw.write_all(&HEAD.as_bytes()[..40]).await.unwrap();
        let server = Peer::new(accept(&mut listeners[0]).await);
        assert!(server.conn.opening());
        let read = async {
            let mut answer = String::new();
            raw.read_to_string(&mut answer).await.unwrap();
            drop(raw);
            answer
        };
        let (answer, ()) = tokio::join!(read, server.close(why));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

/// proves B099, B100, B101, B102, B103, B104
#[tokio::test]
async fn a_bad_frame_gets_its_close_code_and_others_are_served() {
    let mut server = serve().await;
    let empty = [frame(0x02, b""), frame(0x00, b"").repeat(10_000)].concat();
    let large = [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x00, 0x41, 0, 0, 0, 0][..]].concat();
    let halves = [&[0x02, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &vec![1; 65_535], &frame(0x80, &[1; 66])].concat();
    let cases = [
        ("B099", vec![0x82, 0x01, 7], 1002, Kind::Malformed),
        ("B100", frame(0x09, b"ping"), 1002, Kind::Malformed),
        ("B101", [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat(), 1002, Kind::Malformed),
        ("B102", frame(0x80, b"what"), 1002, Kind::Malformed),
        ("a message in a message", [frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002, Kind::Malformed),
        ("B103", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], 1002, Kind::Malformed),
        ("B104", empty, 1002, Kind::Malformed),
        ("over max-message", large, 1009, Kind::TooLarge),
        ("over max-message in two", halves, 1009, Kind::TooLarge),
        ("a reserved bit", frame(0xc2, b"x"), 1002, Kind::Malformed),
        ("a reserved opcode", frame(0x83, b"x"), 1002, Kind::Malformed),
        ("a close of one byte", frame(0x88, b"x"), 1002, Kind::Malformed),
        ("a close with 1005", frame(0x88, &1005u16.to_be_bytes()), 1002, Kind::Malformed),
        ("a close with 999", frame(0x88, &999u16.to_be_bytes()), 1002, Kind::Malformed),
        ("a close reason that is not UTF-8", frame(0x88, &[0x03, 0xe8, 0xff]), 1007, Kind::Malformed),
    ];
    let mut client = Peer::connect(&Ws, &server.url).await;
    for (i, (name, bytes, code, kind)) in cases.iter().enumerate() {
        assert_eq!(frames(&server, bytes).await, close(*code), "{name}");
        let log = server.until(|log| log.errors.len() == i + 1).await;
        assert_eq!(log.errors[i], *kind, "{name}");
        client.send(b"well").await.unwrap();
        assert_eq!(client.receive(4).await, b"well");
    }
    server.until(|log| log.open == 1).await;
}

#[tokio::test]
async fn messages_before_a_bad_frame_are_delivered() {
    let mut server = serve().await;
    let answer = frames(&server, &[frame(0x82, b"good"), frame(0x83, b"bad"), frame(0x82, b"late")].concat()).await;
    assert_eq!(answer, [&[0x82, 4][..], b"good", &close(1002)].concat());
    let log = server.until(|log| log.errors.len() == 1).await;
    assert_eq!(log.messages, [b"good".to_vec()]);
}

#[tokio::test]
async fn nothing_behind_a_close_is_read() {
    let mut server = serve().await;
    let answer = frames(&server, &[frame(0x88, &[]), frame(0x82, b"late")].concat()).await;
    assert_eq!(answer, [0x88, 0]);
    let log = server.until(|log| log.open == 0).await;
    assert!(log.messages.is_empty() && log.errors.is_empty());
}

#[tokio::test]
async fn pings_of_a_client_that_does_not_read_do_not_pile_up() {
    let mut server = serve().await;
    let mut stream = TcpStream::connect(server.url.host()).await.unwrap();
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    // 16 MB of pongs, far more than the system's buffers hold; the sender is never stopped.
    for _ in 0..160 {
        stream.write_all(&frame(0x89, &[1; 125]).repeat(800)).await.unwrap();
    }
    stream.write_all(&frame(0x82, b"done")).await.unwrap();
    server.until(|log| !log.messages.is_empty()).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    server.until(|log| log.open == 0).await;
}
