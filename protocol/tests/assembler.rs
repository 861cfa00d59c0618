//! Cutting a connection's bytes into frames, however they arrive.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the functions beside the tests are tests too")]

use due_protocol::{Assembler, Dialect, Flow, Frame, FrameError, Framing, Head, Peer, Settings};

fn data(seq: i32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Dialect::default().put_data(Head { route: 1, seq }, body, Framing::Stream, &mut out).unwrap();
    out
}

fn stream() -> Assembler {
    Assembler::new(Peer::New, Framing::Stream)
}

fn seq_of(frame: Frame<'_>) -> i32 {
    let Frame::Data { seq, .. } = frame else { panic!("{frame:?}") };
    seq
}

/// Feeds and collects the seqs, answering every frame with `answer`.
fn feed(assembler: &mut Assembler, chunk: &[u8], answer: Flow) -> (Result<Flow, FrameError>, Vec<i32>) {
    let mut seen = Vec::new();
    let flow = assembler.feed(&Dialect::default(), chunk, |frame| {
        seen.push(seq_of(frame));
        answer
    });
    (flow, seen)
}

fn resume(assembler: &mut Assembler, answer: Flow) -> (Result<Flow, FrameError>, Vec<i32>) {
    let mut seen = Vec::new();
    let flow = assembler.resume(&Dialect::default(), |frame| {
        seen.push(seq_of(frame));
        answer
    });
    (flow, seen)
}

#[test]
fn a_thousand_frames_in_one_chunk_come_in_order() {
    // conformance 10; B016
    let bytes: Vec<u8> = (0..1000).flat_map(|seq| data(seq, b"x")).collect();
    let mut assembler = stream();
    assert_eq!(feed(&mut assembler, &bytes, Flow::Continue), (Ok(Flow::Continue), (0..1000).collect()));
    assert_eq!(assembler.kept(), 0);
}

#[test]
fn a_frame_cut_at_every_offset_is_one_frame() {
    // conformance 10; B017
    let bytes: Vec<u8> = (1..=3).flat_map(|seq| data(seq, &[seq as u8; 20])).collect();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut assembler = stream();
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            let seen: Vec<i32> = pieces.iter().flat_map(|p| feed(&mut assembler, p, Flow::Continue).1).collect();
            assert_eq!((seen, assembler.kept()), (vec![1, 2, 3], 0), "{first} {second}");
        }
    }
}

#[test]
fn only_arrived_bytes_are_kept() {
    // B013
    let mut assembler = stream();
    let bytes = data(1, &[0; 60_000]);
    for (i, byte) in bytes[..100].iter().enumerate() {
        assert_eq!(assembler.kept(), i);
        assert_eq!(feed(&mut assembler, &[*byte], Flow::Continue), (Ok(Flow::Continue), vec![]));
    }
    assert_eq!(feed(&mut assembler, &bytes[100..], Flow::Continue).1, [1]);
    assert_eq!(assembler.kept(), 0);
}

#[test]
fn a_pause_keeps_the_rest_for_later() {
    let bytes: Vec<u8> = (1..=4).flat_map(|seq| data(seq, b"x")).collect();
    let (most, last) = bytes.split_at(bytes.len() - 3);
    let mut assembler = stream();
    assert_eq!(feed(&mut assembler, most, Flow::Pause), (Ok(Flow::Pause), vec![1]));
    assert!(assembler.is_paused());
    // What arrives meanwhile waits behind it.
    assert_eq!(feed(&mut assembler, last, Flow::Continue), (Ok(Flow::Pause), vec![]));
    assert_eq!(resume(&mut assembler, Flow::Pause), (Ok(Flow::Pause), vec![2]));
    assert_eq!(resume(&mut assembler, Flow::Continue), (Ok(Flow::Continue), vec![3, 4]));
    assert_eq!((assembler.is_paused(), assembler.kept()), (false, 0));
    assert_eq!(resume(&mut assembler, Flow::Continue), (Ok(Flow::Continue), vec![]));
}

#[test]
fn a_pause_in_the_middle_of_a_cut_frame_keeps_what_follows() {
    let bytes: Vec<u8> = (1..=3).flat_map(|seq| data(seq, b"x")).collect();
    for cut in 1..bytes.len() {
        let mut assembler = stream();
        let (first, second) = bytes.split_at(cut);
        let mut seen = Vec::new();
        for (flow, more) in [feed(&mut assembler, first, Flow::Pause), feed(&mut assembler, second, Flow::Pause)] {
            assert!(more.len() <= 1 && flow.is_ok(), "{cut}: {more:?}");
            seen.extend(more);
        }
        while assembler.is_paused() {
            let (flow, more) = resume(&mut assembler, Flow::Pause);
            assert!(more.len() <= 1 && flow.is_ok());
            seen.extend(more);
        }
        assert_eq!((seen, assembler.kept()), (vec![1, 2, 3], 0), "{cut}");
    }
}

#[test]
fn a_pause_keeps_whole_messages_too() {
    let mut assembler = Assembler::new(Peer::New, Framing::Messages);
    assert_eq!(feed(&mut assembler, &data(1, b"x"), Flow::Pause), (Ok(Flow::Pause), vec![1]));
    for seq in 2..=4 {
        assert_eq!(feed(&mut assembler, &data(seq, b"x"), Flow::Pause), (Ok(Flow::Pause), vec![]));
    }
    assert_eq!(resume(&mut assembler, Flow::Pause), (Ok(Flow::Pause), vec![2]));
    assert_eq!(resume(&mut assembler, Flow::Continue), (Ok(Flow::Continue), vec![3, 4]));
    assert_eq!(feed(&mut assembler, &data(5, b""), Flow::Continue), (Ok(Flow::Continue), vec![5]));
}

#[test]
fn a_paused_connection_keeps_one_frame_and_64_kib_at_most() {
    // proves P19
    let limit = Dialect::default().max_frame() + 64 * 1024;
    let mut assembler = stream();
    assert_eq!(feed(&mut assembler, &data(1, b""), Flow::Pause).0, Ok(Flow::Pause));
    assert_eq!(feed(&mut assembler, &vec![0; limit], Flow::Pause).0, Ok(Flow::Pause));
    assert_eq!(assembler.kept(), limit);
    assert_eq!(feed(&mut assembler, b"x", Flow::Pause).0, Err(FrameError::Full));
    assert_eq!(assembler.kept(), 0);
}

#[test]
fn after_stop_nothing_more_comes() {
    let bytes: Vec<u8> = (1..=3).flat_map(|seq| data(seq, b"x")).collect();
    let mut assembler = stream();
    assert_eq!(feed(&mut assembler, &bytes, Flow::Stop), (Ok(Flow::Stop), vec![1]));
    assert_eq!(assembler.kept(), 0);
    assert_eq!(feed(&mut assembler, &bytes, Flow::Continue), (Ok(Flow::Stop), vec![]));
    assert_eq!(resume(&mut assembler, Flow::Continue), (Ok(Flow::Stop), vec![]));
}

#[test]
fn an_error_comes_after_the_good_frames_and_is_final() {
    // B014 on a stream
    let mut bytes = data(1, b"x");
    bytes.extend_from_slice(b"garbage");
    let mut assembler = stream();
    let (flow, seen) = feed(&mut assembler, &bytes, Flow::Continue);
    assert!(matches!(flow, Err(FrameError::TooLarge { .. })), "{flow:?}");
    assert_eq!((seen, assembler.kept()), (vec![1], 0));
    assert_eq!(feed(&mut assembler, &data(2, b""), Flow::Continue), (Ok(Flow::Stop), vec![]));
}

#[test]
fn an_error_behind_a_pause_waits_its_turn() {
    let mut bytes = data(1, b"");
    bytes.extend(data(2, b""));
    bytes.extend_from_slice(b"\xff\xff\xff\xff");
    let mut assembler = stream();
    assert_eq!(feed(&mut assembler, &bytes, Flow::Pause), (Ok(Flow::Pause), vec![1]));
    assert_eq!(resume(&mut assembler, Flow::Pause), (Ok(Flow::Pause), vec![2]));
    assert!(resume(&mut assembler, Flow::Pause).0.is_err());
}

#[test]
fn the_peer_is_known_by_its_first_frame() {
    let dialect = Dialect::default();
    let hello = b"\0\0\0\x12\x01due1{\"version\":1}";
    for (first, want) in [(hello.as_slice(), Peer::Hello), (&data(1, b""), Peer::Old), (b"\0\0\0\0", Peer::Old)] {
        let mut assembler = stream();
        for byte in first.chunks(1) {
            assert_eq!(assembler.peer(), Peer::New);
            assembler.feed(&dialect, byte, |_| Flow::Continue).unwrap();
        }
        assert_eq!(assembler.peer(), want);
    }
}

#[test]
fn a_frame_of_the_largest_limit_arrives_in_pieces() {
    let dialect = Dialect::new(Settings { max_body: Dialect::MAX_BODY, ..Settings::default() }).unwrap();
    let (body, mut out) = (vec![7; Dialect::MAX_BODY], Vec::new());
    dialect.put_data(Head::default(), &body, Framing::Stream, &mut out).unwrap();
    let (mut assembler, mut seen) = (stream(), 0);
    for piece in out.chunks(60_000) {
        let fed = assembler.feed(&dialect, piece, |frame| {
            assert_eq!(frame, Frame::Data { route: 0, seq: 0, body: &body });
            seen += 1;
            Flow::Continue
        });
        assert_eq!(fed, Ok(Flow::Continue));
    }
    assert_eq!((seen, assembler.kept()), (1, 0));
}
