//! Entry points for fuzzing: each takes any bytes and checks what must hold for all of them.

use std::ops::ControlFlow;

use due_core::net::Framing;

use crate::{Assembler, Dialect, Flow, Frame, FrameError, HeartbeatTime, Order, Peer, Settings, Step};

/// The frame decoder: no panic, no request for more than the limit, and the same frames however the bytes are cut,
/// paused or fed. The first three bytes choose settings, peer and cuts; the rest is what the peer sends.
pub fn frame(data: &[u8]) {
    let Some(([first, second, cut], bytes)) = data.split_first_chunk() else { return };
    // A paused connection keeps so much for sure, however small the messages are.
    let bytes = bytes.get(..8 * 1024).unwrap_or(bytes);
    let dialect = dialect(*first);
    let peer = match second % 4 {
        0 => Peer::New,
        1 => Peer::Old,
        2 => Peer::Hello,
        _ => Peer::Server,
    };
    let (whole, end) = one_by_one(&dialect, peer, bytes);
    let chunk = usize::from(*cut).max(1);
    assert_eq!(cut_up(&dialect, peer, bytes, (chunk, Flow::Continue)), (whole.clone(), end));
    assert_eq!(cut_up(&dialect, peer, bytes, (chunk, Flow::Pause)), (whole, end));
    messages(&dialect, peer, bytes, chunk);
    bodies(&dialect, bytes);
}

/// One of the dialects, with a small limit, so that short inputs reach it.
fn dialect(choice: u8) -> Dialect {
    let settings = Settings {
        route_bytes: [1, 2, 4, 2].get(usize::from(choice & 3)).copied().unwrap_or(2),
        seq_bytes: [0, 1, 2, 4].get(usize::from(choice >> 2 & 3)).copied().unwrap_or(2),
        order: if choice & 16 == 0 { Order::Big } else { Order::Little },
        ws_size: choice & 32 == 0,
        heartbeat_time: if choice & 64 == 0 { HeartbeatTime::Off } else { HeartbeatTime::Ms },
        max_body: if choice & 128 == 0 { 64 } else { 1024 },
    };
    Dialect::new(settings).unwrap_or_default()
}

/// Every frame as text, and how the stream ended.
type Seen = (Vec<String>, Option<FrameError>);

fn one_by_one(dialect: &Dialect, mut peer: Peer, bytes: &[u8]) -> Seen {
    let (mut seen, mut rest) = (Vec::new(), bytes);
    loop {
        match dialect.next(&mut peer, rest) {
            Ok(Step::Frame(frame, used)) => {
                check(dialect, frame);
                assert!((1..=rest.len().min(dialect.max_frame())).contains(&used));
                seen.push(format!("{frame:?}"));
                rest = rest.get(used..).unwrap_or_default();
            }
            Ok(Step::Need(total)) => {
                assert!(total > rest.len() && total <= dialect.max_frame());
                return (seen, None);
            }
            Err(e) => return (seen, Some(e)),
        }
    }
}

/// The same stream through an assembler, `chunk` bytes at a time; `answer` is what each frame is answered with.
fn cut_up(dialect: &Dialect, peer: Peer, bytes: &[u8], (chunk, answer): (usize, Flow)) -> Seen {
    let mut assembler = Assembler::new(peer, Framing::Stream);
    let mut seen = Vec::new();
    let mut each = |frame: Frame<'_>| {
        seen.push(format!("{frame:?}"));
        answer
    };
    let ended = bytes.chunks(chunk).try_for_each(|piece| {
        let mut flow = assembler.feed(dialect, piece, &mut each);
        while flow == Ok(Flow::Pause) {
            flow = assembler.resume(dialect, &mut each);
        }
        assert!(assembler.kept() < dialect.max_frame());
        flow.map_or_else(ControlFlow::Break, |_| ControlFlow::Continue(()))
    });
    (seen, ended.break_value())
}

/// The bytes as messages of `chunk` bytes, run through and paused at every one.
fn messages(dialect: &Dialect, peer: Peer, bytes: &[u8], chunk: usize) {
    let run = |answer| {
        let mut assembler = Assembler::new(peer, Framing::Messages);
        let mut seen = Vec::new();
        let mut each = |frame: Frame<'_>| {
            check(dialect, frame);
            seen.push(format!("{frame:?}"));
            answer
        };
        let mut last = Ok(Flow::Continue);
        for message in bytes.chunks(chunk) {
            last = last.and_then(|_| assembler.feed(dialect, message, &mut each));
        }
        while last == Ok(Flow::Pause) {
            last = assembler.resume(dialect, &mut each);
        }
        (seen, last.err())
    };
    let (through, paused) = (run(Flow::Continue), run(Flow::Pause));
    assert_eq!(through, paused);
}

fn check(dialect: &Dialect, frame: Frame<'_>) {
    if let Frame::Data { route, body, .. } = frame {
        assert!(dialect.fits(route) && body.len() <= dialect.settings().max_body);
    }
    let _ = dialect.received(frame);
}

fn bodies(dialect: &Dialect, bytes: &[u8]) {
    let _ = (dialect.hello(bytes), dialect.welcome(bytes), dialect.server_time(bytes));
    let _ = (dialect.failure(bytes), dialect.kick(bytes), dialect.goaway(bytes));
}
