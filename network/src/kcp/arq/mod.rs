//! Reliable delivery over datagrams: the state machine of one conversation, without sockets and without a clock.
//!
//! Time comes in as milliseconds since any fixed moment. The owner feeds datagrams in ([`Arq::input`]), moves bytes
//! ([`Arq::write`], [`Arq::read`]), and calls [`Arq::flush`] whenever [`Arq::due`] has come.

mod congestion;
mod receive;
mod rtt;
mod send;
#[cfg(test)]
mod tests;

use due_core::net::Segments;

use super::{
    datagrams::Datagrams,
    segment::{Cmd, Datagram, Head},
};
use congestion::Congestion;
use receive::Receiver;
use rtt::Rtt;
use send::Sender;

/// A peer that sends nothing for so many ms while it owes us something is gone.
const QUIET: u64 = 60_000;

/// So many pushes in order are taken for proof that the peer reads our answers: nobody's default window is larger.
const BEYOND_A_WINDOW: u32 = 256;

/// The part of the settings that a conversation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// Short timeouts: at least 30 ms instead of 100, growing by half instead of doubling.
    pub(crate) nodelay: bool,
    /// Most ms that an acknowledgement waits.
    pub(crate) interval: u32,
    /// A push that so many later ones overtook is sent again at once; 0 is never.
    pub(crate) resend: u32,
    /// Slow start and congestion avoidance.
    pub(crate) congestion: bool,
    /// Most bytes of data in a push.
    pub(crate) mss: usize,
    /// Most pushes under way.
    pub(crate) send_window: u32,
    /// Most pushes that wait to be read.
    pub(crate) receive_window: u32,
    /// Acknowledge at the next flush, always.
    pub(crate) ack_nodelay: bool,
    /// Let writes share a push.
    pub(crate) stream: bool,
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Arq {
    conv: u32,
    send: Sender,
    receive: Receiver,
    rtt: Rtt,
    congestion: Congestion,
    /// When the peer was last heard, or began to owe us something.
    heard: u64,
    /// Has anything come from the peer?
    answered: bool,
}

impl Arq {
    /// A conversation of which nothing was sent yet.
    pub(crate) fn new(conv: u32, tuning: &Tuning, now: u64) -> Self {
        Self {
            conv,
            send: Sender::new(tuning),
            receive: Receiver::new(tuning),
            rtt: Rtt::new(tuning),
            congestion: Congestion::new(tuning),
            heard: now,
            answered: false,
        }
    }

    /// The number that both sides put on each segment.
    pub(crate) fn conv(&self) -> u32 {
        self.conv
    }

    /// Takes a datagram; one of another conversation is ignored.
    pub(crate) fn input(&mut self, now: u64, datagram: &Datagram<'_>) {
        if datagram.conv() != self.conv {
            return;
        }
        (self.heard, self.answered) = (now, true);
        let before = self.send.una();
        let mut echo = None;
        for segment in datagram.segments() {
            let Head { cmd, wnd, ts, sn, una, .. } = segment.head;
            self.send.window_told(wnd);
            self.send.acked_below(una);
            match cmd {
                Cmd::Push => self.receive.push(now, sn, ts, segment.data),
                Cmd::Ack => {
                    self.send.acked(sn, ts);
                    echo = Some(ts);
                }
                Cmd::Ask => self.receive.asked(),
                Cmd::Tell => {}
            }
        }
        if let Some(ts) = echo {
            self.rtt.echoed(now as u32, ts);
        }
        if self.send.una() != before {
            self.congestion.acked(self.send.peer_window());
        }
    }

    /// Copies bytes that came in order into `into`; 0 when there are none.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        self.receive.read(into)
    }

    /// Drops all that came in order.
    pub(crate) fn discard(&mut self) {
        self.receive.discard();
    }

    /// Are there bytes to read?
    pub(crate) fn readable(&self) -> bool {
        self.receive.readable()
    }

    /// Queues as much from the front of `out` as there is room for; true when that was all. Without `stream` the next
    /// write then begins a new push.
    pub(crate) fn write_all(&mut self, now: u64, out: &mut Segments) -> bool {
        while !out.is_empty() {
            let taken = self.write(now, out.first());
            if taken == 0 {
                return false;
            }
            out.advance(taken);
        }
        self.send.cut();
        true
    }

    fn write(&mut self, now: u64, bytes: &[u8]) -> usize {
        if self.send.idle() {
            self.heard = now;
        }
        self.send.write(bytes)
    }

    /// Is it worth to write again after the queue was full?
    pub(crate) fn roomy(&self) -> bool {
        self.send.roomy()
    }

    /// Is all that was written acknowledged?
    pub(crate) fn idle(&self) -> bool {
        self.send.idle()
    }

    /// Bytes acknowledged since the beginning.
    pub(crate) fn taken(&self) -> u64 {
        self.send.taken()
    }

    /// Has anything come from the peer?
    pub(crate) fn answered(&self) -> bool {
        self.answered
    }

    /// Has the peer shown that our datagrams reach it, so that its address is no invention?
    pub(crate) fn proven(&self) -> bool {
        self.send.una() != 0 || self.receive.next() >= BEYOND_A_WINDOW
    }

    /// Has the peer been silent for too long while it owes us an acknowledgement?
    pub(crate) fn lost(&self, now: u64) -> bool {
        !self.send.idle() && now.saturating_sub(self.heard) >= QUIET
    }

    /// When to flush: a moment that has passed is now. `None` while there is nothing to send or to wait for.
    pub(crate) fn due(&self) -> Option<u64> {
        let due = self.receive.due().min(self.send.due(&self.congestion));
        (due != NEVER).then_some(due)
    }

    /// Writes what is to be sent now: pushes again, new pushes, acknowledgements, window messages. The last datagram is
    /// complete afterwards.
    pub(crate) fn flush(&mut self, now: u64, out: &mut Datagrams) {
        let head = Head {
            conv: self.conv,
            cmd: Cmd::Push,
            wnd: self.receive.window(),
            ts: now as u32,
            sn: 0,
            una: self.receive.next(),
        };
        let lost = self.send.resend(now, &self.rtt, head, out);
        self.congestion.lost(lost, self.send.under_way());
        self.send.advance(now, &self.rtt, self.congestion.window(), head, out);
        self.send.probe(now, head, out);
        self.receive.flush(now, head, out);
        out.seal();
    }
}

/// No moment.
const NEVER: u64 = u64::MAX;

/// Does `a` come before `b` in numbers that wrap around?
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
