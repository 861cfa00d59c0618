use std::{collections::VecDeque, time::Duration};

use due_core::transport::{FrameKind, Trace};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { high: 1 << 20, max_frame: 4 << 20 };

/// Two sides and the bytes between them.
struct Pair {
    sides: [Session; 2],
    /// What is under way to each side.
    wires: [VecDeque<u8>; 2],
    now: Instant,
    seen: [Vec<(Head, Vec<u8>)>; 2],
}

impl Pair {
    fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let mut sides = [Session::new(limits, now), Session::new(limits, now)];
        sides.iter_mut().for_each(|side| side.attach(now));
        Self { sides, wires: Default::default(), now, seen: Default::default() }
    }

    fn send(&mut self, from: usize, head: Head, body: &[u8]) -> Result<(), Refused> {
        self.sides[from].send(head, Part::Copy(body))
    }

    /// Writes at most `most` bytes of side `from`; says how many.
    fn write(&mut self, from: usize, most: usize) -> usize {
        let side = &mut self.sides[from];
        if !side.prepare() {
            return 0;
        }
        let mut slices = [IoSlice::new(&[]); 16];
        let used = side.slices(&mut slices);
        let bytes: Vec<u8> = slices[..used].iter().flat_map(|s| s.iter().copied()).take(most).collect();
        side.wrote(bytes.len());
        self.wires[1 - from].extend(&bytes);
        bytes.len()
    }

    /// Reads at most `most` bytes at side `at`; says how many.
    fn read(&mut self, at: usize, most: usize) -> Result<usize, Broken> {
        let space = self.sides[at].space();
        let count = space.len().min(most).min(self.wires[at].len());
        for (to, from) in space.iter_mut().zip(self.wires[at].drain(..count)) {
            *to = from;
        }
        if count > 0 {
            self.sides[at].filled(self.now, count)?;
        }
        Ok(count)
    }

    fn take(&mut self, at: usize, max: usize) -> Result<usize, Broken> {
        let mut batch = Batch::default();
        let count = self.sides[at].take(self.now, &mut batch, max)?;
        assert_eq!(batch.len(), count);
        self.seen[at].extend((0..count).map(|i| batch.get(i).map(|(h, b)| (h, b.to_vec())).unwrap()));
        Ok(count)
    }

    /// Moves everything until nothing moves.
    fn settle(&mut self) -> Result<(), Broken> {
        loop {
            let mut moved = 0;
            for side in 0..2 {
                moved += self.write(side, usize::MAX) + self.read(side, usize::MAX)? + self.take(side, 64)?;
            }
            if moved == 0 {
                return Ok(());
            }
        }
    }

    fn cut(&mut self) {
        self.wires.iter_mut().for_each(VecDeque::clear);
        self.sides.iter_mut().for_each(Session::detach);
    }

    fn connect(&mut self) {
        self.wires.iter_mut().for_each(VecDeque::clear);
        let now = self.now;
        self.sides.iter_mut().for_each(|side| side.attach(now));
    }

    fn seqs(&self, at: usize) -> Vec<i32> {
        self.seen[at].iter().map(|(head, _)| head.seq).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn message(lane: u64, seq: i32) -> Head {
    Head { kind: FrameKind::Message, lane, seq, ..Head::default() }
}

#[test]
fn frames_cross_in_order_and_whole() {
    let mut pair = Pair::new(LIMITS);
    let head = |seq| Head { trace: Trace { id: 5, span: 6 }, corr: 1 << 40, ..message(3, seq) };
    for seq in 0..300 {
        pair.send(0, head(seq), &vec![seq as u8; seq as usize * 29]).unwrap();
        pair.send(1, head(-seq), b"back").unwrap();
        pair.settle().unwrap();
    }
    for (seq, (got, body)) in (0..).zip(&pair.seen[1]) {
        assert!(*got == head(seq) && *body == vec![seq as u8; seq as usize * 29], "{seq}");
    }
    assert_eq!(pair.seqs(0), (0..300).map(|n| -n).collect::<Vec<_>>());
}

#[test]
fn a_large_frame_lets_other_lanes_pass_but_not_its_own_nor_control() {
    let mut pair = Pair::new(LIMITS);
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    pair.send(0, message(1, 1), &large).unwrap();
    pair.write(0, PART);
    pair.send(0, message(1, 2), b"same lane").unwrap();
    pair.send(0, message(2, 3), b"other lane").unwrap();
    pair.send(0, message(0, 4), b"control").unwrap();
    pair.send(0, message(2, 5), b"behind control").unwrap();
    pair.settle().unwrap();
    assert_eq!(pair.seqs(1), [3, 1, 2, 4, 5]);
    assert!(pair.seen[1][1].1 == large);
    assert!(!pair.sides[0].is_written(6) && pair.sides[0].is_written(5));
    pair.send(0, message(2, 6), b"").unwrap();
    pair.settle().unwrap();
    assert_eq!(pair.seqs(1).last(), Some(&6));
}

/// proves P19
#[test]
fn a_full_session_takes_nothing_but_control_until_half_is_handed_out() {
    let mut pair = Pair::new(LIMITS);
    let fill =
        |pair: &mut Pair, lane| (0..).take_while(|n| pair.send(0, message(lane, *n), &[0; 1000]).is_ok()).count();
    let sent = fill(&mut pair, 1);
    assert!((1_000..1_100).contains(&sent), "{sent}");
    assert!((1_000..1_100).contains(&fill(&mut pair, 0)));
    assert!(!pair.sides[0].has_room());
    let mut handed = 0;
    while !pair.sides[0].has_room() {
        while pair.write(0, usize::MAX) + pair.read(1, usize::MAX).unwrap() + pair.write(1, usize::MAX) > 0 {
            pair.read(0, usize::MAX).unwrap();
        }
        handed += pair.take(1, 1).unwrap();
    }
    // Both kinds count; the other side tells each eighth of the window.
    assert!((sent * 3 / 2..sent * 3 / 2 + sent / 8 + 10).contains(&handed), "{handed} of {sent}");
    pair.send(0, message(1, 0), b"room").unwrap();
}

#[test]
fn a_body_over_the_limit_of_either_side_is_too_large() {
    let mut pair = Pair::new(LIMITS);
    assert_eq!(pair.send(0, message(1, 0), &vec![0; (4 << 20) + 1]), Err(Refused::TooLarge));
    let now = pair.now;
    pair.sides[1] = Session::new(Limits { max_frame: 100_000, ..LIMITS }, now);
    pair.sides[1].attach(now);
    pair.settle().unwrap();
    assert_eq!(pair.send(0, message(1, 0), &vec![0; 100_001]), Err(Refused::TooLarge));
    pair.send(0, message(1, 7), &vec![0; 100_000]).unwrap();
    pair.settle().unwrap();
    assert_eq!((pair.seqs(1), pair.sides[0].taken()), (vec![7], 1));
}

#[test]
fn what_was_read_and_not_handed_out_comes_again_once() {
    let mut pair = Pair::new(LIMITS);
    (0..10).for_each(|n| pair.send(0, message(1, n), b"x").unwrap());
    pair.write(0, usize::MAX);
    pair.read(1, usize::MAX).unwrap();
    pair.take(1, 4).unwrap();
    pair.cut();
    (10..12).for_each(|n| pair.send(0, message(1, n), b"sent while down").unwrap());
    pair.connect();
    pair.settle().unwrap();
    assert_eq!(pair.seqs(1), (0..12).collect::<Vec<_>>());
}

#[test]
fn nothing_of_the_user_goes_out_before_the_count_of_the_other_side() {
    let mut pair = Pair::new(LIMITS);
    pair.send(0, message(1, 0), b"first").unwrap();
    pair.settle().unwrap();
    pair.cut();
    pair.connect();
    pair.send(0, message(1, 1), b"second").unwrap();
    let hello = pair.write(0, usize::MAX);
    assert!(hello > 0 && pair.write(0, usize::MAX) == 0 && !pair.sides[0].is_flushed());
    pair.settle().unwrap();
    assert_eq!(pair.seqs(1), [0, 1]);
}

#[test]
fn an_old_count_or_one_of_frames_never_sent_ends_the_session() {
    for (received, sent) in [(3, 2), (0, 2)] {
        let mut pair = Pair::new(LIMITS);
        (0..sent).for_each(|n| pair.send(0, message(1, n), b"x").unwrap());
        pair.settle().unwrap();
        pair.sides[1].tell();
        pair.settle().unwrap();
        pair.cut();
        pair.connect();
        pair.sides[1].own.clear();
        wire::put_hello(&mut pair.sides[1].own, &Hello { received, window: 1, max_frame: 1 });
        assert!(pair.settle().is_err(), "{received}");
    }
}

#[test]
fn silence_and_unconfirmed_heartbeats_are_found_within_6_s() {
    for one_way in [false, true] {
        let mut pair = Pair::new(LIMITS);
        pair.settle().unwrap();
        let mut dead = [None, None];
        for second in 1..=10 {
            pair.pass(SWEEP);
            for (side, dead) in dead.iter_mut().enumerate() {
                let now = pair.now;
                pair.sides[side].turn(now);
                if pair.sides[side].sweep(now).is_err() {
                    dead.get_or_insert(second);
                }
                pair.write(side, usize::MAX);
            }
            pair.wires[1].clear();
            if one_way { pair.read(0, usize::MAX).map(drop).unwrap() } else { pair.wires[0].clear() }
        }
        assert!(dead.iter().all(|d| d.is_some_and(|second| second <= 6)), "{one_way}: {dead:?}");
    }
}

#[test]
fn an_idle_pair_lives_on() {
    let mut pair = Pair::new(LIMITS);
    for _ in 0..600 {
        pair.pass(SWEEP);
        for side in 0..2 {
            let now = pair.now;
            pair.sides[side].turn(now);
            pair.sides[side].sweep(now).unwrap();
        }
        pair.settle().unwrap();
    }
}

#[test]
fn after_a_sleep_nothing_is_handed_out_before_the_answer_to_a_new_heartbeat() {
    let mut pair = Pair::new(LIMITS);
    pair.settle().unwrap();
    for n in 0..2000 {
        pair.send(0, message(1, n), &[0; 300]).unwrap();
    }
    while pair.write(0, usize::MAX) > 0 {}
    pair.pass(Duration::from_secs(3));
    let now = pair.now;
    pair.sides[1].turn(now);
    while pair.read(1, usize::MAX).unwrap() > 0 {
        assert_eq!(pair.take(1, 64).unwrap(), 0);
    }
    pair.write(1, usize::MAX);
    assert_eq!(pair.take(1, 64).unwrap(), 0);
    pair.settle().unwrap();
    assert_eq!(pair.seqs(1), (0..2000).collect::<Vec<_>>());
}

#[test]
fn what_a_sleeper_had_read_is_dropped_with_its_connection() {
    let mut pair = Pair::new(LIMITS);
    pair.settle().unwrap();
    pair.send(0, message(1, 0), b"old").unwrap();
    pair.write(0, usize::MAX);
    let now = pair.now;
    pair.sides[1].suspect(now);
    pair.read(1, usize::MAX).unwrap();
    assert_eq!(pair.take(1, 64).unwrap(), 0);
    pair.sides[1].detach();
    assert_eq!(pair.take(1, 64).unwrap(), 0);
}

#[test]
fn a_frame_that_waited_arrives_with_the_time_that_is_left() {
    let mut pair = Pair::new(LIMITS);
    let timed = |seq, ttl_ms| Head { ttl_ms, ..message(1, seq) };
    pair.settle().unwrap();
    let start = pair.sides[0].start;
    pair.sides[0].ages.note(0, 0);
    pair.sides[1].ages.note(0, 0);
    pair.send(0, timed(1, 5_000), b"").unwrap();
    pair.send(0, timed(2, 2_000), b"").unwrap();
    pair.send(0, timed(3, 0), b"").unwrap();
    pair.write(0, usize::MAX);
    pair.now = start + Duration::from_millis(3_000);
    pair.settle().unwrap();
    let left: Vec<_> = pair.seen[1].iter().map(|(head, _)| head.ttl_ms).collect();
    assert!((1_900..=2_100).contains(&left[0]), "{left:?}");
    assert_eq!(left[1..], [Head::EXPIRED, 0]);
}

#[test]
fn the_last_words_come_before_the_end() {
    let mut pair = Pair::new(LIMITS);
    pair.send(0, message(1, 1), &vec![1; 300_000]).unwrap();
    pair.send(0, message(2, 2), b"last").unwrap();
    pair.sides[0].leave();
    assert_eq!(pair.send(0, message(1, 3), b""), Err(Refused::Gone));
    pair.settle().unwrap();
    assert!(pair.sides[1].is_over());
    assert_eq!(pair.seen[1].len(), 2);
    assert_eq!(pair.send(1, message(1, 3), b""), Err(Refused::Gone));
}

#[test]
fn bytes_out_of_turn_break_the_connection() {
    let unit = |put: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        put(&mut bytes);
        bytes
    };
    let hello = unit(&|out| wire::put_hello(out, &Hello { received: 0, window: 1 << 20, max_frame: 1 << 20 }));
    let part = unit(&|out| wire::put_frame(out, &message(1, 1), 0, Some(100), 0));
    for (what, bytes) in [
        ("a frame before the hello", unit(&|out| wire::put_frame(out, &message(1, 1), 0, None, 0))),
        ("a heartbeat before it", unit(&|out| wire::put_ack(out, 0))),
        ("a second hello", [hello.clone(), hello.clone()].concat()),
        ("a count of frames never sent", [hello.clone(), unit(&|out| wire::put_ack(out, 9))].concat()),
        (
            "a count in a first hello",
            unit(&|out| wire::put_hello(out, &Hello { received: 1, window: 1, max_frame: 1 })),
        ),
        (
            "a window without bound",
            unit(&|out| wire::put_hello(out, &Hello { received: 0, window: 1 << 40, max_frame: 1 })),
        ),
        ("a part of nothing", [hello.clone(), unit(&|out| wire::put_more(out, 0))].concat()),
        ("a large frame inside another", [hello.clone(), part.clone(), part.clone()].concat()),
        (
            "a frame over the limit",
            [hello.clone(), unit(&|out| wire::put_frame(out, &message(1, 1), 0, Some(5 << 20), 0))].concat(),
        ),
        ("an unknown kind", [hello.clone(), vec![0, 0, 0, 2, 99, 0]].concat()),
        ("a length without bound", [hello.clone(), vec![255; 4]].concat()),
    ] {
        let mut pair = Pair::new(LIMITS);
        pair.wires[1].extend(&bytes);
        let broken = pair.read(1, usize::MAX).and_then(|_| pair.take(1, 64));
        assert!(broken.is_err(), "{what}");
    }
}

/// One step of a random run.
#[derive(Clone, Debug)]
enum Step {
    Send {
        side: usize,
        lane: u64,
        len: usize,
    },
    Write {
        side: usize,
        most: usize,
    },
    Read {
        side: usize,
        most: usize,
    },
    Take {
        side: usize,
        max: usize,
    },
    Cut,
    /// One side notices the cut before the other.
    Half(usize),
    Connect,
    Sweep,
    Suspect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2usize;
    let len = prop_oneof![6 => 0..400usize, 1 => 60_000..200_000usize];
    prop_oneof![
        8 => (side.clone(), 0..4u64, len).prop_map(|(side, lane, len)| Step::Send { side, lane, len }),
        6 => (side.clone(), 1..100_000usize).prop_map(|(side, most)| Step::Write { side, most }),
        6 => (side.clone(), 1..100_000usize).prop_map(|(side, most)| Step::Read { side, most }),
        4 => (side.clone(), 1..9usize).prop_map(|(side, max)| Step::Take { side, max }),
        1 => Just(Step::Cut),
        1 => side.clone().prop_map(Step::Half),
        3 => Just(Step::Connect),
        1 => Just(Step::Sweep),
        1 => side.prop_map(Step::Suspect),
    ]
}

/// What each side sent, per lane.
type Sent = [[Vec<(i32, usize)>; 4]; 2];

fn lanes(pair: &Pair, from: usize) -> [Vec<(i32, usize)>; 4] {
    let of = |lane| {
        let of_lane = pair.seen[1 - from].iter().filter(|(head, _)| head.lane == lane);
        of_lane.map(|(head, body)| (head.seq, body.len())).collect()
    };
    [of(0), of(1), of(2), of(3)]
}

fn run(steps: Vec<Step>) {
    let mut pair = Pair::new(Limits { high: 600_000, max_frame: 1 << 20 });
    let mut sent = Sent::default();
    let mut up = true;
    let mut next = 0;
    for step in steps {
        match step {
            Step::Send { side, lane, len } => {
                if pair.send(side, message(lane, next), &vec![next as u8; len]).is_ok() {
                    sent[side][lane as usize].push((next, len));
                    next += 1;
                }
            }
            Step::Write { side, most } => drop(pair.write(side, most)),
            Step::Read { side, most } => drop(pair.read(side, most).unwrap()),
            Step::Take { side, max } => drop(pair.take(side, max).unwrap()),
            Step::Cut => {
                pair.cut();
                up = false;
            }
            Step::Half(side) => {
                pair.sides[side].detach();
                pair.wires.iter_mut().for_each(VecDeque::clear);
                // The other side's bytes lead nowhere now.
                pair.sides[1 - side].detach();
                up = false;
            }
            Step::Connect if !up => {
                pair.connect();
                up = true;
            }
            Step::Connect => {}
            Step::Sweep => {
                let now = pair.now;
                pair.sides.iter_mut().for_each(|side| side.sweep(now).unwrap());
            }
            Step::Suspect(side) => {
                let now = pair.now;
                pair.sides[side].suspect(now);
            }
        }
        for side in 0..2 {
            for (got, sent) in lanes(&pair, side).iter().zip(&sent[side]) {
                assert!(sent.starts_with(got), "{got:?} of {sent:?}");
            }
        }
    }
    if !up {
        pair.connect();
    }
    pair.settle().unwrap();
    for (side, sent) in sent.iter().enumerate() {
        assert_eq!(lanes(&pair, side), *sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_arrives_once_and_in_order_whatever_is_cut(steps in proptest::collection::vec(step(), 0..300)) {
        run(steps);
    }

    #[test]
    fn any_bytes_are_read_alike_in_one_piece_and_in_many(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        step in 1..50usize,
    ) {
        let read = |step: usize| {
            let mut pair = Pair::new(LIMITS);
            pair.wires[1].extend(&bytes);
            let mut ended = Ok(());
            while !pair.wires[1].is_empty() && ended.is_ok() {
                ended = pair.read(1, step).and_then(|_| pair.take(1, 64)).map(drop);
            }
            (pair.seen[1].clone(), ended.is_err())
        };
        prop_assert_eq!(read(usize::MAX), read(step));
    }
}

#[test]
fn a_heartbeat_that_comes_back_tells_how_long_its_way_is() {
    let mut pair = Pair::new(LIMITS);
    pair.settle().unwrap();
    pair.now += SWEEP;
    pair.sides[0].sweep(pair.now).unwrap();
    pair.write(0, usize::MAX);
    pair.now += Duration::from_millis(3);
    pair.settle().unwrap();
    let told = [0, 1].map(|side| pair.sides[side].round_trip());
    assert_eq!(told, [Some(Duration::from_millis(3)), None], "at once, not with the next heartbeat of the other side");
}
