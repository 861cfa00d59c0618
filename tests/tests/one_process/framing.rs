//! Bytes that follow no format, over tcp and ws: each has its stated answer, the process lives, the next client is served.

use crate::wire::{self, Client, Got, PLACES, Place, alive, both, connections, counted, start, tcp, until};
use due::{Kind, app::Running, prelude::*, protocol};

const NETS: [&str; 2] = ["tcp", "ws"];
const BODY: &[u8] = b"\"hi\"";

async fn client(running: &Running, net: &str, hello: bool) -> Client {
    let mut client = Client::to(running.url(&format!("gate:{net}")).unwrap()).await;
    if hello {
        client.say_hello().await;
    }
    client
}

/// An old client sends `frame` and goes on as if it had not.
async fn ignored(running: &Running, net: &str, frame: &[u8]) {
    let mut client = client(running, net, false).await;
    client.frame(frame).await;
    client.silence().await;
}

/// A client that said hello sends `frame` and is told why it has to leave.
async fn kicked(running: &Running, net: &str, frame: &[u8], kind: Kind) {
    let mut client = client(running, net, true).await;
    client.frame(frame).await;
    assert_eq!(client.next().await, Some(Got::kick(kind)), "{net} {frame:02x?}");
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
// B001, B002
async fn a_connection_that_says_nothing_leaves_nothing() {
    for place in PLACES {
        let running = both(place, "").await;
        for net in NETS {
            let url = running.url(&format!("gate:{net}")).unwrap();
            let mut fin = Client::bare(url).await;
            fin.finish().await;
            assert!(fin.bytes().await.is_empty());
            Client::bare(url).await.reset();
        }
        connections(&running, 0).await;
        alive(&running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// B003, B093
async fn half_a_frame_or_half_a_head_and_then_silence_is_closed() {
    let running = both(Place::Shared, "?open-frame=200ms").await;
    let mut old = client(&running, "tcp", false).await;
    old.raw(&[0]).await;
    old.closed().await;
    let mut told = client(&running, "tcp", true).await;
    told.raw(&[0, 0, 0, 9, 0]).await;
    assert_eq!(told.next().await, Some(Got::kick(Kind::Malformed)));
    told.closed().await;
    let mut slow = Client::bare(running.url("gate:ws").unwrap()).await;
    slow.raw(b"GET / HTTP/1.1\r\nHost: game\r\n").await;
    let answer = String::from_utf8(slow.bytes().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    connections(&running, 0).await;
    assert_eq!(counted(&running).await.malformed, 3);
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B004, B005, conformance 11, 12
async fn empty_and_short_frames_are_dropped_and_end_a_hello_client() {
    let running = both(Place::Apart, "").await;
    for net in NETS {
        for frame in [&[0, 0, 0, 0][..], &[0, 0, 0, 1, 0], &[0, 0, 0, 4, 0, 0, 1, 0]] {
            ignored(&running, net, frame).await;
            kicked(&running, net, frame, Kind::Malformed).await;
        }
    }
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B006, B007, conformance 8
async fn the_largest_body_passes_and_one_byte_more_ends_the_connection() {
    let running = both(Place::Apart, "?max-body=1KiB").await;
    let text = |len: usize| format!("\"{}\"", "x".repeat(len - 2)).into_bytes();
    let wide = protocol::Dialect::new(protocol::Settings { max_body: 4096, ..Default::default() }).unwrap();
    for net in NETS {
        for hello in [false, true] {
            let mut client = client(&running, net, hello).await.speaking(wide);
            assert_eq!(client.ask(wire::ECHO_ID, 3, &text(1024)).await, text(1024));
            client.data(wire::ECHO_ID, 4, &text(1025)).await;
            let rest = client.rest().await;
            let told = rest.iter().filter(|got| !matches!(got, Got::Closed(_))).cloned().collect::<Vec<_>>();
            assert_eq!(told, if hello { vec![Got::kick(Kind::TooLarge)] } else { vec![] }, "{net}");
        }
    }
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B008, B009, B010, B011, B012, due-A2, conformance 13
async fn due_a2_a_size_from_outside_is_refused_before_a_byte_is_kept() {
    let running = both(Place::Shared, "").await;
    for net in NETS {
        for size in [0x7fff_ffff_u32, 0x8000_0000, 0xffff_fffb, 0xffff_fffc, 0xffff_ffff] {
            for hello in [false, true] {
                let mut client = client(&running, net, hello).await;
                let mut frame = size.to_be_bytes().to_vec();
                frame.push(0);
                client.frame(&frame).await;
                if net == "ws" && !hello {
                    // One message is one frame: a size that lies is dropped, nothing is waited for.
                    client.silence().await;
                    continue;
                }
                let rest = client.rest().await;
                let kind = if net == "ws" { Kind::Malformed } else { Kind::TooLarge };
                assert_eq!(rest.contains(&Got::kick(kind)), hello, "{net} {size:#x} {rest:?}");
            }
        }
    }
    connections(&running, 0).await;
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B013
async fn a_frame_that_never_ends_is_never_delivered() {
    for place in PLACES {
        let running = tcp(place, "").await;
        let mut client = Client::tcp(&running).await;
        client.raw(&[0, 0, 0, 9, 0, 0, 1, 0, 5, b'"', b'h']).await;
        client.finish().await;
        client.closed().await;
        connections(&running, 0).await;
        assert_eq!(counted(&running).await.messages, 0);
        alive(&running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// B014, conformance 14
async fn what_follows_a_frame_is_the_next_frame() {
    let running = both(Place::Shared, "").await;
    let mut over_tcp = client(&running, "tcp", false).await;
    let mut bytes = over_tcp.data_bytes(1, 5, BODY);
    bytes.extend(b"zzzz and more");
    over_tcp.raw(&bytes).await;
    assert_eq!(over_tcp.next().await, Some(Got::data(1, 5, BODY)));
    over_tcp.closed().await;
    let mut over_ws = client(&running, "ws", false).await;
    over_ws.frame(&bytes).await;
    over_ws.silence().await;
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B016, conformance 10, 33
async fn a_thousand_frames_in_one_write_are_answered_in_order() {
    for place in PLACES {
        let running = both(place, "").await;
        for net in NETS {
            let mut client = client(&running, net, false).await;
            let mut all = Vec::new();
            for seq in 1..=1000 {
                let bytes = client.data_bytes(1, seq, format!("\"{seq}\"").as_bytes());
                all.extend(if net == "ws" { wire_message(&bytes) } else { bytes });
            }
            client.raw(&all).await;
            for seq in 1..=1000 {
                assert_eq!(client.next().await, Some(Got::data(1, seq, format!("\"{seq}\"").as_bytes())));
            }
        }
    }
}

fn wire_message(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x82, 0x80 | bytes.len() as u8, 0, 0, 0, 0];
    out.extend(bytes);
    out
}

#[tokio::test(flavor = "multi_thread")]
// B017, conformance 10
async fn a_frame_cut_anywhere_is_one_frame() {
    let running = both(Place::Apart, "").await;
    for net in NETS {
        let mut client = client(&running, net, false).await;
        let bytes = client.data_bytes(1, 300, BODY);
        let bytes = if net == "ws" { wire_message(&bytes) } else { bytes };
        let before = counted(&running).await.bytes_in;
        for cut in 1..bytes.len() {
            let (front, back) = bytes.split_at(cut);
            client.raw(front).await;
            if net == "tcp" {
                // Only then is what follows a read of its own.
                let read = before + ((cut - 1) * bytes.len() + cut) as u64;
                until("the front is read", || async { counted(&running).await.bytes_in == read }).await;
            }
            client.raw(back).await;
            assert_eq!(client.next().await, Some(Got::data(1, 300, BODY)), "{net} {cut}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// B018, B045, B026, conformance 9
async fn flag_bits_are_ignored_before_hello_and_end_the_connection_after() {
    let running = both(Place::Apart, "").await;
    for net in NETS {
        for bits in [0x01, 0x02, 0x40, 0x7f] {
            let mut old = client(&running, net, false).await;
            old.ask(1, 1, BODY).await;
            let mut frame = old.data_bytes(1, 9, BODY);
            frame[4] = bits;
            old.frame(&frame).await;
            // Sent back as plain data.
            assert_eq!(old.next().await, Some(Got::data(1, 9, BODY)));
        }
        for bits in [0x03, 0x04, 0x05, 0x07, 0x40, 0x7f] {
            kicked(&running, net, &[0, 0, 0, 5, bits, 0, 1, 0, 1], Kind::Malformed).await;
        }
        kicked(&running, net, b"\0\0\0\x12\x01due1{\"version\":1}", Kind::Malformed).await;
    }
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B019, conformance 7, 23
async fn the_other_byte_order_is_refused_but_for_heartbeats() {
    let running = both(Place::Shared, "").await;
    let mut tcp = client(&running, "tcp", false).await;
    tcp.raw(&[1, 0, 0, 0, 0x80]).await;
    assert_eq!(tcp.next().await, Some(Got::Heartbeat(vec![0, 0, 0, 1, 0x80])));
    tcp.raw(&[7, 0, 0, 0, 0, 1, 0, 7, 0, b'h', b'i']).await;
    tcp.closed().await;
    let little = both(Place::Shared, "?order=little").await;
    let mut script = client(&little, "ws", false).await.speaking(little_dialect());
    script.frame(&[0, 0, 0, 1, 0x80]).await;
    assert_eq!(script.next().await, Some(Got::Heartbeat(vec![1, 0, 0, 0, 0x80])));
    script.frame(&[9, 0, 0, 0, 0, 1, 0, 7, 0, b'"', b'h', b'i', b'"']).await;
    assert_eq!(script.next().await, Some(Got::data(1, 7, BODY)));
    alive(&running).await;
}

fn little_dialect() -> protocol::Dialect {
    protocol::Dialect::new(protocol::Settings { order: protocol::Order::Little, ..Default::default() }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
// B020
async fn a_hello_of_an_unknown_version_is_told_so() {
    let running = both(Place::Shared, "").await;
    for net in NETS {
        for (body, kind) in [
            ("due1{\"version\":9}", Kind::Unsupported),
            ("due1{\"version\":", Kind::Malformed),
            ("due1[]", Kind::Malformed),
            ("due1", Kind::Malformed),
        ] {
            let mut client = client(&running, net, false).await;
            let mut frame = ((body.len() + 1) as u32).to_be_bytes().to_vec();
            frame.push(1);
            frame.extend(body.as_bytes());
            client.frame(&frame).await;
            assert_eq!(client.next().await, Some(Got::kick(kind)), "{net} {body}");
            client.closed().await;
        }
    }
    let narrow = tcp(Place::Shared, "?seq-bytes=0").await;
    let mut client = Client::tcp(&narrow).await;
    client.hello_with(serde_json::Value::Null).await;
    assert_eq!(client.next().await, Some(Got::kick(Kind::Unsupported)));
    client.closed().await;
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B021, B022
async fn other_protocols_at_the_tcp_port_are_sent_away() {
    let running = tcp(Place::Shared, "").await;
    for method in ["GET", "POST", "OPTIONS"] {
        let mut browser = Client::tcp(&running).await;
        browser.raw(format!("{method} / HTTP/1.1\r\nHost: game\r\n\r\n").as_bytes()).await;
        assert_eq!(browser.bytes().await, protocol::HTTP_ANSWER);
    }
    let mut tls = Client::tcp(&running).await;
    tls.raw(&[&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 506]].concat()).await;
    assert!(tls.bytes().await.is_empty());
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// B029, conformance 22
async fn a_heartbeat_with_a_body_lives_only_before_hello() {
    let running = both(Place::Shared, "").await;
    let frame = [0, 0, 0, 9, 0x80, 1, 2, 3, 4, 5, 6, 7, 8];
    for net in NETS {
        let mut old = client(&running, net, false).await;
        old.frame(&frame).await;
        assert_eq!(old.next().await, Some(Got::Heartbeat(vec![0, 0, 0, 1, 0x80])));
        kicked(&running, net, &frame, Kind::Malformed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// B037, B038, conformance 2, 3, 34, 41
async fn any_seq_comes_back_as_it_was() {
    for place in PLACES {
        let running = both(place, "").await;
        for net in NETS {
            let mut old = client(&running, net, false).await;
            for seq in [i16::MAX, i16::MIN, -1, 0, 1, 1] {
                assert_eq!(old.ask(1, seq.into(), BODY).await, BODY);
            }
            let mut told = client(&running, net, true).await;
            for seq in [i16::MAX, i16::MIN, -1, 1, 1] {
                assert_eq!(told.ask(1, seq.into(), BODY).await, BODY);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 15, 18
async fn text_and_empty_messages_are_taken_and_forgotten() {
    let running = start(Place::Apart, &["ws://127.0.0.1:0?ws-size=off&heartbeat-time=ms"], wire::routes()).await;
    let mut page = client(&running, "ws", false).await.speaking(protocol::Dialect::readme());
    page.ws_frame(0x81, b"text").await;
    page.ws_frame(0x82, b"").await;
    page.frame(b"\0\0\x01\0\x07\"hi\"").await;
    assert_eq!(page.next().await, Some(Got::data(1, 7, BODY)));
    page.frame(&[0x80]).await;
    let Some(Got::Heartbeat(beat)) = page.next().await else { panic!("no heartbeat") };
    assert_eq!((beat.len(), beat[0]), (9, 0x80));
    page.frame(&[]).await;
    page.frame(&[0]).await;
    page.silence().await;
}

#[tokio::test(flavor = "multi_thread")]
// B097, B098, B094, B095, B096, B105, conformance 16
async fn a_bad_upgrade_has_its_status() {
    let running = both(Place::Shared, "").await;
    let good = wire::upgrade("/", "");
    let many: String = (0..10_000).map(|i| format!("x{i}: y\r\n")).collect();
    for (request, answers) in [
        (good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), &[400, 426][..]),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), &[400, 426]),
        (good.replace("Version: 13", "Version: 12"), &[400, 426]),
        (good.replace("GET", "POST"), &[405]),
        (wire::upgrade("/", &many), &[431]),
        (wire::upgrade(&format!("/{}", "u".repeat(64 * 1024)), ""), &[414, 431]),
        (wire::upgrade("/", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), &[400]),
        (wire::upgrade("/", "Origin: https://evil.example\r\n"), &[403]),
        ("nonsense\r\n\r\n".to_owned(), &[400]),
    ] {
        let mut http = Client::bare(running.url("gate:ws").unwrap()).await;
        http.raw(request.as_bytes()).await;
        let head = http.http().await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        assert!(answers.contains(&status.unwrap_or(0)), "{head} to {:.60}", request);
    }
    let mut page = Client::bare(running.url("gate:ws").unwrap()).await;
    page.raw(wire::upgrade("/any/path?at=all", "Origin: http://game:8080\r\n").as_bytes()).await;
    assert!(page.http().await.starts_with("HTTP/1.1 101"));
    connections(&running, 1).await;
    alive(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
// conformance 16
async fn a_set_path_and_a_veto_of_the_application_hold() {
    let gate = Gate::new("gate").listen("ws://127.0.0.1:0/play").accept(|arrival| {
        match arrival.head.is_some_and(|head| head.query == "token=good") {
            true => Ok(Admission::new()),
            false => Err(wire::TAKEN.into()),
        }
    });
    let app = wire::with(Place::Shared, gate, Node::new("game").routes(wire::routes()));
    let running = app.start().await.unwrap();
    for (path, status) in [("/", "404"), ("/play", "403"), ("/play?token=bad", "403"), ("/play?token=good", "101")] {
        let mut http = Client::bare(running.url("gate:ws").unwrap()).await;
        http.raw(wire::upgrade(path, "").as_bytes()).await;
        let head = http.http().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
    }
    assert_eq!(counted(&running).await.refused, 3);
}

#[tokio::test(flavor = "multi_thread")]
// B099, B100, B101, B102, B103, B104
async fn broken_websocket_frames_end_the_connection_with_a_code() {
    let running = both(Place::Shared, "").await;
    let huge = [&[0x82, 0xff, 0x80][..], &[0; 11]].concat();
    let empties = [&[0x02, 0x80, 1, 2, 3, 4][..], &[0x00, 0x80, 1, 2, 3, 4].repeat(10_000)].concat();
    let large = [&[0x82, 0xff][..], &(1_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    for (what, bytes, codes) in [
        ("unmasked", vec![0x82, 5, 0, 0, 0, 1, 0x80], &[1002][..]),
        ("a fragmented ping", vec![0x09, 0x80, 1, 2, 3, 4], &[1002]),
        ("a control frame of 126 bytes", [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat(), &[1002]),
        ("a continuation of nothing", vec![0x80, 0x80, 1, 2, 3, 4], &[1002]),
        ("a negative length", huge, &[1002, 1009]),
        ("a length over the limit", large, &[1009]),
        ("reserved bits", vec![0xc2, 0x80, 1, 2, 3, 4], &[1002]),
        ("an unknown opcode", vec![0x83, 0x80, 1, 2, 3, 4], &[1002]),
        ("10,000 empty fragments", empties, &[1002, 1009]),
    ] {
        let mut client = client(&running, "ws", false).await;
        client.raw(&bytes).await;
        let rest = client.rest().await;
        let [Got::Closed(code)] = rest.as_slice() else { panic!("{what}: {rest:?}") };
        assert!(codes.contains(code), "{what}: {code}");
    }
    let mut polite = client(&running, "ws", false).await;
    polite.ws_frame(0x89, b"are you there").await;
    assert_eq!(polite.next().await, Some(Got::Pong(b"are you there".to_vec())));
    polite.ws_frame(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(polite.rest().await, [Got::Closed(1000)]);
    connections(&running, 0).await;
    alive(&running).await;
}
