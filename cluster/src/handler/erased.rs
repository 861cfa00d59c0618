//! Handlers without their types: what the node holds and runs.

use std::{
    any::Any,
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::Code;

use super::{reply::Shared, request::Request};
use crate::fault::Fault;

/// One route's handler on one shard.
///
/// A panic of the user's code passes through; the handler stays usable, and the [`Running`] whose poll panicked is
/// dropped, not recycled.
pub trait RouteHandler: Send {
    /// Runs guards, extracts the arguments and calls the handler. An answer is appended to `out`; after any other end
    /// `out` is as it was. What is ready at its first poll allocates nothing, once the route has seen a message.
    fn start(&mut self, rq: &Request<'_>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start;

    /// Takes back what [`RouteHandler::start`] of the same route gave and has ended, to be used again.
    fn recycle(&mut self, ended: Box<dyn Running>) {
        drop(ended);
    }
}

/// How a handler began.
pub enum Start {
    /// It ended at once.
    Done(Answer),
    /// It waits; poll it until it ends.
    Pending(Box<dyn Running>),
    /// It blocks: run it on the blocking pool, then go on with what it returns.
    Blocking(Job),
}

/// A blocking handler with its arguments; gives its end and the bytes of its answer.
pub type Job = Box<dyn FnOnce() -> (Answer, Vec<u8>) + Send>;

/// A handler that waits. Dropping it cancels it.
pub trait Running: Any + Send {
    /// Goes on. An answer is appended to `out`; after any other end `out` is as it was. Not polled again after its end.
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Answer>;
}

/// How a handler ended.
#[derive(Debug)]
pub enum Answer {
    /// The answer stands at the end of the out buffer (it may be empty).
    Reply,
    /// A `Notify` is done: nothing to send, or an empty body where the client asked for one.
    Nothing,
    /// A [`Promise`](super::Promise) answers later; it may have done so already.
    Later,
    /// It failed.
    Fault(Fault),
}

impl Answer {
    /// The end of a handler that handed its reply away, whichever of both came first.
    pub(crate) fn later(shared: &Shared, answers: bool, out: &mut Vec<u8>) -> Answer {
        match shared.release() {
            None => Answer::Later,
            Some(Ok(_)) if !answers => Answer::Nothing,
            Some(Ok(body)) => Answer::body(&body, out),
            Some(Err(fault)) => Answer::Fault(fault),
        }
    }

    pub(crate) fn body(body: &Bytes, out: &mut Vec<u8>) -> Answer {
        out.extend_from_slice(body);
        Answer::Reply
    }

    pub(crate) fn internal() -> Answer {
        Answer::Fault(Code::INTERNAL.into())
    }
}
