//! What becomes of requests and connections.

use std::{fmt, future::Future, marker::PhantomData, pin::Pin, task::Context, task::Poll, time::Duration};

use due_core::Codec;
use tokio::sync::oneshot;

use super::LIMIT;

/// What a request ends with, as raw body.
pub(super) type Outcome = Result<Vec<u8>, CallError>;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The server refused or failed it: code and text.
    Refused(u32, String),
    /// Nothing came in time.
    Timeout,
    /// The connection is over.
    Closed(Ended),
    /// A value could not be encoded or an answer not decoded.
    Codec(String),
}

impl CallError {
    /// The code of a refusal.
    pub fn code(&self) -> Option<u32> {
        match self {
            CallError::Refused(code, _) => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused(code, text) => write!(f, "refused: {text} ({code})"),
            CallError::Timeout => f.write_str("no answer in time"),
            CallError::Closed(ended) => write!(f, "the connection is over: {ended:?}"),
            CallError::Codec(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CallError {}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server said why: code and text.
    Kicked(u32, String),
    /// The server goes away: the code why, and how long to stay off.
    GoneAway(u32, Duration),
    /// It ended without a word.
    Closed,
    /// What came was not the protocol, or the connection failed.
    Broke(String),
}

/// An answer to come: a future that waits at most 60 s.
#[derive(Debug)]
pub struct Answer<P, C> {
    outcome: oneshot::Receiver<Outcome>,
    limit: Option<Pin<Box<tokio::time::Sleep>>>,
    types: PhantomData<fn() -> (P, C)>,
}

impl<P, C: Codec<P>> Answer<P, C> {
    pub(super) fn new(outcome: oneshot::Receiver<Outcome>) -> Self {
        Self { outcome, limit: None, types: PhantomData }
    }

    /// Waits, at most so long.
    pub async fn await_within(mut self, limit: Duration) -> Result<P, CallError> {
        self.limit = Some(Box::pin(tokio::time::sleep(limit)));
        self.await
    }

    /// Has it come, or is it sure that it will not?
    pub fn is_here(&self) -> bool {
        !self.outcome.is_empty() || self.outcome.is_terminated()
    }
}

impl<P, C: Codec<P>> Future for Answer<P, C> {
    type Output = Result<P, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(outcome) = Pin::new(&mut self.outcome).poll(cx) {
            let body = outcome.unwrap_or(Err(CallError::Closed(Ended::Closed)));
            return Poll::Ready(body.and_then(|body| super::decode::<P, C>(&body)));
        }
        let limit = self.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep(LIMIT)));
        limit.as_mut().poll(cx).map(|()| Err(CallError::Timeout))
    }
}
