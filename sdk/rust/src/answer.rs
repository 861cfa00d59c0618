//! The answer of a call as a future.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use due_core::{Codec, RouteId};
use tokio::sync::oneshot;

use crate::{
    CallError, Closed,
    sealed::{Seal, decoded},
};

/// What becomes of a call.
pub(crate) type Outcome = Result<Bytes, CallError>;

/// The answer of a call that is on its way: the request was queued when this was made, so calls and notifies go out in
/// the order they were made, awaited or not.
///
/// Dropping it does not take the request back; its answer is then dropped. Borrows nothing.
#[must_use = "await it for the answer"]
pub struct Answer<P, C> {
    state: State,
    route: RouteId,
    seal: Seal,
    types: PhantomData<fn() -> (P, C)>,
}

enum State {
    Failed(Option<CallError>),
    Waiting(oneshot::Receiver<Outcome>),
}

impl<P, C> Answer<P, C> {
    pub(crate) fn new(sent: Result<oneshot::Receiver<Outcome>, CallError>, route: RouteId, seal: Seal) -> Self {
        let state = match sent {
            Ok(receiver) => State::Waiting(receiver),
            Err(e) => State::Failed(Some(e)),
        };
        Self { state, route, seal, types: PhantomData }
    }
}

impl<P, C: Codec<P>> Future for Answer<P, C> {
    type Output = Result<P, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let lost = || CallError::Gone { reason: Closed::Local, sent: true };
        let outcome = match &mut self.state {
            State::Failed(e) => Err(e.take().unwrap_or_else(lost)),
            State::Waiting(receiver) => ready!(Pin::new(receiver).poll(cx)).unwrap_or_else(|_| Err(lost())),
        };
        Poll::Ready(outcome.and_then(|body| Ok(decoded::<P, C>(&self.seal, self.route, &body)?)))
    }
}
