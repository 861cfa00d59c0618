//! What a connection does with its session.

use std::task::{Poll, Waker};

use due_core::{Result, net::Segments};

use super::{Ending, Endpoint, State, session::Parts};
use crate::kcp::slots::Key;

impl Endpoint {
    /// Copies what came in order into `into` and says how much, and whether there is more. An error is final.
    pub(crate) fn read(&mut self, key: Key, into: &mut [u8], waker: &Waker) -> Poll<Result<(usize, bool)>> {
        let Parts { arq, reader, .. } = match self.parts(key) {
            Ok(parts) => parts,
            Err(e) => return Poll::Ready(Err(e)),
        };
        if !arq.readable() {
            reader.set(waker);
            return Poll::Pending;
        }
        let read = arq.read(into);
        let more = arq.readable();
        self.schedule(key);
        Poll::Ready(Ok((read, more)))
    }

    /// Moves bytes from the front of `out` into the queue of the session; ready when all are moved.
    pub(crate) fn write(&mut self, key: Key, out: &mut Segments, waker: &Waker) -> Poll<Result<()>> {
        let now = self.now;
        let Parts { arq, writer, .. } = match self.parts(key) {
            Ok(parts) => parts,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let full = !arq.write_all(now, out);
        if full {
            writer.set(waker);
        }
        self.schedule(key);
        if full { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Bytes that the peer has acknowledged.
    pub(crate) fn taken(&mut self, key: Key) -> u64 {
        match self.sessions.at(key).map(|session| &session.state) {
            Some(State::Live(arq)) => arq.taken(),
            Some(State::Gone { taken, .. }) => *taken,
            None => 0,
        }
    }

    /// Drops what comes; ready when the peer has acknowledged all, or never will.
    pub(crate) fn drain(&mut self, key: Key, waker: &Waker) -> Poll<()> {
        let Ok(Parts { arq, reader, writer }) = self.parts(key) else { return Poll::Ready(()) };
        arq.discard();
        if arq.idle() {
            return Poll::Ready(());
        }
        writer.set(waker);
        reader.set(waker);
        self.schedule(key);
        Poll::Pending
    }

    /// The connection is dropped.
    pub(crate) fn leave(&mut self, key: Key) {
        self.forget(key, true);
        self.sessions.remove(key);
    }

    fn parts(&mut self, key: Key) -> Result<Parts<'_>> {
        self.sessions.at(key).ok_or_else(|| Ending::Shut.error())?.parts()
    }
}
