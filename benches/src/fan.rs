//! A load of pushes: one connection orders ticks, every member of the rooms gets its messages.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    dialect::{Dialect, Piece},
    histogram::Histogram,
    load::{Drive, MAX_CONNECTIONS, Outcome, Patience, TICK, dial},
    room::{self, MAX_ROOMS, MIN_SIZE, PUSH, Pushed, Tick},
    socket::{Poller, SCRATCH, Socket},
};

/// Ticks that may be open at once when a clock orders them.
const MAX_OPEN: usize = 64;
/// Ticks in flight when none waits for a clock: while the members read one, the server sends the next.
const IN_FLIGHT: usize = 2;

/// Ticks that one load may order: the next one counts on from there.
const TICKS: u32 = 1 << 20;
static LOADS: AtomicU32 = AtomicU32::new(0);

/// The shape of the load.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Crowd {
    /// Members that read.
    pub(crate) members: usize,
    /// Members that never do, beside them.
    pub(crate) stalled: usize,
    /// Rooms; members are dealt to them in turns.
    pub(crate) rooms: u32,
    /// Messages of a tick to each member.
    pub(crate) count: u32,
    /// Bytes of each body.
    pub(crate) size: u32,
    /// Ticks a second; `None`: as many as the members can take.
    pub(crate) rate: Option<f64>,
}

impl Crowd {
    fn check(&self) -> Fallible<()> {
        let fits = (1..MAX_CONNECTIONS + 1).contains(&self.members)
            && self.stalled <= self.members
            && (1..=MAX_ROOMS).contains(&self.rooms)
            && self.rooms as usize <= self.members
            && (1..=1024).contains(&self.count)
            && (MIN_SIZE..=32 * 1024).contains(&(self.size as usize))
            && self.rate.is_none_or(|rate| (0.1..=1000.0).contains(&rate));
        if fits { Ok(()) } else { Err(format!("out of range: {self:?}").into()) }
    }
}

/// Members and the one who orders.
pub(crate) struct Fan {
    crowd: Crowd,
    dialect: Dialect,
    poller: Poller,
    start: Instant,
    scratch: Vec<u8>,
    members: Vec<Socket>,
    /// Held, never read.
    _stalled: Vec<TcpStream>,
    orders: TcpStream,
    /// The number of the first tick and of the next one.
    begun: u32,
    next: u32,
    /// Ticks that not everybody has got, oldest first, with the deliveries that are missing.
    open: VecDeque<u64>,
    /// When a clock ordered the first tick.
    began: Option<u64>,
}

impl Fan {
    /// Connects all and lets them join their rooms.
    pub(crate) fn connect(to: SocketAddr, dialect: Dialect, crowd: Crowd) -> Fallible<Self> {
        crowd.check()?;
        let poller = Poller::new()?;
        let mut members = Vec::with_capacity(crowd.members);
        for i in 0..crowd.members {
            let (stream, early) = member(to, dialect, i as u32 % crowd.rooms)?;
            let mut member = Socket::new(&poller, stream, i as u64)?;
            member.keep(&early);
            members.push(member);
        }
        let stalled = (0..crowd.stalled as u32).map(|i| Ok(member(to, dialect, i % crowd.rooms)?.0));
        let stalled = stalled.collect::<Fallible<Vec<_>>>()?;
        let mut orders = dial(to)?;
        dialect.greet(&mut orders)?;
        orders.set_nodelay(true)?;
        let begun = LOADS.fetch_add(1, Ordering::Relaxed).wrapping_mul(TICKS);
        Ok(Self {
            crowd,
            dialect,
            poller,
            start: Instant::now(),
            scratch: vec![0; SCRATCH],
            members,
            _stalled: stalled,
            orders,
            begun,
            next: begun,
            open: VecDeque::new(),
            began: None,
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Orders the ticks that are due.
    fn order(&mut self) -> Fallible<()> {
        let Some(rate) = self.crowd.rate else {
            while self.open.len() < IN_FLIGHT {
                self.order_one(self.now())?;
            }
            return Ok(());
        };
        let now = self.now();
        let began = *self.began.get_or_insert(now);
        loop {
            let due = began + (f64::from(self.next - self.begun) * 1e9 / rate) as u64;
            // What is not ordered in time is late: its latency counts from when it was due.
            if due > now || self.open.len() >= MAX_OPEN {
                return Ok(());
            }
            self.order_one(due)?;
        }
    }

    fn order_one(&mut self, stamp: u64) -> Fallible<()> {
        let Crowd { rooms, count, size, members, .. } = self.crowd;
        let tick = Tick { rooms, count, size, stamp, number: self.next };
        let mut out = Vec::new();
        self.dialect.put_on(room::TICK, u64::from(self.next), &tick.body(), &mut out);
        self.orders.write_all(&out)?;
        self.next += 1;
        self.open.push_back(members as u64 * u64::from(count));
        Ok(())
    }

    /// Until a clock orders the next tick.
    fn wait(&self) -> Duration {
        let Some(rate) = self.crowd.rate else { return TICK };
        let due = self.began.unwrap_or_default() + (f64::from(self.next - self.begun) * 1e9 / rate) as u64;
        Duration::from_nanos(due.saturating_sub(self.now())).min(TICK)
    }

    /// A member's socket is ready: reads once and counts what came.
    fn take(&mut self, i: usize, latency: &mut Histogram) -> Fallible<()> {
        let now = self.now();
        let Some(member) = self.members.get_mut(i) else { return Ok(()) };
        let Some(n) = member.read(&mut self.scratch)? else { return Ok(()) };
        let mut bytes = self.scratch.get(..n).unwrap_or_default();
        let first = self.next - self.open.len() as u32;
        loop {
            let taken = match self.dialect.cut(bytes)? {
                Piece::Part => break,
                Piece::Other(len) => len,
                Piece::Reply(reply) => {
                    let pushed = Pushed::read(reply.body).filter(|_| reply.route == PUSH);
                    let pushed = pushed.filter(|_| reply.body.len() == self.crowd.size as usize);
                    let pushed = pushed.ok_or_else(|| format!("member {i} got what is no push"))?;
                    if pushed.number / TICKS != self.begun / TICKS {
                        // Of a load before this one: the server was still at its last tick.
                        bytes = bytes.get(reply.len..).unwrap_or_default();
                        continue;
                    }
                    let at = pushed.number.wrapping_sub(first) as usize;
                    let missing = self.open.get_mut(at).filter(|missing| **missing > 0);
                    *missing.ok_or_else(|| format!("member {i} got a message of tick {} twice", pushed.number))? -= 1;
                    latency.record(now.saturating_sub(pushed.stamp));
                    reply.len
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        member.keep(bytes);
        while self.open.front() == Some(&0) {
            self.open.pop_front();
        }
        Ok(())
    }
}

/// A connection that has joined a room, and what came behind the answer: the server may still be at a tick of the load
/// before.
fn member(to: SocketAddr, dialect: Dialect, room: u32) -> Fallible<(TcpStream, Vec<u8>)> {
    let mut stream = dial(to)?;
    dialect.greet(&mut stream)?;
    let (mut out, mut scratch, mut read) = (Vec::new(), [0; 256], Vec::new());
    dialect.put_on(room::JOIN, 0, &room.to_be_bytes(), &mut out);
    stream.write_all(&out)?;
    loop {
        match dialect.cut(&read)? {
            Piece::Reply(reply) if reply.route == PUSH => {
                let len = reply.len;
                read.drain(..len);
            }
            Piece::Reply(reply) if reply.body == room.to_be_bytes() => {
                let len = reply.len;
                return Ok((stream, read.split_off(len)));
            }
            Piece::Reply(_) => return Err(format!("room {room} cannot be joined").into()),
            Piece::Other(len) => drop(read.drain(..len)),
            Piece::Part => match stream.read(&mut scratch)? {
                0 => return Err("the server closed a member's connection".into()),
                n => read.extend_from_slice(scratch.get(..n).unwrap_or_default()),
            },
        }
    }
}

impl Drive for Fan {
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let begin = Instant::now();
        let mut outcome = Outcome { elapsed: time, latency: Histogram::new() };
        let mut patience = Patience::new(begin);
        loop {
            self.order()?;
            let count = self.poller.wait(Some(self.wait()))?;
            let before = outcome.latency.total();
            for i in 0..count {
                let Some(ready) = self.poller.ready(i) else { continue };
                self.take(ready.token as usize, &mut outcome.latency)?;
            }
            let missing = || self.open.iter().sum::<u64>();
            let came = outcome.latency.total() > before;
            let now = patience.look(came).map_err(|e| format!("{e}: {} pushes are missing", missing()))?;
            if now - begin >= time {
                outcome.elapsed = now - begin;
                return Ok(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::tests::reference;

    const CROWD: Crowd = Crowd { members: 12, stalled: 0, rooms: 3, count: 4, size: 128, rate: None };

    fn check(crowd: Crowd) {
        let mut fan = Fan::connect(reference(), Dialect::Due, crowd).expect("joined");
        let mut deliveries = 0;
        while deliveries < 2_000 {
            deliveries += fan.drive(Duration::from_millis(20)).expect("every push once").latency.total();
        }
    }

    #[test]
    fn every_member_gets_every_message_once() {
        check(CROWD);
        check(Crowd { rooms: 1, stalled: 2, ..CROWD });
        check(Crowd { rate: Some(1000.0), ..CROWD });
    }

    #[test]
    fn crowds_out_of_range_are_refused() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        for crowd in [
            Crowd { members: 0, ..CROWD },
            Crowd { rooms: 13, ..CROWD },
            Crowd { size: 4, ..CROWD },
            Crowd { rate: Some(0.0), ..CROWD },
        ] {
            let error = Fan::connect(nobody, Dialect::Due, crowd).err().expect("an error").to_string();
            assert!(error.starts_with("out of range"), "{error}");
        }
    }
}
