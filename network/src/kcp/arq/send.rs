//! The sending half: bytes that wait, pushes under way, and when to send them again.

use std::collections::VecDeque;

use super::{
    NEVER, Tuning, before,
    congestion::{Congestion, Lost},
    rtt::Rtt,
};
use crate::kcp::{
    datagrams::Datagrams,
    segment::{Cmd, Head},
};

/// The window that a peer is taken to have before it tells.
const PEER_WINDOW: u32 = 32;
/// A push is sent early at most so often: a forged acknowledgement must not make us send for ever.
const FAST_TRIES: u8 = 5;
/// While no more than this are under way one overtaking push is enough: hardly any others are there to overtake it, and
/// the timeout is longer than a game can wait.
const THIN: usize = 4;
/// First and longest ms between questions for a closed window.
const PROBE_FIRST: u64 = 500;
const PROBE_LONGEST: u64 = 30_000;
/// Empty queues that hold more bytes than this are given back.
const KEEP: usize = 512;

#[derive(Debug)]
pub(super) struct Sender {
    mss: usize,
    window: u32,
    resend: u32,
    stream: bool,
    /// Bytes not yet acknowledged; the first one has the offset `base` in the whole stream.
    bytes: VecDeque<u8>,
    base: u64,
    /// Offset of the first byte that was never sent.
    unsent: u64,
    /// Offsets at which a push must end.
    cuts: VecDeque<u64>,
    /// Pushes under way: the first has the number `una`.
    flight: VecDeque<Push>,
    una: u32,
    /// Bytes acknowledged out of order.
    scattered: u64,
    peer_window: u32,
    /// No push is late before this moment.
    late_at: u64,
    /// Was a push overtaken often enough?
    overtaken: bool,
    probe_at: u64,
    probe_wait: u64,
}

#[derive(Debug)]
struct Push {
    from: u64,
    len: usize,
    acked: bool,
    overtaken: u32,
    fast_tries: u8,
    ts: u32,
    timeout: u32,
    late_at: u64,
}

impl Sender {
    pub(super) fn new(tuning: &Tuning) -> Self {
        Self {
            mss: tuning.mss,
            window: tuning.send_window,
            resend: tuning.resend,
            stream: tuning.stream,
            bytes: VecDeque::new(),
            base: 0,
            unsent: 0,
            cuts: VecDeque::new(),
            flight: VecDeque::new(),
            una: 0,
            scattered: 0,
            peer_window: PEER_WINDOW,
            late_at: NEVER,
            overtaken: false,
            probe_at: NEVER,
            probe_wait: 0,
        }
    }

    /// The first push that is not acknowledged.
    pub(super) fn una(&self) -> u32 {
        self.una
    }

    pub(super) fn under_way(&self) -> u32 {
        self.flight.len() as u32
    }

    pub(super) fn peer_window(&self) -> u32 {
        self.peer_window
    }

    pub(super) fn idle(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn taken(&self) -> u64 {
        self.base + self.scattered
    }

    /// Most bytes that wait or are under way: two windows.
    fn limit(&self) -> usize {
        2 * self.window as usize * self.mss
    }

    pub(super) fn roomy(&self) -> bool {
        self.bytes.len() <= self.limit() / 2 && !self.too_many_cuts()
    }

    fn too_many_cuts(&self) -> bool {
        self.cuts.len() >= 2 * self.window as usize
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.too_many_cuts() {
            return 0;
        }
        let room = self.limit().saturating_sub(self.bytes.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend(taken);
        taken.len()
    }

    pub(super) fn cut(&mut self) {
        let end = self.base + self.bytes.len() as u64;
        if !self.stream && end > self.unsent && self.cuts.back() != Some(&end) {
            self.cuts.push_back(end);
        }
    }

    pub(super) fn window_told(&mut self, window: u16) {
        self.peer_window = window.into();
        if window != 0 {
            (self.probe_at, self.probe_wait) = (NEVER, 0);
        }
    }

    /// All pushes below `una` have arrived. A number that was never sent is ignored.
    pub(super) fn acked_below(&mut self, una: u32) {
        let count = una.wrapping_sub(self.una) as usize;
        if count <= self.flight.len() {
            for _ in 0..count {
                self.drop_first();
            }
            self.settle();
        }
    }

    /// The push `sn` has arrived, sent at `ts`: those before it that were sent no later are overtaken.
    pub(super) fn acked(&mut self, sn: u32, ts: u32) {
        let at = sn.wrapping_sub(self.una) as usize;
        let Some(push) = self.flight.get_mut(at) else { return };
        if !push.acked {
            push.acked = true;
            self.scattered += push.len as u64;
        }
        let enough = self.enough();
        for push in self.flight.iter_mut().take(at).filter(|push| !push.acked && !before(ts, push.ts)) {
            push.overtaken += 1;
            self.overtaken |= push.is_overtaken(enough);
        }
        while self.flight.front().is_some_and(|push| push.acked) {
            self.drop_first();
        }
        self.settle();
    }

    /// How many pushes must overtake one that is then sent again; 0 is never.
    fn enough(&self) -> u32 {
        if self.flight.len() <= THIN { self.resend.min(1) } else { self.resend }
    }

    fn drop_first(&mut self) {
        let Some(push) = self.flight.pop_front() else { return };
        self.bytes.drain(..push.len.min(self.bytes.len()));
        self.base += push.len as u64;
        self.una = self.una.wrapping_add(1);
        if push.acked {
            self.scattered -= push.len as u64;
        }
    }

    fn settle(&mut self) {
        if !self.flight.is_empty() {
            return;
        }
        (self.late_at, self.overtaken) = (NEVER, false);
        if self.bytes.is_empty() && self.held() > KEEP {
            (self.bytes, self.flight, self.cuts) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        }
    }

    /// Bytes of memory behind the queues.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity() + self.flight.capacity() * size_of::<Push>() + self.cuts.capacity() * size_of::<u64>()
    }

    fn has_unsent(&self) -> bool {
        self.unsent < self.base + self.bytes.len() as u64
    }

    fn allowed(&self, congestion: u32) -> u32 {
        self.window.min(self.peer_window).min(congestion)
    }

    /// When something is to be done; 0 is now.
    pub(super) fn due(&self, congestion: &Congestion) -> u64 {
        if self.overtaken || (self.has_unsent() && self.under_way() < self.allowed(congestion.window())) {
            return 0;
        }
        let probe_at = match self.peer_window {
            0 if self.has_unsent() && self.probe_at == NEVER => 0,
            _ => self.probe_at,
        };
        self.late_at.min(probe_at)
    }

    /// Sends again what is late or overtaken.
    pub(super) fn resend(&mut self, now: u64, rtt: &Rtt, head: Head, out: &mut Datagrams) -> Lost {
        let mut lost = Lost::default();
        if now < self.late_at && !self.overtaken {
            return lost;
        }
        (self.late_at, self.overtaken) = (NEVER, false);
        let enough = self.enough();
        for (i, push) in self.flight.iter_mut().enumerate().filter(|(_, push)| !push.acked) {
            let again = if push.is_overtaken(enough) {
                lost.overtaken += 1;
                push.fast_tries += 1;
                Some(rtt.timeout())
            } else if now >= push.late_at {
                lost.late += 1;
                Some(rtt.backed_off(push.timeout))
            } else {
                None
            };
            if let Some(timeout) = again {
                push.sent(now, timeout);
                let sn = self.una.wrapping_add(i as u32);
                out.segment(&Head { sn, ..head }, pieces(&self.bytes, push.from - self.base, push.len));
            }
            self.late_at = self.late_at.min(push.late_at);
        }
        lost
    }

    /// Sends for the first time what the windows allow.
    pub(super) fn advance(&mut self, now: u64, rtt: &Rtt, congestion: u32, head: Head, out: &mut Datagrams) {
        while self.has_unsent() && self.under_way() < self.allowed(congestion) {
            let mut push = self.next_push();
            push.sent(now, rtt.timeout());
            let sn = self.una.wrapping_add(self.under_way());
            out.segment(&Head { sn, ..head }, pieces(&self.bytes, push.from - self.base, push.len));
            self.unsent += push.len as u64;
            self.late_at = self.late_at.min(push.late_at);
            self.flight.push_back(push);
        }
    }

    fn next_push(&mut self) -> Push {
        let from = self.unsent;
        let mut end = (self.base + self.bytes.len() as u64).min(from + self.mss as u64);
        if let Some(&cut) = self.cuts.front()
            && cut <= end
        {
            end = cut;
            self.cuts.pop_front();
        }
        let len = (end - from) as usize;
        Push { from, len, acked: false, overtaken: 0, fast_tries: 0, ts: 0, timeout: 0, late_at: NEVER }
    }

    /// Asks for the window while it is closed and something waits, ever more seldom.
    pub(super) fn probe(&mut self, now: u64, head: Head, out: &mut Datagrams) {
        if self.peer_window != 0 || !self.has_unsent() {
            return;
        }
        if self.probe_at == NEVER {
            self.probe_wait = PROBE_FIRST;
        } else if now >= self.probe_at {
            out.segment(&Head { cmd: Cmd::Ask, ..head }, [&[], &[]]);
            self.probe_wait = (self.probe_wait * 3 / 2).min(PROBE_LONGEST);
        } else {
            return;
        }
        self.probe_at = now + self.probe_wait;
    }
}

impl Push {
    fn is_overtaken(&self, enough: u32) -> bool {
        enough != 0 && self.overtaken >= enough && self.fast_tries < FAST_TRIES
    }

    fn sent(&mut self, now: u64, timeout: u32) {
        (self.ts, self.timeout, self.overtaken) = (now as u32, timeout, 0);
        self.late_at = now + u64::from(timeout);
    }
}

/// `len` bytes from `from` on, which may lie around the end of the ring.
fn pieces(bytes: &VecDeque<u8>, from: u64, len: usize) -> [&[u8]; 2] {
    let (front, back) = bytes.as_slices();
    let from = from as usize;
    let to = from + len;
    let cut = |slice: &'_ [u8], from: usize, to: usize| from.min(slice.len())..to.min(slice.len());
    let (head, tail) =
        (cut(front, from, to), cut(back, from.saturating_sub(front.len()), to.saturating_sub(front.len())));
    [front.get(head).unwrap_or_default(), back.get(tail).unwrap_or_default()]
}
