//! From what a handler function returns to an answer: plain values, futures, blocking jobs.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    erased::{Answer, Running, Start},
    reply::{Encode, IntoReply, Replied},
};
use crate::fault::Fault;

/// Marks an async handler.
pub struct Async;
/// Marks a plain handler.
pub struct Plain;
/// Marks a handler wrapped by [`blocking`](super::blocking).
pub struct Blocks;

/// What a handler function may return on a route that answers `T`: an answer ([`IntoReply`]), or a `Send` future of one.
/// `K` tells them apart.
#[diagnostic::on_unimplemented(
    message = "the handler does not return the route's answer `{T}`",
    label = "for this route",
    note = "return `{T}`, `Result<{T}, E>` with an `E` that turns into a Fault, or `Later<{T}>`, from a plain fn or from an async fn whose future is Send (no std MutexGuard or Rc across an await)"
)]
pub trait Respond<K, T>: Sized {
    /// What a route keeps per shard to run this without allocating.
    type Spare: Default + Send + 'static;

    /// Runs as far as it goes without waiting.
    fn respond(self, spare: &mut Self::Spare, end: Ending<T>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start;

    /// Takes back what `respond` gave and has ended.
    fn recycle(spare: &mut Self::Spare, ended: Box<dyn Running>) {
        let _ = (spare, ended);
    }
}

/// How an answer leaves: encoded by the route's codec, or not at all.
pub struct Ending<T> {
    encode: Encode<T>,
    answers: bool,
}

impl<T> Clone for Ending<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ending<T> {}

impl<T> Ending<T> {
    pub(crate) fn new(encode: Encode<T>, answers: bool) -> Self {
        Self { encode, answers }
    }

    /// Does a client wait for an answer?
    pub(crate) fn answers(&self) -> bool {
        self.answers
    }

    pub(crate) fn finish(self, outcome: Result<Replied<T>, Fault>, out: &mut Vec<u8>) -> Answer {
        match outcome {
            Ok(Replied::Now(value)) if self.answers => self.write(&value, out),
            Ok(Replied::Now(_)) => Answer::Nothing,
            Ok(Replied::Later(later)) => Answer::later(&later.into_shared(), self.answers, out),
            Err(fault) => Answer::Fault(fault),
        }
    }

    fn write(self, value: &T, out: &mut Vec<u8>) -> Answer {
        let from = out.len();
        match (self.encode)(value, out) {
            Ok(()) => Answer::Reply,
            Err(e) => {
                out.truncate(from);
                Answer::Fault(e.into())
            }
        }
    }
}

impl<T, R: IntoReply<T>> Respond<Plain, T> for R {
    type Spare = ();

    fn respond(self, _: &mut (), end: Ending<T>, _: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        Start::Done(end.finish(self.into_reply(), out))
    }
}

impl<T: 'static, F> Respond<Async, T> for F
where
    F: Future + Send + 'static,
    F::Output: IntoReply<T>,
{
    type Spare = Vec<Box<Task<F, T>>>;

    fn respond(self, spare: &mut Self::Spare, end: Ending<T>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        // The task is out of `spare` while user code runs: a panic drops it with whatever is in it.
        let mut task = spare.pop().unwrap_or_else(|| Box::new(Task { future: Box::pin(None), end }));
        task.future.set(Some(self));
        match task.poll(cx, out) {
            Poll::Ready(answer) => {
                spare.push(task);
                Start::Done(answer)
            }
            Poll::Pending => Start::Pending(task),
        }
    }

    fn recycle(spare: &mut Self::Spare, ended: Box<dyn Running>) {
        let ended: Box<dyn Any> = ended;
        if spare.len() >= SPARES {
            return;
        }
        if let Ok(mut task) = ended.downcast::<Task<F, T>>() {
            task.future.set(None);
            spare.push(task);
        }
    }
}

/// Slots a route keeps per shard for handlers that waited.
const SPARES: usize = 16;

/// A pinned slot for one future of a route, filled again and again.
pub struct Task<F, T> {
    future: Pin<Box<Option<F>>>,
    end: Ending<T>,
}

impl<F, T> Running for Task<F, T>
where
    F: Future + Send + 'static,
    F::Output: IntoReply<T>,
    T: 'static,
{
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Answer> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Ready(Answer::internal()) };
        let Poll::Ready(output) = future.poll(cx) else { return Poll::Pending };
        self.future.set(None);
        Poll::Ready(self.end.finish(output.into_reply(), out))
    }
}

/// A call that waits for the blocking pool.
pub struct Deferred<R>(Box<dyn FnOnce() -> R + Send>);

impl<R> Deferred<R> {
    pub(crate) fn new(call: impl FnOnce() -> R + Send + 'static) -> Self {
        Self(Box::new(call))
    }
}

impl<T: 'static, R: IntoReply<T> + 'static> Respond<Blocks, T> for Deferred<R> {
    type Spare = ();

    fn respond(self, _: &mut (), end: Ending<T>, _: &mut Context<'_>, _: &mut Vec<u8>) -> Start {
        Start::Blocking(Box::new(move || {
            let mut out = Vec::new();
            let answer = end.finish((self.0)().into_reply(), &mut out);
            (answer, out)
        }))
    }
}
