//! A load generator in an open loop: frames go out by a clock, whether the server answers or not, and latency counts from
//! the time a frame should have gone out.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    client::{Client, Wire},
    histogram::Histogram,
    load::{Drive, Outcome, Patience, Shape, TICK, connect},
};

/// Frames that may be late at once; a server that is so far behind does not carry the rate.
const MAX_LATE: usize = 200_000;
/// Waits shorter than this are spent looking: a sleep takes longer.
const SPIN: u64 = 60_000;

/// Connections that send by a clock, evenly spread.
pub(crate) struct OpenLoad {
    clients: Vec<Client>,
    wire: Wire,
    /// Nanoseconds between frames of all connections together.
    gap: f64,
    /// Frames scheduled since the start.
    next: u64,
    start: Option<u64>,
    /// Frames whose connection has no room, by connection, with the time they were due.
    late: VecDeque<(usize, u64)>,
}

impl OpenLoad {
    /// Connects all clients of `shape`, whose window bounds the frames in flight on each, for `rate` frames a second of
    /// all together.
    pub(crate) fn connect(to: SocketAddr, shape: Shape, rate: f64) -> Fallible<Self> {
        if !(1.0..=1e7).contains(&rate) {
            return Err(format!("a rate of {rate}: want 1 to 10,000,000 messages a second").into());
        }
        let (clients, wire) = connect(to, shape)?;
        Ok(Self { clients, wire, gap: 1e9 / rate, next: 0, start: None, late: VecDeque::new() })
    }

    /// When the next frame is due.
    fn due(&self) -> u64 {
        self.start.unwrap_or_default() + (self.next as f64 * self.gap) as u64
    }

    /// Sends what is due.
    fn send(&mut self, now: u64) -> Fallible<()> {
        for _ in 0..self.late.len() {
            let Some((at, due)) = self.late.pop_front() else { break };
            self.offer(at, due)?;
        }
        while self.due() <= now {
            let (at, due) = (self.next as usize % self.clients.len(), self.due());
            self.next += 1;
            self.offer(at, due)?;
        }
        Ok(())
    }

    fn offer(&mut self, at: usize, due: u64) -> Fallible<()> {
        match self.clients.get_mut(at) {
            Some(client) if client.room() > 0 => Ok(client.send_one(due, &mut self.wire)?),
            _ if self.late.len() >= MAX_LATE => {
                Err(format!("the server does not carry the rate: {MAX_LATE} frames are late").into())
            }
            _ => {
                self.late.push_back((at, due));
                Ok(())
            }
        }
    }

    /// Until the next frame is due; nothing when that is too near to sleep.
    fn wait(&self) -> Duration {
        let left = self.due().saturating_sub(self.wire.now());
        if left < SPIN { Duration::ZERO } else { Duration::from_nanos(left - SPIN / 2).min(TICK) }
    }
}

impl Drive for OpenLoad {
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let begin = Instant::now();
        let mut outcome = Outcome { elapsed: time, latency: Histogram::new() };
        let now = self.wire.now();
        self.start.get_or_insert(now);
        let mut patience = Patience::new(begin);
        loop {
            self.send(self.wire.now())?;
            let count = self.wire.poller.wait(Some(self.wait()))?;
            let before = outcome.latency.total();
            for i in 0..count {
                let Some(ready) = self.wire.poller.ready(i) else { continue };
                if let Some(client) = self.clients.get_mut(ready.token as usize) {
                    client.take(ready.writable, &mut self.wire, &mut outcome.latency)?;
                }
            }
            let now = patience.look(outcome.latency.total() > before)?;
            if now - begin >= time {
                outcome.elapsed = now - begin;
                return Ok(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{
        dialect::Dialect,
        load::{Content, STALL},
        reference::tests::reference,
    };

    const SHAPE: Shape = Shape {
        connections: 5,
        window: 8,
        body: 128,
        coalescing: true,
        dialect: Dialect::Due,
        content: Content::Marked,
    };

    #[test]
    fn no_more_is_sent_than_the_clock_allows() {
        let mut load = OpenLoad::connect(reference(), SHAPE, 1000.0).expect("connected");
        let mut replies = 0;
        let begin = Instant::now();
        while replies < 50 {
            replies += load.drive(Duration::from_millis(20)).expect("replies").latency.total();
        }
        assert!(replies <= begin.elapsed().as_millis() as u64 + 1, "{replies} in {:?}", begin.elapsed());
    }

    #[test]
    fn a_server_that_is_too_slow_is_told_apart_from_a_fast_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut load = OpenLoad::connect(address, SHAPE, 1e7).expect("connected");
        let error = load.drive(STALL).err().expect("an error").to_string();
        assert!(error.contains("does not carry the rate"), "{error}");
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(OpenLoad::connect(nobody, SHAPE, 0.0).is_err());
        assert!(OpenLoad::connect(nobody, SHAPE, f64::NAN).is_err());
    }
}
