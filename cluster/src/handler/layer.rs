//! Layers: guards and async middleware around routes.

use std::{
    future::{Future, ready},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;

use super::{
    chain::Pool,
    extract::Extract,
    raw::Raw,
    reply::Shared,
    request::{OwnedRequest, Request},
};
use crate::fault::Fault;

/// How a request ends for the middleware around it.
pub type Outcome = Result<Response, Fault>;

/// The end of a handler that did not fail.
#[derive(Debug)]
pub enum Response {
    /// The encoded answer.
    Body(Bytes),
    /// A `Notify` is done. From a middleware around a `Call` it is an answer of zero bytes.
    Nothing,
    /// The handler handed its [`Reply`](super::Reply) away. The answer leaves when the middleware has ended too, and
    /// only if it returns this.
    Later(Pledge),
}

/// Stands for an answer that comes later.
pub struct Pledge(pub(crate) Arc<Shared>);

impl std::fmt::Debug for Pledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pledge")
    }
}

/// Something around a route: made by [`guard`] or [`from_fn`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer for routes with state `{S}`",
    note = "use `guard(fn(&Request, &S) -> Result<(), Fault>)` or `from_fn(async fn(extractors.., OwnedRequest, Next) -> Outcome)`"
)]
pub trait Layer<S>: Send + Sync + 'static {
    /// Gives it the state.
    fn bind(self: Arc<Self>, state: &S) -> Step;
}

/// A layer that has its state.
#[derive(Clone)]
pub struct Step(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Guard(Arc<Check>),
    Around(Arc<Wrap>),
}

pub(crate) type Check = dyn Fn(&Request<'_>) -> Result<(), Fault> + Send + Sync;
pub(crate) type Wrap = dyn Fn(OwnedRequest, Next) -> Pending + Send + Sync;
pub(crate) type Pending = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A check before the handler: sync, nothing is boxed. An error is the answer, and the handler is not called.
///
/// ```
/// use due_cluster::{Fault, handler::{Request, Routes, guard}};
/// use due_core::Code;
///
/// fn small(rq: &Request<'_>, limit: &usize) -> Result<(), Fault> {
///     if rq.body.bytes().len() > *limit { Err(Code::BAD_REQUEST.into()) } else { Ok(()) }
/// }
/// let routes: Routes = Routes::new().layer(guard(small)).with_state(512);
/// ```
pub fn guard<F, S>(check: F) -> Guard<F>
where
    F: Fn(&Request<'_>, &S) -> Result<(), Fault> + Send + Sync + 'static,
{
    Guard(check)
}

/// A check before the handler; see [`guard`].
pub struct Guard<F>(F);

impl<S, F> Layer<S> for Guard<F>
where
    S: Clone + Send + Sync + 'static,
    F: Fn(&Request<'_>, &S) -> Result<(), Fault> + Send + Sync + 'static,
{
    fn bind(self: Arc<Self>, state: &S) -> Step {
        let state = state.clone();
        Step(Kind::Guard(Arc::new(move |rq| (self.0)(rq, &state))))
    }
}

/// Async middleware: `async fn(extractors.., OwnedRequest, Next) -> Outcome` with at most three extractors. It may look
/// at the request, change its body, answer by itself, and see the outcome of the rest.
///
/// It costs a copy of the request and some boxes for each message; a [`guard`] costs a call.
///
/// ```
/// use due_cluster::handler::{Next, Outcome, OwnedRequest, Routes, State, from_fn};
/// use std::{sync::{Arc, atomic::{AtomicU64, Ordering}}};
///
/// async fn counted(State(n): State<Arc<AtomicU64>>, rq: OwnedRequest, next: Next) -> Outcome {
///     let outcome = next.run(rq).await;
///     n.fetch_add(1, Ordering::Relaxed);
///     outcome
/// }
/// let routes: Routes = Routes::new().layer(from_fn(counted)).with_state(Arc::default());
/// ```
pub fn from_fn<F, M>(middleware: F) -> FromFn<F, M> {
    FromFn { middleware, types: PhantomData }
}

/// Async middleware; see [`from_fn`].
pub struct FromFn<F, M> {
    middleware: F,
    types: PhantomData<fn() -> M>,
}

macro_rules! middleware {
    ($($t:ident)*) => {
        impl<F, Fut, S, $($t),*> Layer<S> for FromFn<F, ($($t,)*)>
        where
            S: Clone + Send + Sync + 'static,
            F: Fn($($t,)* OwnedRequest, Next) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Outcome> + Send + 'static,
            $($t: Extract<S, Raw> + 'static,)*
        {
            #[allow(non_snake_case, unused_variables)]
            fn bind(self: Arc<Self>, state: &S) -> Step {
                let state = state.clone();
                Step(Kind::Around(Arc::new(move |rq, next| {
                    $(let $t = match $t::extract(&rq.view(), &state) {
                        Ok(argument) => argument,
                        Err(fault) => return Box::pin(ready(Err(fault))),
                    };)*
                    Box::pin((self.middleware)($($t,)* rq, next))
                })))
            }
        }
    };
}

middleware!();
middleware!(T1);
middleware!(T1 T2);
middleware!(T1 T2 T3);

/// The rest of the way: the layers further inside, then the handler.
pub struct Next {
    steps: Arc<[Step]>,
    at: usize,
    handler: Arc<Pool>,
}

impl Next {
    pub(crate) fn new(steps: Arc<[Step]>, at: usize, handler: Arc<Pool>) -> Self {
        Self { steps, at, handler }
    }

    /// Goes on with `rq`. Dropping the future cancels the handler, unless it runs on the blocking pool.
    pub async fn run(mut self, rq: OwnedRequest) -> Outcome {
        while let Some(Step(kind)) = self.steps.get(self.at).cloned() {
            self.at += 1;
            match kind {
                Kind::Guard(check) => check(&rq.view())?,
                Kind::Around(wrap) => return wrap(rq, self).await,
            }
        }
        self.handler.call(rq).await
    }
}
