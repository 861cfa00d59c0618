//! A handler function bound to its route, then to its state, then to a shard.

use std::{marker::PhantomData, sync::Arc, task::Context};

use super::{
    args::Args,
    chain,
    erased::{Answer, RouteHandler, Running, Start},
    extract::Needs,
    function::Handler,
    layer::Step,
    request::Request,
    respond::{Ending, Respond},
};

/// Makes the handlers of one route, one for each shard.
pub trait Make: Send + Sync + 'static {
    /// A handler with nothing kept yet.
    fn make(&self) -> Box<dyn RouteHandler>;
}

/// A route that waits for its state.
pub trait Build<S>: Send + Sync + 'static {
    /// Gives it the state.
    fn bind(self: Box<Self>, state: &S) -> Bound;
}

/// A route that has its state and, from the inside out, the layers around it.
pub struct Bound {
    pub(crate) make: Arc<dyn Make>,
    pub(crate) steps: Vec<Step>,
}

impl Bound {
    /// A route without layers.
    pub fn new(make: impl Make) -> Self {
        Self { make: Arc::new(make), steps: Vec::new() }
    }

    /// Wraps the handler into its layers.
    pub(crate) fn finish(self, answers: bool, needs: Needs) -> Arc<dyn Make> {
        if self.steps.is_empty() {
            return self.make;
        }
        let steps = self.steps.into_iter().rev().collect();
        Arc::new(chain::Layered::new(self.make, steps, answers, needs.reply))
    }
}

impl<S> Build<S> for Bound {
    fn bind(self: Box<Self>, _: &S) -> Bound {
        *self
    }
}

type Marks<M, K, C> = PhantomData<fn() -> (M, K, C)>;

/// A handler function and how its answers leave.
pub(crate) struct Function<H, M, K, T, C> {
    handler: H,
    end: Ending<T>,
    types: Marks<M, K, C>,
}

impl<H, M, K, T, C> Function<H, M, K, T, C> {
    pub(crate) fn new(handler: H, end: Ending<T>) -> Self {
        Self { handler, end, types: PhantomData }
    }
}

impl<S, H, M, K, T, C> Build<S> for Function<H, M, K, T, C>
where
    S: Clone + Send + Sync + 'static,
    H: Handler<M>,
    H::Args: Args<S, C>,
    H::Out: Respond<K, T>,
    (M, K, T, C): 'static,
{
    fn bind(self: Box<Self>, state: &S) -> Bound {
        Bound::new(WithState(Arc::new(Stated { function: *self, state: state.clone() })))
    }
}

struct Stated<H, M, K, T, C, S> {
    function: Function<H, M, K, T, C>,
    state: S,
}

struct WithState<H, M, K, T, C, S>(Arc<Stated<H, M, K, T, C, S>>);

impl<S, H, M, K, T, C> Make for WithState<H, M, K, T, C, S>
where
    S: Send + Sync + 'static,
    H: Handler<M>,
    H::Args: Args<S, C>,
    H::Out: Respond<K, T>,
    (M, K, T, C): 'static,
{
    fn make(&self) -> Box<dyn RouteHandler> {
        Box::new(OnShard { shared: Arc::clone(&self.0), spare: Default::default() })
    }
}

struct OnShard<H, M, K, T, C, S>
where
    H: Handler<M>,
    H::Out: Respond<K, T>,
{
    shared: Arc<Stated<H, M, K, T, C, S>>,
    spare: <H::Out as Respond<K, T>>::Spare,
}

impl<S, H, M, K, T, C> RouteHandler for OnShard<H, M, K, T, C, S>
where
    S: Send + Sync + 'static,
    H: Handler<M>,
    H::Args: Args<S, C>,
    H::Out: Respond<K, T>,
{
    fn start(&mut self, rq: &Request<'_>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        let Stated { function, state } = &*self.shared;
        match H::Args::args(rq, state) {
            Ok(args) => function.handler.call(args).respond(&mut self.spare, function.end, cx, out),
            Err(fault) => Start::Done(Answer::Fault(fault)),
        }
    }

    fn recycle(&mut self, ended: Box<dyn Running>) {
        H::Out::recycle(&mut self.spare, ended);
    }
}
