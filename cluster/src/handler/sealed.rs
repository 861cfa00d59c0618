//! Bodies of clients that are encrypted: opened before anything of a route sees them, sealed after its answer.
//!
//! Handlers of a node that encrypts stand in here, so that one which does not pays nothing. What another server sends is
//! let through as it is: bodies are encrypted between clients and nodes only.

use std::{
    any::Any,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::{
    Code, CodecError, Encryptor, Result, RouteId,
    crypto::{open_body, seal_body},
};

use super::{
    erased::{Answer, RouteHandler, Running, Start},
    mount::Make,
    reply::Promise,
    request::{Body, Late, Origin, Request},
    table::ErrorsAs,
};
use crate::fault::Fault;

/// Makes the handlers of a route whose bodies are encrypted.
pub(crate) struct Sealing {
    inner: Arc<dyn Make>,
    by: Arc<dyn Encryptor>,
    /// Its answers are bytes of the application, which leave as they are.
    raw: bool,
}

impl Sealing {
    pub(crate) fn new(inner: Arc<dyn Make>, by: Arc<dyn Encryptor>, raw: bool) -> Self {
        Self { inner, by, raw }
    }
}

impl Make for Sealing {
    fn make(&self) -> Box<dyn RouteHandler> {
        Box::new(Sealed { inner: self.inner.make(), by: Arc::clone(&self.by), raw: self.raw })
    }
}

/// The answer that stands for a fault, encrypted as every answer of its route.
pub(crate) fn seal_errors(write: ErrorsAs, route: RouteId, by: Arc<dyn Encryptor>) -> ErrorsAs {
    Arc::new(move |fault, out| {
        let mut plain = Vec::new();
        write(fault, &mut plain)?;
        seal_body(&*by, route, &plain, out).map_err(|e| CodecError::new("encrypted", e))
    })
}

struct Sealed {
    inner: Box<dyn RouteHandler>,
    by: Arc<dyn Encryptor>,
    raw: bool,
}

impl RouteHandler for Sealed {
    fn start(&mut self, rq: &Request<'_>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        if rq.origin != Origin::Client {
            return self.inner.start(rq, cx, out);
        }
        let mut plain = Vec::new();
        if open_body(&*self.by, rq.route.id, rq.body.bytes(), &mut plain).is_err() {
            // The same answer as for a body that does not decode, and no line in the log that strangers could fill.
            return Start::Done(Answer::Fault(Code::BAD_REQUEST.into()));
        }
        let (plain, seal, from) = (Bytes::from(plain), self.seal(rq.route.id), out.len());
        let promise = || -> Arc<dyn Promise> { Arc::new(SealedPromise { to: rq.late.promise(), seal: seal.clone() }) };
        let late = if rq.late.leads_nowhere() { rq.late } else { Late::new(&promise) };
        let began = self.inner.start(&Request { body: Body::shared(&plain), late, ..*rq }, cx, out);
        match began {
            Start::Done(answer) => Start::Done(seal.finish(answer, from, out)),
            Start::Pending(inner) => Start::Pending(Box::new(Waiting { inner, seal })),
            Start::Blocking(job) => Start::Blocking(Box::new(move || {
                let (answer, mut out) = job();
                (seal.finish(answer, 0, &mut out), out)
            })),
        }
    }

    fn recycle(&mut self, ended: Box<dyn Running>) {
        // Requests of servers went through bare.
        if !(&*ended as &dyn Any).is::<Waiting>() {
            return self.inner.recycle(ended);
        }
        let ended: Box<dyn Any> = ended;
        if let Ok(waiting) = ended.downcast::<Waiting>() {
            self.inner.recycle(waiting.inner);
        }
    }
}

impl Sealed {
    fn seal(&self, route: RouteId) -> Seal {
        Seal { by: (!self.raw).then(|| Arc::clone(&self.by)), route }
    }
}

/// How an answer leaves.
#[derive(Clone)]
struct Seal {
    /// `None`: as it is.
    by: Option<Arc<dyn Encryptor>>,
    route: RouteId,
}

impl Seal {
    /// Encrypts the answer that stands in `out` behind `from`; one that cannot be encrypted is a fault.
    fn finish(&self, answer: Answer, from: usize, out: &mut Vec<u8>) -> Answer {
        let (Answer::Reply, Some(by)) = (&answer, &self.by) else { return answer };
        let plain = out.split_off(from);
        match seal_body(&**by, self.route, &plain, out) {
            Ok(()) => Answer::Reply,
            Err(e) => Answer::Fault(e.into()),
        }
    }
}

/// A handler that waits.
struct Waiting {
    inner: Box<dyn Running>,
    seal: Seal,
}

impl Running for Waiting {
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Answer> {
        let from = out.len();
        self.inner.poll(cx, out).map(|answer| self.seal.finish(answer, from, out))
    }
}

/// The promise of an answer that is encrypted when it comes.
struct SealedPromise {
    to: Option<Arc<dyn Promise>>,
    seal: Seal,
}

impl Promise for SealedPromise {
    fn answer(&self, outcome: Result<Bytes, Fault>) {
        let Some(to) = &self.to else { return };
        let sealed = |plain: Bytes| -> Result<Bytes, Fault> {
            let Some(by) = &self.seal.by else { return Ok(plain) };
            let mut out = Vec::new();
            seal_body(&**by, self.seal.route, &plain, &mut out)?;
            Ok(out.into())
        };
        to.answer(outcome.and_then(sealed));
    }
}
