//! What holds for all settings, values and bytes.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the functions beside the tests are tests too")]

use due_protocol::{
    Assembler, Dialect, Failure, Flow, Frame, Framing, GoAway, Head, HeartbeatTime, Kick, Order, Peer, Settings, Step,
    fuzz,
};
use proptest::{collection::vec, prelude::*, sample::select};

fn dialects() -> impl Strategy<Value = Dialect> {
    let widths = (select(vec![1, 2, 4]), select(vec![0, 1, 2, 4]));
    let orders = select(vec![Order::Big, Order::Little]);
    let times = select(vec![HeartbeatTime::Off, HeartbeatTime::Ms, HeartbeatTime::Ns]);
    (widths, orders, times, any::<bool>(), 64..2000_usize).prop_map(
        |((route_bytes, seq_bytes), order, heartbeat_time, ws_size, max_body)| {
            Dialect::new(Settings { route_bytes, seq_bytes, order, heartbeat_time, ws_size, max_body }).unwrap()
        },
    )
}

/// A number cut down to a signed one of so many bytes.
fn narrow(n: i32, bytes: u8) -> i32 {
    match bytes {
        0 => 0,
        1 => (n as i8).into(),
        2 => (n as i16).into(),
        _ => n,
    }
}

fn all_dialects() -> Vec<Dialect> {
    let mut all = Vec::new();
    for order in [Order::Big, Order::Little] {
        for route_bytes in [1, 2, 4] {
            for seq_bytes in [0, 1, 2, 4] {
                for ws_size in [true, false] {
                    all.push(
                        Dialect::new(Settings { route_bytes, seq_bytes, order, ws_size, ..Settings::default() })
                            .unwrap(),
                    );
                }
            }
        }
    }
    all
}

#[test]
fn every_width_and_order_carries_extremes_and_any_body() {
    // conformance 2, 3, 5, 6
    for d in all_dialects() {
        let set = *d.settings();
        for n in [0, 1, -1, -2, 127, -128, 32767, -32768, i32::MAX, i32::MIN] {
            let (route, seq) = (narrow(n, set.route_bytes), narrow(n, set.seq_bytes));
            for len in [0, 1, 100, 4000] {
                let body = vec![0x80; len];
                for framing in [Framing::Stream, Framing::Messages] {
                    let mut out = Vec::new();
                    d.put_data(Head { route, seq }, &body, framing, &mut out).unwrap();
                    assert_eq!(out.len(), d.data_len(len, framing));
                    let size = 1 + usize::from(set.route_bytes + set.seq_bytes) + len;
                    assert_eq!(out.len(), size + if d.sized(framing) { 4 } else { 0 });
                    let mut seen = 0;
                    let fed = Assembler::new(Peer::New, framing).feed(&d, &out, |frame| {
                        assert_eq!(frame, Frame::Data { route, seq, body: &body });
                        seen += 1;
                        Flow::Continue
                    });
                    assert_eq!((fed, seen), (Ok(Flow::Continue), 1));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_stream_of_frames_survives_any_cuts(
        d in dialects(),
        frames in vec((any::<i32>(), any::<i32>(), vec(any::<u8>(), 0..64)), 0..20),
        cuts in vec(1..200_usize, 1..20),
    ) {
        let set = *d.settings();
        let frames: Vec<_> =
            frames.into_iter().map(|(r, s, b)| (narrow(r, set.route_bytes), narrow(s, set.seq_bytes), b)).collect();
        let mut bytes = Vec::new();
        for (route, seq, body) in &frames {
            d.put_data(Head { route: *route, seq: *seq }, body, Framing::Stream, &mut bytes).unwrap();
        }
        let (mut assembler, mut seen, mut rest) = (Assembler::new(Peer::New, Framing::Stream), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            let fed = assembler.feed(&d, now, |frame| {
                let Frame::Data { route, seq, body } = frame else { panic!("{frame:?}") };
                seen.push((route, seq, body.to_vec()));
                Flow::Continue
            });
            prop_assert_eq!(fed, Ok(Flow::Continue));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(seen, frames);
        prop_assert_eq!(assembler.kept(), 0);
    }

    #[test]
    fn any_prefix_asks_for_no_more_than_a_frame(d in dialects(), bytes in vec(any::<u8>(), 0..40), at in 0..4_usize) {
        let peer = [Peer::New, Peer::Old, Peer::Hello, Peer::Server][at];
        match d.next(&mut { peer }, &bytes) {
            Ok(Step::Need(total)) => prop_assert!(total > bytes.len() && total <= d.max_frame()),
            Ok(Step::Frame(_, used)) => prop_assert!((1..=bytes.len()).contains(&used)),
            Err(_) => {}
        }
    }

    #[test]
    fn extension_frames_read_back(
        d in dialects(),
        (route, seq, number) in (any::<i32>(), any::<u32>(), any::<u32>()),
        text in "\\PC{0,12}",
        token in vec(any::<u8>(), 0..50),
    ) {
        let mut out = Vec::new();
        let failure = Failure { route, seq, code: number, text: &text };
        d.put_failure(&failure, Framing::Stream, &mut out);
        prop_assert_eq!(d.failure(&out[5..]), Ok(failure));
        out.clear();
        let kick = Kick { code: number, text: &text };
        d.put_kick(&kick, Framing::Stream, &mut out);
        prop_assert_eq!(d.kick(&out[5..]), Ok(kick));
        out.clear();
        let away = GoAway { retry_ms: seq, reason: number, token: &token };
        d.put_goaway(&away, Framing::Stream, &mut out).unwrap();
        prop_assert_eq!(d.goaway(&out[5..]), Ok(away));
    }

    #[test]
    fn no_bytes_break_the_decoder(data in vec(any::<u8>(), 0..600)) {
        fuzz::frame(&data);
    }

    #[test]
    fn no_bytes_like_frames_break_the_decoder(
        head in any::<[u8; 3]>(),
        frames in vec((select(vec![0_u8, 0, 1, 3, 5, 9, 72]), any::<u8>(), vec(any::<u8>(), 0..9)), 0..30),
    ) {
        let mut data = head.to_vec();
        let little = head[0] & 16 != 0;
        for (size, header, rest) in frames {
            data.extend(if little { u32::from(size).to_le_bytes() } else { u32::from(size).to_be_bytes() });
            data.extend([header & 0x87].iter().chain(&rest).cycle().take(size.into()));
        }
        fuzz::frame(&data);
    }
}
