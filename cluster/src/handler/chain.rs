//! Runs a handler inside its layers.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use due_core::Kind as ErrorKind;

use super::{
    erased::{Answer, Job, RouteHandler, Running, Start},
    layer::{Kind, Next, Outcome, Pending, Pledge, Response, Step, Wrap},
    mount::Make,
    request::{OwnedRequest, Request},
};
use crate::fault::Fault;

/// A route with layers, the outermost first.
pub(crate) struct Layered {
    inner: Arc<dyn Make>,
    steps: Arc<[Step]>,
    answers: bool,
    reply: bool,
}

impl Layered {
    pub(crate) fn new(inner: Arc<dyn Make>, steps: Arc<[Step]>, answers: bool, reply: bool) -> Self {
        Self { inner, steps, answers, reply }
    }

    /// The first async layer and its place.
    fn first_wrap(&self) -> Option<(usize, Arc<Wrap>)> {
        self.steps.iter().enumerate().find_map(|(at, step)| match &step.0 {
            Kind::Around(wrap) => Some((at, Arc::clone(wrap))),
            Kind::Guard(_) => None,
        })
    }
}

impl Make for Layered {
    fn make(&self) -> Box<dyn RouteHandler> {
        let steps = Arc::clone(&self.steps);
        let Some((at, first)) = self.first_wrap() else {
            return Box::new(Guarded { steps, inner: self.inner.make() });
        };
        let pool = Arc::new(Pool { make: Arc::clone(&self.inner), idle: Mutex::default() });
        Box::new(Wrapped { steps, first, at, pool, answers: self.answers, reply: self.reply })
    }
}

fn check(steps: &[Step], rq: &Request<'_>) -> Result<(), Fault> {
    steps.iter().try_for_each(|step| match &step.0 {
        Kind::Guard(check) => check(rq),
        Kind::Around(_) => Ok(()),
    })
}

/// Guards only: the handler runs as if they were its first lines.
struct Guarded {
    steps: Arc<[Step]>,
    inner: Box<dyn RouteHandler>,
}

impl RouteHandler for Guarded {
    fn start(&mut self, rq: &Request<'_>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        match check(&self.steps, rq) {
            Ok(()) => self.inner.start(rq, cx, out),
            Err(fault) => Start::Done(Answer::Fault(fault)),
        }
    }

    fn recycle(&mut self, ended: Box<dyn Running>) {
        self.inner.recycle(ended);
    }
}

/// Async middleware: from the first one on everything is one future over an owned request.
struct Wrapped {
    steps: Arc<[Step]>,
    first: Arc<Wrap>,
    at: usize,
    pool: Arc<Pool>,
    answers: bool,
    reply: bool,
}

impl RouteHandler for Wrapped {
    fn start(&mut self, rq: &Request<'_>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        let guards = self.steps.get(..self.at).unwrap_or_default();
        if let Err(fault) = check(guards, rq) {
            return Start::Done(Answer::Fault(fault));
        }
        let next = Next::new(Arc::clone(&self.steps), self.at + 1, Arc::clone(&self.pool));
        let mut way = Way { future: (self.first)(rq.to_owned(self.reply), next), answers: self.answers };
        match way.poll(cx, out) {
            Poll::Ready(answer) => Start::Done(answer),
            Poll::Pending => Start::Pending(Box::new(way)),
        }
    }
}

/// One request on its way through middleware.
struct Way {
    future: Pending,
    answers: bool,
}

impl Running for Way {
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Answer> {
        self.future.as_mut().poll(cx).map(|outcome| answer(outcome, self.answers, out))
    }
}

fn answer(outcome: Outcome, answers: bool, out: &mut Vec<u8>) -> Answer {
    match outcome {
        Ok(Response::Later(pledge)) => Answer::later(&pledge.0, answers, out),
        Ok(_) if !answers => Answer::Nothing,
        Ok(Response::Body(body)) => Answer::body(&body, out),
        Ok(Response::Nothing) => Answer::Reply,
        Err(fault) => Answer::Fault(fault),
    }
}

/// Handlers of one route for calls from inside middleware, which may be many at a time.
pub(crate) struct Pool {
    make: Arc<dyn Make>,
    idle: Mutex<Vec<Box<dyn RouteHandler>>>,
}

/// Handlers a pool keeps.
const IDLE: usize = 16;

impl Pool {
    fn take(&self) -> Box<dyn RouteHandler> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| self.make.make())
    }

    fn give(&self, handler: Box<dyn RouteHandler>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(handler);
        }
    }

    /// Calls the handler.
    pub(crate) async fn call(&self, rq: OwnedRequest) -> Outcome {
        let mut handler = self.take();
        let mut out = Vec::new();
        let mut running = None;
        let end = poll_fn(|cx| advance(&mut *handler, &mut running, &rq, cx, &mut out)).await;
        if let Some(running) = running.take() {
            handler.recycle(running);
        }
        let answer = match end {
            End::Answer(answer) => answer,
            End::Job(job) => {
                let (answer, bytes) = on_blocking_pool(&rq, job).await?;
                out = bytes;
                answer
            }
        };
        self.give(handler);
        response(answer, out, &rq)
    }
}

enum End {
    Answer(Answer),
    Job(Job),
}

fn advance(
    handler: &mut dyn RouteHandler,
    running: &mut Option<Box<dyn Running>>,
    rq: &OwnedRequest,
    cx: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Poll<End> {
    if let Some(running) = running {
        return running.poll(cx, out).map(End::Answer);
    }
    match handler.start(&rq.view(), cx, out) {
        Start::Done(answer) => Poll::Ready(End::Answer(answer)),
        Start::Blocking(job) => Poll::Ready(End::Job(job)),
        Start::Pending(waits) => {
            *running = Some(waits);
            Poll::Pending
        }
    }
}

async fn on_blocking_pool(rq: &OwnedRequest, job: Job) -> Result<(Answer, Vec<u8>), Fault> {
    match rq.cluster.0.service.spawn_blocking(job).await {
        Ok(end) => Ok(end),
        // The job's panic goes on here, where panics of all handlers are caught.
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => Err(Fault::of(ErrorKind::Cancelled)),
    }
}

fn response(answer: Answer, out: Vec<u8>, rq: &OwnedRequest) -> Outcome {
    match answer {
        Answer::Reply => Ok(Response::Body(out.into())),
        Answer::Nothing => Ok(Response::Nothing),
        Answer::Later => match rq.relay() {
            Some(relay) => Ok(Response::Later(Pledge(relay))),
            None => Err(Fault::of(ErrorKind::Internal)),
        },
        Answer::Fault(fault) => Err(fault),
    }
}
