//! Bytes that break the format: what is forgiven an old client, and what ends the connection.

use due_protocol::{Dialect, Frame, FrameError, Framing, Head, Order, Peer, Settings, Step, code};

const OLD: [Peer; 2] = [Peer::New, Peer::Old];

fn next(peer: Peer, bytes: &[u8]) -> Result<Step<'_>, FrameError> {
    Dialect::default().next(&mut { peer }, bytes)
}

fn message(peer: Peer, bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    Dialect::default().message(&mut { peer }, bytes)
}

fn malformed<T: std::fmt::Debug>(result: Result<T, FrameError>) {
    assert!(matches!(result, Err(FrameError::Malformed(_))), "{result:?}");
}

#[test]
fn an_empty_frame_is_ignored_until_hello() {
    // conformance 11, 15; B004
    for peer in OLD {
        assert_eq!(next(peer, b"\0\0\0\0"), Ok(Step::Frame(Frame::Empty, 4)));
        assert_eq!(message(peer, b""), Ok(Frame::Empty));
        assert_eq!(message(peer, b"\0\0\0\0"), Ok(Frame::Empty));
        assert_eq!(Dialect::readme().message(&mut { peer }, b""), Ok(Frame::Empty));
    }
    malformed(next(Peer::Hello, b"\0\0\0\0"));
    malformed(message(Peer::Hello, b""));
}

#[test]
fn a_short_frame_is_dropped_until_hello() {
    // conformance 12; B005
    for size in 1..5 {
        let bytes = [0, 0, 0, size, 0, 0, 0, 0, 0];
        let bytes = &bytes[..4 + usize::from(size)];
        for peer in OLD {
            assert_eq!(next(peer, bytes), Ok(Step::Frame(Frame::Short, bytes.len())));
            assert_eq!(message(peer, bytes), Ok(Frame::Short));
        }
        malformed(next(Peer::Hello, bytes));
        malformed(message(Peer::Hello, bytes));
    }
}

#[test]
fn a_message_whose_size_lies_is_dropped_until_hello() {
    // conformance 14; B014
    let frame = b"\0\0\0\x07\0\0\x01\0\x07hi";
    let two = [frame.as_slice(), frame].concat();
    for bytes in [&frame[..10], &frame[..3], &two, b"\xff\xff\xff\xff\0\0", b"\xff\xff\xff\xfc"] {
        for peer in OLD {
            assert_eq!(message(peer, bytes), Ok(Frame::Short), "{bytes:?}");
        }
        malformed(message(Peer::Hello, bytes));
    }
}

#[test]
fn a_size_over_the_limit_is_refused_by_its_four_bytes() {
    // conformance 8, 13; B006 to B012
    let d = Dialect::default();
    for peer in [Peer::New, Peer::Old, Peer::Hello, Peer::Server] {
        let max = d.max_size() as u32;
        assert_eq!(d.next(&mut { peer }, &max.to_be_bytes()), Ok(Step::Need(d.max_frame())));
        for size in [max + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffb, 0xffff_fffc, 0xffff_ffff] {
            let want = FrameError::TooLarge { size: size as usize, max: max as usize };
            assert_eq!(d.next(&mut { peer }, &size.to_be_bytes()), Err(want), "{size:x}");
        }
    }
}

#[test]
fn a_body_at_the_limit_passes_and_one_more_byte_does_not() {
    // conformance 2, 8; B006, B007
    for settings in
        [Settings { max_body: 5000, ..Settings::default() }, Settings { max_body: 64, ..*Dialect::readme().settings() }]
    {
        let d = Dialect::new(settings).unwrap();
        for framing in [Framing::Stream, Framing::Messages] {
            let body = vec![7; settings.max_body + 1];
            let mut out = Vec::new();
            assert!(d.put_data(Head::default(), &body, framing, &mut out).is_err() && out.is_empty());
            d.put_data(Head::default(), &body[1..], framing, &mut out).unwrap();
            assert_eq!(out.len(), d.data_len(settings.max_body, framing));
            let frame = Frame::Data { route: 0, seq: 0, body: &body[1..] };
            match framing {
                Framing::Stream => assert_eq!(d.next(&mut Peer::New, &out), Ok(Step::Frame(frame, out.len()))),
                Framing::Messages => assert_eq!(d.message(&mut Peer::New, &out), Ok(frame)),
            }
            out.push(7);
            if framing == Framing::Messages {
                assert!(matches!(d.message(&mut Peer::New, &out), Err(FrameError::TooLarge { .. })));
            }
        }
    }
}

#[test]
fn extension_bits_of_old_clients_are_ignored() {
    // conformance 9; B018 ignored
    for bits in 1..=0x7f {
        let bytes = [0, 0, 0, 7, bits, 0, 1, 0, 7, b'h', b'i'];
        let data = Frame::Data { route: 1, seq: 7, body: b"hi" };
        for peer in OLD {
            assert_eq!(next(peer, &bytes), Ok(Step::Frame(data, 11)), "{bits:x}");
            assert_eq!(message(peer, &bytes), Ok(data));
        }
    }
    let almost = b"\0\0\0\x08\x01due2{}x";
    assert!(matches!(next(Peer::New, almost), Ok(Step::Frame(Frame::Data { .. }, 12))));
}

#[test]
fn after_hello_only_known_codes_pass() {
    // B018, B026
    for bits in 1..=0x7f_u8 {
        let bytes = [0, 0, 0, 2, bits, 9];
        let extension = Ok(Step::Frame(Frame::Extension { code: bits, body: &[9] }, 6));
        match bits {
            code::ACK | code::KEY_EXCHANGE => assert_eq!(next(Peer::Hello, &bytes), extension),
            _ => malformed(next(Peer::Hello, &bytes)),
        }
        match bits {
            code::HELLO..=code::KEY_EXCHANGE => assert_eq!(next(Peer::Server, &bytes), extension),
            _ => malformed(next(Peer::Server, &bytes)),
        }
    }
}

#[test]
fn after_hello_a_heartbeat_is_one_byte() {
    // B029
    assert_eq!(next(Peer::Hello, b"\0\0\0\x01\x80"), Ok(Step::Frame(Frame::Heartbeat(b""), 5)));
    malformed(next(Peer::Hello, b"\0\0\0\x02\x80\0"));
    malformed(next(Peer::Hello, b"\0\0\0\x01\x81"));
    assert_eq!(next(Peer::Server, b"\0\0\0\x02\x80\0"), Ok(Step::Frame(Frame::Heartbeat(b"\0"), 6)));
}

#[test]
fn data_in_the_other_byte_order_is_refused() {
    // B019
    let little = b"\x07\0\0\0\0\x01\0\x07\0hi";
    assert!(matches!(next(Peer::New, little), Err(FrameError::TooLarge { .. })));
    let d = Dialect::new(Settings { order: Order::Little, ..Settings::default() }).unwrap();
    let big = b"\0\0\0\x07\0\0\x01\0\x07hi";
    assert!(matches!(d.next(&mut Peer::New, big), Err(FrameError::TooLarge { .. })));
    let one = b"\0\0\0\x01\x05";
    assert!(matches!(d.next(&mut Peer::New, one), Err(FrameError::TooLarge { .. })));
}

#[test]
fn another_protocol_on_the_port_is_refused_at_once() {
    // B021, B022
    for request in ["GET / HTTP/1.1\r\n", "POST /", "OPTIONS *", "HEAD /"] {
        assert_eq!(next(Peer::New, request.as_bytes()), Err(FrameError::Http));
        assert!(matches!(next(Peer::Old, request.as_bytes()), Err(FrameError::TooLarge { .. })));
    }
    assert!(matches!(next(Peer::New, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), Err(FrameError::TooLarge { .. })));
    let answer = std::str::from_utf8(due_protocol::HTTP_ANSWER).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())));
}

#[test]
fn the_encoder_refuses_numbers_beyond_their_width_and_takes_the_extremes() {
    // conformance 4
    for (bytes, low, high) in [(1, -128, 127), (2, -32768, 32767), (4, i32::MIN, i32::MAX)] {
        let d = Dialect::new(Settings { route_bytes: bytes, seq_bytes: bytes, ..Settings::default() }).unwrap();
        let put = |route, seq| d.put_data(Head { route, seq }, b"", Framing::Stream, &mut Vec::new());
        assert!(put(low, high).is_ok() && put(high, low).is_ok());
        if bytes < 4 {
            assert!(put(high + 1, 0).is_err() && put(low - 1, 0).is_err());
            assert!(put(0, high + 1).is_err() && put(0, low - 1).is_err());
        }
    }
}
