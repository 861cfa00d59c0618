//! When sessions are flushed, and where to.

use std::{
    mem,
    net::{IpAddr, SocketAddr},
};

use super::{Ending, Endpoint, Session, State};
use crate::kcp::{datagrams::Datagrams, slots::Key};

impl Endpoint {
    /// The moment of the next [`Endpoint::expire`]; one that has passed is now.
    pub(crate) fn timer(&self) -> Option<u64> {
        self.deadlines.first().map(|first| first.0)
    }

    /// Puts the sessions whose time has come on the list for the next flush.
    pub(crate) fn expire(&mut self, now: u64) {
        self.now = now;
        while let Some(&(at, key)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            if let Some(session) = self.sessions.at(key) {
                session.armed = None;
            }
            self.touch(key);
        }
    }

    /// Is there anything to flush?
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Flushes all sessions on the list. `send` gets the datagrams to one peer, and our address to send them from; it
    /// keeps what the socket does not take and says false: the other sessions then wait for the next flush.
    pub(crate) fn flush(&mut self, now: u64, mut send: impl FnMut(SocketAddr, Option<IpAddr>, &Datagrams) -> bool) {
        self.now = now;
        let mut out = mem::replace(&mut self.out, Datagrams::new(0));
        for _ in 0..self.dirty.len() {
            let Some(key) = self.dirty.pop_front() else { break };
            if !self.flush_one(key, &mut out, &mut send) {
                break;
            }
        }
        self.out = out;
    }

    fn flush_one(
        &mut self,
        key: Key,
        out: &mut Datagrams,
        send: &mut impl FnMut(SocketAddr, Option<IpAddr>, &Datagrams) -> bool,
    ) -> bool {
        let Some(session) = self.sessions.at(key) else { return true };
        session.dirty = false;
        let State::Live(arq) = &mut session.state else { return true };
        if arq.lost(self.now) {
            self.end(key, Ending::Silent);
            return true;
        }
        out.clear();
        arq.flush(self.now, out);
        let open = out.is_empty() || send(session.peer, session.local, out);
        self.schedule(key);
        open
    }

    /// Sets the deadline of a session, if it is earlier than the one that is set: a late one is corrected when the
    /// early one comes.
    pub(super) fn schedule(&mut self, key: Key) {
        let Some(session) = self.sessions.at(key) else { return };
        let Some(due) = session.live().and_then(|arq| arq.due()) else { return };
        if due <= self.now {
            return self.touch(key);
        }
        if session.armed.is_none_or(|armed| due < armed) {
            if let Some(old) = session.armed.replace(due) {
                self.deadlines.remove(&(old, key));
            }
            self.deadlines.insert((due, key));
        }
    }

    /// Puts a session on the list for the next flush.
    pub(super) fn touch(&mut self, key: Key) {
        if let Some(session) = self.sessions.at(key).filter(|session: &&mut Session| !session.dirty) {
            session.dirty = true;
            self.dirty.push_back(key);
        }
    }
}
