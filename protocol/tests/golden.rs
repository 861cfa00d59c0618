//! The bytes of real due and of its README, both ways.
#![allow(clippy::unwrap_used, reason = "the functions beside the tests are tests too")]

use due_protocol::{Dialect, Frame, Framing, Head, HeartbeatTime, Order, Peer, Settings, Step, code};

use Framing::{Messages, Stream};

fn dialect(settings: Settings) -> Dialect {
    Dialect::new(settings).unwrap()
}

/// Decodes `bytes` to the data frame, and encodes it to the same bytes.
fn check(dialect: Dialect, framing: Framing, (route, seq, body): (i32, i32, &[u8]), bytes: &[u8]) {
    let frame = Frame::Data { route, seq, body };
    match framing {
        Stream => assert_eq!(dialect.next(&mut Peer::New, bytes), Ok(Step::Frame(frame, bytes.len()))),
        Messages => assert_eq!(dialect.message(&mut Peer::New, bytes), Ok(frame)),
    }
    let mut out = Vec::new();
    dialect.put_data(Head { route, seq }, body, framing, &mut out).unwrap();
    assert_eq!(out, bytes);
    assert_eq!(out.len(), dialect.data_len(body.len(), framing));
}

#[test]
fn data_of_the_default_dialect() {
    // conformance 1, 3
    let d2 = Dialect::default();
    for framing in [Stream, Messages] {
        check(d2, framing, (1, 7, b"hi"), b"\x00\x00\x00\x07\x00\x00\x01\x00\x07\x68\x69");
        check(d2, framing, (-2, -1, b""), b"\x00\x00\x00\x05\x00\xff\xfe\xff\xff");
    }
}

#[test]
fn little_endian_turns_size_route_and_seq() {
    // conformance 7
    let little = dialect(Settings { order: Order::Little, ..Settings::default() });
    check(little, Stream, (1, 7, b"hi"), b"\x07\x00\x00\x00\x00\x01\x00\x07\x00\x68\x69");
    let wide = dialect(Settings { order: Order::Little, route_bytes: 4, seq_bytes: 1, ..Settings::default() });
    check(wide, Stream, (-2, -3, b""), b"\x06\x00\x00\x00\x00\xfe\xff\xff\xff\xfd");
}

#[test]
fn wide_and_narrow_fields() {
    // conformance 5
    let wide = dialect(Settings { route_bytes: 4, seq_bytes: 4, ..Settings::default() });
    let body = br#"{"message":"a"}"#;
    let bytes = [b"\x00\x00\x00\x18\x00\x00\x00\x00\x01\x00\x00\x00\x01".as_slice(), body].concat();
    check(wide, Stream, (1, 1, body), &bytes);
    let narrow = dialect(Settings { route_bytes: 1, seq_bytes: 0, ..Settings::default() });
    check(narrow, Stream, (5, 0, b"x"), b"\x00\x00\x00\x03\x00\x05\x78");
}

#[test]
fn data_of_the_readme() {
    // conformance 18
    check(Dialect::readme(), Messages, (1, 7, b"hi"), b"\x00\x00\x01\x00\x07\x68\x69");
    check(Dialect::readme(), Stream, (1, 7, b"hi"), b"\x00\x00\x00\x07\x00\x00\x01\x00\x07\x68\x69");
}

fn heartbeat(settings: Settings, framing: Framing, want: &[u8]) {
    let mut out = Vec::new();
    dialect(settings).put_heartbeat(1_700_000_000_000_000_000, framing, &mut out);
    assert_eq!(out, want, "{settings:?} {framing:?}");
}

#[test]
fn heartbeats_down() {
    // conformance 19, 20, 21
    let (d2, d1) = (Settings::default(), *Dialect::readme().settings());
    for framing in [Stream, Messages] {
        heartbeat(d2, framing, b"\x00\x00\x00\x01\x80");
        heartbeat(Settings { order: Order::Little, ..d2 }, framing, b"\x01\x00\x00\x00\x80");
        let ns = Settings { heartbeat_time: HeartbeatTime::Ns, ..d2 };
        heartbeat(ns, framing, b"\x00\x00\x00\x09\x80\x17\x97\x9c\xfe\x36\x2a\x00\x00");
    }
    heartbeat(d1, Messages, b"\x80\x00\x00\x01\x8b\xcf\xe5\x68\x00");
    heartbeat(d1, Stream, b"\x00\x00\x00\x09\x80\x00\x00\x01\x8b\xcf\xe5\x68\x00");
    heartbeat(Settings { heartbeat_time: HeartbeatTime::Off, ..d1 }, Messages, b"\x80");
}

#[test]
fn heartbeats_up() {
    // conformance 21, 22; B029 as due does
    let (d2, d1) = (Dialect::default(), Dialect::readme());
    for (bytes, body) in [
        (&b"\x00\x00\x00\x01\x80"[..], &b""[..]),
        (b"\x00\x00\x00\x09\x80\x01\x02\x03\x04\x05\x06\x07\x08", b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        (b"\x00\x00\x00\x01\xff", b""),
    ] {
        assert_eq!(d2.next(&mut Peer::New, bytes), Ok(Step::Frame(Frame::Heartbeat(body), bytes.len())));
        assert_eq!(d2.message(&mut Peer::New, bytes), Ok(Frame::Heartbeat(body)));
    }
    assert_eq!(d1.message(&mut Peer::New, b"\x80"), Ok(Frame::Heartbeat(b"")));
    assert_eq!(d1.message(&mut Peer::Old, b"\x80\x01"), Ok(Frame::Heartbeat(b"\x01")));
}

#[test]
fn a_heartbeat_in_the_other_byte_order_is_life() {
    // conformance 23; B019 except heartbeats
    for (order, bytes) in [(Order::Little, b"\x00\x00\x00\x01\x80"), (Order::Big, b"\x01\x00\x00\x00\x80")] {
        let d = dialect(Settings { order, ..Settings::default() });
        for mut peer in [Peer::New, Peer::Old] {
            for cut in 0..5 {
                assert_eq!(d.next(&mut peer, &bytes[..cut]), Ok(Step::Need(if cut < 4 { 4 } else { 5 })));
            }
            assert_eq!(d.next(&mut peer, bytes), Ok(Step::Frame(Frame::Heartbeat(b""), 5)));
            assert_eq!(peer, Peer::Old);
            assert_eq!(d.message(&mut peer, bytes), Ok(Frame::Heartbeat(b"")));
        }
        assert!(d.next(&mut Peer::Hello, bytes).is_err());
        assert!(d.message(&mut Peer::Hello, bytes).is_err());
    }
}

#[test]
fn a_hello_is_told_from_data_by_its_first_frame() {
    let d = Dialect::default();
    let bytes = b"\x00\x00\x00\x12\x01due1{\"version\":1}";
    let mut peer = Peer::New;
    let hello = Frame::Extension { code: code::HELLO, body: &bytes[5..] };
    assert_eq!(d.next(&mut peer, bytes), Ok(Step::Frame(hello, bytes.len())));
    assert_eq!(peer, Peer::Hello);
    // Later, and from a client that began otherwise, the same bytes are data of an old client.
    let data = Frame::Data { route: 0x6475, seq: 0x6531, body: &bytes[9..] };
    assert_eq!(d.next(&mut Peer::Old, bytes), Ok(Step::Frame(data, bytes.len())));
    let mut peer = Peer::New;
    assert_eq!(d.next(&mut peer, b"\x00\x00\x00\x01\x80"), Ok(Step::Frame(Frame::Heartbeat(b""), 5)));
    assert_eq!(peer, Peer::Old);
}
