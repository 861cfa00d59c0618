//! One session of an endpoint.

use std::{
    net::{IpAddr, SocketAddr},
    task::Waker,
};

use due_core::{Error, Kind, Result};

use crate::kcp::arq::Arq;

/// Why a session ended before its connection was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer began another conversation from the same address.
    Replaced,
    /// Too many sessions were not confirmed yet, and this was the oldest of them.
    Crowded,
    /// The peer stopped to answer.
    Silent,
    /// The listener is gone.
    Shut,
}

impl Ending {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Replaced => Error::new(Kind::Gone, "the client began a new session from the same address"),
            Self::Crowded => Error::new(Kind::Overloaded, "too many sessions whose client confirms nothing"),
            Self::Silent => Error::new(Kind::Gone, "the client stopped to answer"),
            Self::Shut => Error::new(Kind::Gone, "the listener of the session is gone"),
        }
    }
}

pub(super) enum State {
    Live(Box<Arq>),
    Gone { why: Ending, taken: u64 },
}

/// Who waits for something, if anybody.
#[derive(Default)]
pub(super) struct Waiting(Option<Waker>);

impl Waiting {
    pub(super) fn set(&mut self, waker: &Waker) {
        match &mut self.0 {
            Some(old) => old.clone_from(waker),
            None => self.0 = Some(waker.clone()),
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

pub(super) struct Session {
    pub(super) peer: SocketAddr,
    /// Our address that the peer sent to, where the socket is bound to many.
    pub(super) local: Option<IpAddr>,
    pub(super) conv: u32,
    pub(super) state: State,
    /// Its place in the order of half-open sessions, while it is one.
    pub(super) birth: Option<u64>,
    pub(super) accepted: bool,
    /// Does it stand in the list of sessions to flush?
    pub(super) dirty: bool,
    /// Its deadline, if one is set.
    pub(super) armed: Option<u64>,
    pub(super) reader: Waiting,
    pub(super) writer: Waiting,
}

/// A live session taken apart, to be used side by side.
pub(super) struct Parts<'a> {
    pub(super) arq: &'a mut Arq,
    pub(super) reader: &'a mut Waiting,
    pub(super) writer: &'a mut Waiting,
}

impl Session {
    pub(super) fn new(peer: SocketAddr, local: Option<IpAddr>, arq: Arq, birth: u64) -> Self {
        Self {
            peer,
            local,
            conv: arq.conv(),
            state: State::Live(Box::new(arq)),
            birth: Some(birth),
            accepted: false,
            dirty: false,
            armed: None,
            reader: Waiting::default(),
            writer: Waiting::default(),
        }
    }

    pub(super) fn live(&mut self) -> Option<&mut Arq> {
        match &mut self.state {
            State::Live(arq) => Some(arq),
            State::Gone { .. } => None,
        }
    }

    /// Its parts while it lives; then why it ended.
    pub(super) fn parts(&mut self) -> Result<Parts<'_>> {
        match &mut self.state {
            State::Live(arq) => Ok(Parts { arq, reader: &mut self.reader, writer: &mut self.writer }),
            State::Gone { why, .. } => Err(why.error()),
        }
    }

    /// Frees what the conversation held and tells whoever waits.
    pub(super) fn end(&mut self, why: Ending) {
        if let State::Live(arq) = &self.state {
            self.state = State::Gone { why, taken: arq.taken() };
        }
        self.reader.wake();
        self.writer.wake();
    }
}
