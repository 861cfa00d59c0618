//! All sessions of one socket, without the socket and without a clock.
//!
//! A session is found by the address of its peer; a datagram of another conversation is dropped, unless it begins a new
//! one. Whoever can receive at an address can open a session, and nobody can prove that before we answer (clients know
//! no cookie), so what is bounded is the number of sessions whose peer has not yet confirmed anything of ours: the oldest
//! of those makes room for the newest.

mod output;
mod session;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use super::{
    arq::{Arq, Tuning},
    datagrams::Datagrams,
    fec,
    segment::Datagram,
    settings::Settings,
    slots::{Key, Slots},
};
use session::{Ending, Session, State};

/// A conversation that has ended is not begun again by a late copy of its first datagram: the last ones are remembered
/// for so many ms.
const REMEMBER: u64 = 10_000;
const REMEMBERED: usize = 1024;

/// The sessions of one shard.
pub(crate) struct Endpoint {
    tuning: Tuning,
    largest: usize,
    max_sessions: usize,
    max_half_open: usize,
    sessions: Slots<Session>,
    by_peer: HashMap<SocketAddr, Key>,
    /// Sessions whose peer has not confirmed anything, oldest first.
    half_open: BTreeMap<u64, Key>,
    births: u64,
    arrived: VecDeque<Key>,
    /// Sessions to flush at the end of the turn.
    dirty: VecDeque<Key>,
    deadlines: BTreeSet<(u64, Key)>,
    ended: VecDeque<(u64, SocketAddr, u32)>,
    out: Datagrams,
    closed: bool,
    now: u64,
}

impl Endpoint {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            tuning: settings.tuning(),
            largest: settings.largest(),
            max_sessions: settings.max_sessions,
            max_half_open: settings.half_open,
            sessions: Slots::new(),
            by_peer: HashMap::new(),
            half_open: BTreeMap::new(),
            births: 0,
            arrived: VecDeque::new(),
            dirty: VecDeque::new(),
            deadlines: BTreeSet::new(),
            ended: VecDeque::new(),
            out: Datagrams::new(settings.mtu()),
            closed: false,
            now: 0,
        }
    }

    /// Takes what the socket received: `from` the peer, sent to our address `local`. What makes no sense leaves no trace
    /// and gets no answer.
    pub(crate) fn datagram(&mut self, now: u64, from: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        self.now = now;
        let Some(bytes) = fec::payload(bytes).filter(|bytes| bytes.len() <= self.largest) else { return };
        let Some(datagram) = Datagram::parse(bytes) else { return };
        match self.by_peer.get(&from).copied() {
            Some(key) if self.is_conv(key, datagram.conv()) => self.feed(key, &datagram),
            Some(key) if datagram.opens() && self.admits(from, datagram.conv()) => {
                self.end(key, Ending::Replaced);
                self.open(from, local, &datagram);
            }
            None if datagram.opens() && self.admits(from, datagram.conv()) => self.open(from, local, &datagram),
            _ => {}
        }
    }

    /// The next session for a connection to be made of.
    pub(crate) fn accept(&mut self) -> Option<(Key, SocketAddr)> {
        while let Some(key) = self.arrived.pop_front() {
            if let Some(session) = self.sessions.at(key) {
                session.accepted = true;
                return Some((key, session.peer));
            }
        }
        None
    }

    /// Sessions that live or whose connection has not noticed the end yet.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Takes no new sessions from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Nobody drives the socket any more: ends all sessions.
    pub(crate) fn shut(&mut self) {
        self.closed = true;
        for session in self.sessions.iter_mut() {
            session.end(Ending::Shut);
        }
        self.by_peer.clear();
        self.half_open.clear();
        self.arrived.clear();
        self.deadlines.clear();
    }

    fn is_conv(&mut self, key: Key, conv: u32) -> bool {
        self.sessions.at(key).and_then(Session::live).is_some_and(|arq| arq.conv() == conv)
    }

    fn admits(&mut self, from: SocketAddr, conv: u32) -> bool {
        while self.ended.front().is_some_and(|e| e.0 <= self.now) || self.ended.len() > REMEMBERED {
            self.ended.pop_front();
        }
        !self.closed && !self.ended.iter().any(|e| (e.1, e.2) == (from, conv))
    }

    fn open(&mut self, peer: SocketAddr, local: Option<IpAddr>, first: &Datagram<'_>) {
        while self.half_open.len() >= self.max_half_open
            && let Some((_, key)) = self.half_open.pop_first()
        {
            self.end(key, Ending::Crowded);
        }
        if self.sessions.len() >= self.max_sessions {
            return;
        }
        self.births += 1;
        let arq = Arq::new(first.conv(), &self.tuning, self.now);
        let key = self.sessions.insert(Session::new(peer, local, arq, self.births));
        self.by_peer.insert(peer, key);
        self.half_open.insert(self.births, key);
        self.arrived.push_back(key);
        self.feed(key, first);
    }

    fn feed(&mut self, key: Key, datagram: &Datagram<'_>) {
        let Some(session) = self.sessions.at(key) else { return };
        let State::Live(arq) = &mut session.state else { return };
        arq.input(self.now, datagram);
        if arq.readable() {
            session.reader.wake();
        }
        if arq.idle() || arq.roomy() {
            session.writer.wake();
        }
        if arq.proven()
            && let Some(birth) = session.birth.take()
        {
            self.half_open.remove(&birth);
        }
        self.schedule(key);
    }

    /// Ends a session from our side of the socket: its connection finds out, or never comes to be.
    fn end(&mut self, key: Key, why: Ending) {
        let Some(session) = self.sessions.at(key) else { return };
        let accepted = session.accepted;
        session.end(why);
        self.forget(key, why == Ending::Replaced);
        if !accepted {
            self.sessions.remove(key);
        }
    }

    /// Takes a session out of all indexes; `late` says whether copies of its first datagram are to be ignored.
    fn forget(&mut self, key: Key, late: bool) {
        let Some(session) = self.sessions.at(key) else { return };
        if let Some(birth) = session.birth.take() {
            self.half_open.remove(&birth);
        }
        if let Some(at) = session.armed.take() {
            self.deadlines.remove(&(at, key));
        }
        if self.by_peer.get(&session.peer) == Some(&key) {
            self.by_peer.remove(&session.peer);
            if late {
                self.ended.push_back((self.now + REMEMBER, session.peer, session.conv));
            }
        }
    }
}
