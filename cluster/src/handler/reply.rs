//! Answers: what a handler returns, and answers that come later.

use std::{
    error::Error as StdError,
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use due_core::{Codec, CodecError, Kind};

use super::{
    args::NoBody,
    extract::{Extract, Needs},
    request::Request,
};
use crate::fault::Fault;

/// Writes a value with the codec of a route.
pub(crate) type Encode<T> = fn(&T, &mut Vec<u8>) -> Result<(), CodecError>;

pub(crate) fn encode<C: Codec<T>, T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    C::default().encode(value, out)
}

/// What a handler may return for an answer of type `T`.
#[diagnostic::on_unimplemented(
    message = "the handler must return the route's answer `{T}`, `Result<{T}, E>` or `Later<{T}>`",
    label = "`{Self}` is not an answer of this route",
    note = "`blocking` takes a plain fn, not an async one"
)]
pub trait IntoReply<T> {
    /// The answer, the promise of a later one, or the fault.
    fn into_reply(self) -> Result<Replied<T>, Fault>;
}

/// What came out of a handler that did not fail.
pub enum Replied<T> {
    /// The answer.
    Now(T),
    /// A [`Reply`] was handed away and answers later.
    Later(Later<T>),
}

impl<T> IntoReply<T> for T {
    fn into_reply(self) -> Result<Replied<T>, Fault> {
        Ok(Replied::Now(self))
    }
}

impl<T, E: Into<Fault>> IntoReply<T> for Result<T, E> {
    fn into_reply(self) -> Result<Replied<T>, Fault> {
        self.map(Replied::Now).map_err(Into::into)
    }
}

impl<T> IntoReply<T> for Later<T> {
    fn into_reply(self) -> Result<Replied<T>, Fault> {
        Ok(Replied::Later(self))
    }
}

impl<T, E: Into<Fault>> IntoReply<T> for Result<Later<T>, E> {
    fn into_reply(self) -> Result<Replied<T>, Fault> {
        self.map(Replied::Later).map_err(Into::into)
    }
}

/// The node's side of an answer that comes later.
///
/// It is answered at most once, and only after its handler ended with [`Answer::Later`](super::Answer::Later). The call
/// may come from any thread, also before the node has looked at that answer; it returns at once. An answer after the
/// deadline is the node's to drop. A promise dropped unanswered promised nothing.
pub trait Promise: Send + Sync + 'static {
    /// The encoded answer, or the fault.
    fn answer(&self, outcome: Result<Bytes, Fault>);
}

/// The right to answer a request after its handler returned: `let (reply, later) = reply.later();`, hand `reply` away,
/// return `later`. The next message of the session is handled meanwhile.
///
/// Dropped unanswered it answers with [`Unanswered`], an internal error. If the handler fails or is dropped at its
/// deadline instead of returning [`Later`], that is the answer and the reply leads nowhere.
pub struct Reply<T> {
    shared: Arc<Shared>,
    encode: Encode<T>,
    sent: bool,
}

impl<T> Reply<T> {
    /// The reply to hand away, and the proof of it to return.
    pub fn later(self) -> (Reply<T>, Later<T>) {
        let later = Later { shared: Arc::clone(&self.shared), types: std::marker::PhantomData };
        (self, later)
    }

    /// Answers. After the deadline, or when the client is gone, nothing happens.
    pub fn send(mut self, outcome: Result<T, Fault>) {
        self.sent = true;
        self.shared.settle(outcome.and_then(|value| to_bytes(&value, self.encode)));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if !self.sent {
            self.shared.settle(Err(Unanswered.into()));
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl<S, C: Codec<T>, T> Extract<S, C> for Reply<T> {
    type Body = NoBody;
    const NEEDS: Needs = Needs::REPLY;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        let promise = rq.late.promise().ok_or_else(|| Fault::of(Kind::Unsupported))?;
        Ok(Reply { shared: Arc::new(Shared::new(promise)), encode: encode::<C, T>, sent: false })
    }
}

/// The answer of a handler that handed its [`Reply`] away.
#[must_use = "a handler returns it"]
pub struct Later<T> {
    shared: Arc<Shared>,
    types: std::marker::PhantomData<fn() -> T>,
}

impl<T> Later<T> {
    pub(crate) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

/// A [`Reply`] was dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply was dropped unanswered")
    }
}

impl StdError for Unanswered {}

/// What a reply and the handler that handed it away have in common: who of both ends first is unknown, and only one
/// answer may leave.
pub(crate) struct Shared {
    state: Mutex<State>,
    promise: Arc<dyn Promise>,
}

enum State {
    /// The handler has not returned `Later` (yet): its own end is the answer.
    Handling,
    /// Answered before the handler ended.
    Early(Result<Bytes, Fault>),
    /// The handler has returned `Later`: the reply answers.
    Released,
    /// Nothing more leaves.
    Over,
}

impl Shared {
    pub(crate) fn new(promise: Arc<dyn Promise>) -> Self {
        Self { state: Mutex::new(State::Handling), promise }
    }

    fn settle(&self, outcome: Result<Bytes, Fault>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Handling => *state = State::Early(outcome),
            State::Released => {
                *state = State::Over;
                drop(state);
                self.promise.answer(outcome);
            }
            State::Early(_) | State::Over => {}
        }
    }

    /// The handler ended with `Later`: from now on the reply answers, unless it did already.
    pub(crate) fn release(&self) -> Option<Result<Bytes, Fault>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut *state, State::Released) {
            State::Early(outcome) => {
                *state = State::Over;
                Some(outcome)
            }
            State::Over => {
                *state = State::Over;
                None
            }
            State::Handling | State::Released => None,
        }
    }
}

/// A shared state behind another one: middleware around a handler holds the answer back until it ends itself.
impl Promise for Shared {
    fn answer(&self, outcome: Result<Bytes, Fault>) {
        self.settle(outcome);
    }
}

fn to_bytes<T>(value: &T, encode: Encode<T>) -> Result<Bytes, Fault> {
    let mut out = Vec::new();
    encode(value, &mut out).map_err(Fault::from)?;
    Ok(out.into())
}
