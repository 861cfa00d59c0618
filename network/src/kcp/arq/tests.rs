//! Two ends on a bad line, in virtual time.

use std::collections::BTreeMap;

use super::*;

pub(super) fn tuning() -> Tuning {
    Tuning {
        nodelay: true,
        interval: 10,
        resend: 2,
        congestion: false,
        mss: 1376,
        send_window: 256,
        receive_window: 256,
        ack_nodelay: false,
        stream: true,
    }
}

/// A small generator, so that a line behaves the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

#[derive(Clone, Copy, Debug)]
struct Line {
    lost: u64,
    doubled: u64,
    delay: u64,
    jitter: u64,
}

const CLEAN: Line = Line { lost: 0, doubled: 0, delay: 20, jitter: 0 };

struct Pair {
    ends: [Arq; 2],
    line: Line,
    chance: Chance,
    now: u64,
    /// Datagrams under way by the moment they arrive, and in the order they were sent.
    way: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    sent: u64,
    bytes_sent: [usize; 2],
}

impl Pair {
    fn new(tunings: [Tuning; 2], line: Line, seed: u64) -> Self {
        let now = u64::from(u32::MAX) - 500;
        let ends = tunings.map(|t| Arq::new(7, &t, now));
        Self { ends, line, chance: Chance(seed), now, way: BTreeMap::new(), sent: 0, bytes_sent: [0; 2] }
    }

    fn flush(&mut self, end: usize) {
        let mut out = Datagrams::new(1400);
        self.ends[end].flush(self.now, &mut out);
        for datagram in out.iter() {
            assert!(datagram.len() <= 1400);
            self.bytes_sent[end] += datagram.len();
            let copies = 1 + usize::from(self.chance.of(self.line.doubled));
            for _ in 0..copies {
                if self.chance.of(self.line.lost) {
                    continue;
                }
                let at = self.now + self.line.delay + self.chance.next() % (self.line.jitter + 1);
                self.sent += 1;
                self.way.insert((at, self.sent), (1 - end, datagram.to_vec()));
            }
        }
        assert!(self.ends[end].due().is_none_or(|due| due > self.now), "due again at once");
    }

    /// Goes to the next moment at which something happens; false if nothing ever will.
    fn step(&mut self) -> bool {
        let arrives = self.way.keys().next().map(|k| k.0);
        let dues = self.ends.iter().filter_map(Arq::due);
        let Some(next) = dues.chain(arrives).min() else { return false };
        self.now = self.now.max(next);
        while let Some(first) = self.way.first_entry()
            && first.key().0 <= self.now
        {
            let (to, bytes) = first.remove();
            self.ends[to].input(self.now, &Datagram::parse(&bytes).unwrap());
        }
        for end in 0..2 {
            if self.ends[end].due().is_some_and(|due| due <= self.now) {
                self.flush(end);
            }
        }
        true
    }

    /// Sends `len` bytes each way, reading all that comes, and says how many ms that took.
    fn exchange(&mut self, len: usize) -> u64 {
        let from = self.now;
        let data: Vec<u8> = (0..len).map(|i| (i * 31 / 7) as u8).collect();
        let mut written = [0; 2];
        let mut read = [Vec::new(), Vec::new()];
        let mut buffer = [0; 5000];
        loop {
            for end in 0..2 {
                written[end] += self.ends[end].write(self.now, &data[written[end]..]);
                self.ends[end].send.cut();
                while let n @ 1.. = self.ends[end].read(&mut buffer) {
                    read[end].extend_from_slice(&buffer[..n]);
                }
            }
            if read.iter().all(|r| r.len() >= len) && self.ends.iter().all(Arq::idle) {
                break;
            }
            assert!(self.step() && self.now - from < 600_000, "stuck at {} ms", self.now - from);
        }
        assert!(read.iter().all(|r| *r == data));
        self.now - from
    }
}

fn check(line: Line, tunings: [Tuning; 2]) {
    for seed in 1..6_u64 {
        let mut pair = Pair::new(tunings, line, u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        for len in [1, 100, 1376, 1377, 200_000] {
            pair.exchange(len);
        }
        assert_eq!(pair.ends[0].taken(), 1 + 100 + 1376 + 1377 + 200_000);
        assert!(pair.ends[0].proven() && pair.ends[1].proven());
        while pair.step() {}
        assert_eq!(pair.way.len(), 0);
    }
}

/// What clients of the old framework have when nothing is set.
fn plain() -> Tuning {
    Tuning {
        nodelay: false,
        interval: 100,
        resend: 0,
        congestion: true,
        send_window: 32,
        receive_window: 32,
        ..tuning()
    }
}

#[test]
fn all_bytes_arrive_in_order_on_a_clean_line() {
    check(CLEAN, [tuning(), tuning()]);
    check(CLEAN, [tuning(), plain()]);
}

#[test]
fn all_bytes_arrive_in_order_at_5_percent_loss() {
    let line = Line { lost: 5, ..CLEAN };
    check(line, [tuning(), tuning()]);
    check(line, [tuning(), plain()]);
}

#[test]
fn all_bytes_arrive_in_order_at_20_percent_loss_with_jitter_and_doubles() {
    let line = Line { lost: 20, doubled: 10, delay: 50, jitter: 40 };
    check(line, [tuning(), tuning()]);
    check(line, [tuning(), plain()]);
}

#[test]
fn every_mode_gets_through_reordering() {
    let line = Line { lost: 3, doubled: 20, delay: 5, jitter: 60 };
    for bits in 0..8 {
        let t = Tuning {
            congestion: bits & 1 != 0,
            ack_nodelay: bits & 2 != 0,
            stream: bits & 4 != 0,
            send_window: 64,
            receive_window: 16,
            ..tuning()
        };
        check(line, [t, t]);
    }
}

#[test]
fn a_lost_push_is_sent_again_before_its_timeout() {
    let (mut all, mut none) = (0, 0);
    for seed in 1..10 {
        let line = Line { lost: 5, delay: 100, ..CLEAN };
        all += Pair::new([tuning(); 2], line, seed << 20).exchange(500_000);
        none += Pair::new([Tuning { resend: 0, ..tuning() }; 2], line, seed << 20).exchange(500_000);
    }
    assert!(all < none, "{all} ms against {none} ms");
}

/// One push in a datagram for each of `count` writes, of which the last is acknowledged after 5 ms: which go out again at once.
fn sent_again(count: u32, resend: u32) -> Vec<u8> {
    let mut end = Arq::new(7, &Tuning { resend, ..tuning() }, 0);
    for _ in 0..count {
        end.write(0, b"tick");
        end.flush(0, &mut Datagrams::new(1400));
    }
    end.input(5, &Datagram::parse(&forged(Cmd::Ack, 256, 0, count - 1, 0)).unwrap());
    let mut out = Datagrams::new(28);
    if end.due().is_some_and(|due| due <= 5) {
        end.flush(5, &mut out);
    }
    out.iter().map(|push| push[12]).collect()
}

#[test]
fn while_few_are_under_way_one_that_overtakes_is_enough() {
    assert_eq!(sent_again(2, 2), [0]);
    assert_eq!(sent_again(4, 2), [0, 1, 2]);
    assert!(sent_again(5, 2).is_empty());
    assert_eq!(sent_again(5, 1), [0, 1, 2, 3]);
    assert!(sent_again(2, 0).is_empty(), "off is off");
}

#[test]
fn a_peer_that_does_not_read_closes_the_window_and_opens_it_again() {
    let mut pair = Pair::new([tuning(); 2], CLEAN, 9);
    let data = vec![5; 2_000_000];
    let mut written = 0;
    for _ in 0..2_000 {
        written += pair.ends[0].write(pair.now, &data[written..]);
        pair.step();
    }
    // What waits is bounded on both sides, and no push is thrown away.
    assert!(written <= 4 * 256 * 1376, "{written}");
    assert!(!pair.ends[0].lost(pair.now));
    let (mut read, mut buffer) = (0, vec![0; 64 * 1024]);
    while read < data.len() {
        written += pair.ends[0].write(pair.now, &data[written..]);
        read += pair.ends[1].read(&mut buffer);
        assert!(pair.step() || written == data.len());
    }
    assert!(pair.bytes_sent[0] < 2_000_000 * 11 / 10, "{}", pair.bytes_sent[0]);
}

#[test]
fn a_window_that_opens_is_told_again_when_the_message_is_lost() {
    let mut end = Arq::new(7, &Tuning { receive_window: 4, ..tuning() }, 0);
    for sn in 0..4 {
        let mut push = forged(Cmd::Push, 32, 0, sn, 0);
        push[20..24].copy_from_slice(&1376_u32.to_le_bytes());
        push.resize(24 + 1376, 1);
        end.input(0, &Datagram::parse(&push).unwrap());
    }
    let window = |end: &mut Arq, now| {
        let mut out = Datagrams::new(1400);
        end.flush(now, &mut out);
        out.iter().map(|d| (d[4], d[6])).collect::<Vec<_>>()
    };
    assert_eq!(window(&mut end, 0), [(82, 0)], "closed");
    assert_eq!(end.read(&mut [0; 1376]), 1376);
    assert_eq!(end.due(), None, "too little to be worth a message");
    end.discard();
    for now in [0, 100, 200] {
        assert_eq!(end.due(), Some(now));
        assert_eq!(window(&mut end, now), [(84, 4)]);
    }
    assert_eq!(end.due(), None);
    end.input(300, &Datagram::parse(&forged(Cmd::Ask, 32, 0, 0, 0)).unwrap());
    assert_eq!(window(&mut end, 300), [(84, 4)]);
    assert_eq!(end.due(), None);
}

#[test]
fn a_silent_peer_is_lost_after_a_minute() {
    let mut end = Arq::new(7, &tuning(), 0);
    end.write(0, b"anyone?");
    let (mut now, mut flushes) = (0, 0);
    while !end.lost(now) {
        end.flush(now, &mut Datagrams::new(1400));
        flushes += 1;
        now = end.due().unwrap();
    }
    assert!((60_000..70_000).contains(&now), "{now}");
    assert!(flushes < 100, "{flushes}");
    assert!(!end.answered() && !end.proven());
}

fn golden(out: &Datagrams) -> Vec<Vec<u8>> {
    out.iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn golden_bytes_of_a_push_and_its_acknowledgement() {
    let (mut a, mut b) = (Arq::new(0x0102_0304, &tuning(), 0), Arq::new(0x0102_0304, &tuning(), 0));
    a.write(5, b"hi");
    let mut out = Datagrams::new(1400);
    a.flush(5, &mut out);
    let push = [4, 3, 2, 1, 81, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'h', b'i'];
    assert_eq!(golden(&out), [push.to_vec()]);

    b.input(9, &Datagram::parse(&push).unwrap());
    assert_eq!(b.due(), Some(19));
    let mut out = Datagrams::new(1400);
    b.flush(19, &mut out);
    let ack = [4, 3, 2, 1, 82, 0, 255, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(golden(&out), [ack.to_vec()]);

    assert!(!a.idle());
    a.input(30, &Datagram::parse(&ack).unwrap());
    assert!(a.idle());
    assert_eq!((a.taken(), a.due()), (2, None));
}

fn forged(cmd: Cmd, wnd: u16, ts: u32, sn: u32, una: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { conv: 7, cmd, wnd, ts, sn, una }.write(0, &mut bytes);
    bytes
}

#[test]
fn forged_numbers_move_nothing() {
    let mut end = Arq::new(7, &tuning(), 0);
    end.write(0, &[1; 5000]);
    end.flush(0, &mut Datagrams::new(1400));
    let due = end.due();
    for wild in [5, 1000, u32::MAX, u32::MAX / 2] {
        // B117, B118
        end.input(1, &Datagram::parse(&forged(Cmd::Ack, u16::MAX, wild, wild, wild)).unwrap());
        end.input(1, &Datagram::parse(&forged(Cmd::Push, u16::MAX, wild, 256 + wild % 1000, wild)).unwrap());
    }
    assert_eq!((end.taken(), end.due(), end.receive.next()), (0, due, 0));
    assert!(!end.readable() && !end.proven());
}

#[test]
fn forged_acknowledgements_do_not_make_it_send_for_ever() {
    let mut end = Arq::new(7, &tuning(), 0);
    end.write(0, &[1; 300_000]);
    end.input(0, &Datagram::parse(&forged(Cmd::Tell, 256, 0, 0, 0)).unwrap());
    let mut sent = 0;
    for _ in 0..1000 {
        let mut out = Datagrams::new(1400);
        end.flush(1, &mut out);
        sent += out.iter().count();
        end.input(1, &Datagram::parse(&forged(Cmd::Ack, 256, 1, 200, 0)).unwrap());
    }
    assert!(sent < 7 * 256, "{sent}");
}

#[test]
fn a_conversation_at_rest_is_small() {
    let mut pair = Pair::new([tuning(); 2], CLEAN, 3);
    pair.exchange(300_000);
    while pair.step() {}
    for end in &pair.ends {
        assert!(size_of::<Arq>() + end.send.held() + end.receive.held() < 1500);
    }
}

#[test]
fn a_flood_of_pushes_is_bounded() {
    let mut end = Arq::new(7, &tuning(), 0);
    for sn in (0..10_000).map(|i| i % 300) {
        end.input(0, &Datagram::parse(&forged(Cmd::Push, 1, 0, sn, 0)).unwrap());
    }
    let mut out = Datagrams::new(1400);
    end.flush(0, &mut out);
    assert!(out.iter().count() <= 512 * 24 / 1400 + 1);
}
