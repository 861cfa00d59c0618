//! Routes that lead to actors.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use due_core::{Code, RouteDef};
use tokio::sync::oneshot;

use super::{
    Actor, ActorArgs, Cx, DoorOf, Method,
    afar::Parcel,
    attach::{attached, undecided},
    host::{Host, Written},
    mailbox::{Closed, Letter, Mailbox, Waiting},
    method::Done,
    refused::Refused,
};
use crate::{
    fault::Fault,
    handler::{Answer, Bound, Build, Ending, IntoReply, Make, Request, RouteHandler, Running, Start},
    session::Session,
};

/// Writes letters for one route of a kind.
pub(crate) trait Door<A: Actor>: Send + Sync {
    /// Decodes a request into a letter, and what gives its end. A letter that is `waited` for is not handled once
    /// nobody waits any more.
    fn write(&self, rq: &Request<'_>, mailbox: &Arc<Mailbox<A>>, waited: bool) -> Result<Letters<A>, Fault>;

    /// The key in a request; `None` where the route tells none.
    fn key(&self, rq: &Request<'_>) -> Option<Result<A::Key, Fault>>;
}

/// A letter, and what gives its end.
pub(crate) type Letters<A> = (Box<dyn Letter<A>>, Box<dyn Running>);

/// Which actor gets a request.
pub(crate) enum Target<A: Actor> {
    /// The one of a key in the request.
    Key(Box<KeyOf<A>>),
    /// The one its user is attached to.
    Attached,
    /// The same, for an event: nothing happens without one.
    AttachedEvent,
}

type KeyOf<A> = dyn Fn(&Request<'_>) -> Result<<A as Actor>::Key, Fault> + Send + Sync;

/// A method on a route, waiting for the routes' state.
pub(crate) struct ActorRoute<A: Actor, H, M, K, T, C> {
    method: Arc<H>,
    target: Target<A>,
    end: Ending<T>,
    /// Where calls by constant find the door.
    slot: Arc<Slot<A>>,
    types: Marks<M, K, C>,
}

impl<A: Actor, H, M, K, T, C> ActorRoute<A, H, M, K, T, C> {
    pub(crate) fn new(method: H, target: Target<A>, end: Ending<T>) -> Self {
        Self { method: Arc::new(method), target, end, slot: Arc::default(), types: PhantomData }
    }

    /// The way in for calls by constant.
    pub(crate) fn door(&self, def: RouteDef) -> DoorOf {
        DoorOf::new(def, matches!(self.target, Target::Key(_)), Arc::clone(&self.slot))
    }

    /// Does a client wait for an answer?
    pub(crate) fn answers(&self) -> bool {
        self.end.answers()
    }
}

type Marks<M, K, C> = PhantomData<fn() -> (M, K, C)>;
/// Filled when the route gets its state.
pub(crate) type Slot<A> = OnceLock<Arc<dyn Door<A>>>;

impl<S, A, H, M, K, T, C> Build<S> for ActorRoute<A, H, M, K, T, C>
where
    S: Clone + Send + Sync + 'static,
    A: Actor,
    H: Method<M, A>,
    H::Args: ActorArgs<K, A, S, C>,
    H::Out: IntoReply<T>,
    (M, K, T, C): 'static,
{
    fn bind(self: Box<Self>, state: &S) -> Bound {
        let target = Arc::new(self.target);
        let method = WithState::<A, H, M, K, T, C, S> {
            target: Arc::clone(&target),
            method: self.method,
            state: state.clone(),
            end: self.end,
            types: PhantomData,
        };
        let door: Arc<dyn Door<A>> = Arc::new(method);
        let _ = self.slot.set(Arc::clone(&door));
        Bound::new(ToActor { target, door })
    }
}

struct WithState<A: Actor, H, M, K, T, C, S> {
    target: Arc<Target<A>>,
    method: Arc<H>,
    state: S,
    end: Ending<T>,
    types: Marks<M, K, C>,
}

impl<A, H, M, K, T, C, S> Door<A> for WithState<A, H, M, K, T, C, S>
where
    S: Send + Sync + 'static,
    A: Actor,
    H: Method<M, A>,
    H::Args: ActorArgs<K, A, S, C>,
    H::Out: IntoReply<T>,
    (M, K, T, C): 'static,
{
    fn write(&self, rq: &Request<'_>, mailbox: &Arc<Mailbox<A>>, waited: bool) -> Result<Letters<A>, Fault> {
        let args = H::Args::args(rq, &self.state, &Cx(Arc::clone(mailbox)))?;
        let (done, answer) = oneshot::channel();
        let letter = Asked::<A, H, M> { method: Arc::clone(&self.method), args, done: Done(done), waited };
        let session = rq.session.clone();
        Ok((Box::new(letter), Box::new(Asking { answer, end: self.end, session, out: None, bound: None })))
    }

    fn key(&self, rq: &Request<'_>) -> Option<Result<A::Key, Fault>> {
        match &*self.target {
            Target::Key(key) => Some(key(rq)),
            Target::Attached | Target::AttachedEvent => None,
        }
    }
}

/// A request in a mailbox: its arguments are made, its bytes are gone.
struct Asked<A, H: Method<M, A>, M> {
    method: Arc<H>,
    args: H::Args,
    done: Done<H::Out>,
    waited: bool,
}

impl<A: Actor, H: Method<M, A>, M> Letter<A> for Asked<A, H, M> {
    fn deliver<'a>(self: Box<Self>, actor: &'a mut A, _: &Cx<A>) -> Option<Waiting<'a>> {
        if self.waited && self.done.0.is_closed() {
            return None;
        }
        self.method.call(actor, self.args, self.done)
    }

    fn refuse(self: Box<Self>, why: Refused) {
        let _ = self.done.0.send(Err(why));
    }
}

type Decision = Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>>;

/// A request that an actor has in its mailbox or in its hands.
struct Asking<R, T> {
    answer: oneshot::Receiver<Result<R, Refused>>,
    end: Ending<T>,
    session: Session,
    out: Option<R>,
    bound: Option<Decision>,
}

// Nothing in it is pinned in place: what must be is boxed.
impl<R, T> Unpin for Asking<R, T> {}

impl<R: IntoReply<T> + Send + 'static, T: 'static> Running for Asking<R, T> {
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Answer> {
        if self.out.is_none() {
            let Poll::Ready(end) = Pin::new(&mut self.answer).poll(cx) else { return Poll::Pending };
            match end {
                Ok(Ok(value)) => self.out = Some(value),
                Ok(Err(why)) => return Poll::Ready(Answer::Fault(why.fault())),
                Err(_) => return Poll::Ready(Answer::Fault(Code::INTERNAL.into())),
            }
            self.bound = undecided(&self.session).map(|decision| Box::pin(decision) as Decision);
        }
        // What the handler attached must be known to the gate before the client reads the answer.
        if let Some(bound) = &mut self.bound {
            let Poll::Ready(decision) = bound.as_mut().poll(cx) else { return Poll::Pending };
            self.bound = None;
            if let Err(why) = decision {
                return Poll::Ready(Answer::Fault(why.fault()));
            }
        }
        match self.out.take() {
            Some(value) => Poll::Ready(self.end.finish(value.into_reply(), out)),
            None => Poll::Ready(Answer::internal()),
        }
    }
}

/// A route of a table that leads to actors.
struct ToActor<A: Actor> {
    target: Arc<Target<A>>,
    door: Arc<dyn Door<A>>,
}

impl<A: Actor> Make for ToActor<A> {
    fn make(&self) -> Box<dyn RouteHandler> {
        Box::new(OnShard { target: Arc::clone(&self.target), door: Arc::clone(&self.door), host: None })
    }
}

struct OnShard<A: Actor> {
    target: Arc<Target<A>>,
    door: Arc<dyn Door<A>>,
    host: Option<Arc<Host<A>>>,
}

impl<A: Actor> RouteHandler for OnShard<A> {
    fn start(&mut self, rq: &Request<'_>, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        let posted = self.host(rq).and_then(|host| match &*self.target {
            Target::Key(key) => self.to_key(rq, &key(rq)?, &host).map(Some),
            Target::Attached => self.to_attached(rq, &host).map(Some),
            Target::AttachedEvent => match self.to_attached(rq, &host) {
                Err(fault) if fault.code() == due_core::Kind::NotBound.into() => Ok(None),
                end => end.map(Some),
            },
        });
        let mut waits = match posted {
            Ok(Some(waits)) => waits,
            Ok(None) => return Start::Done(Answer::Nothing),
            Err(fault) => return Start::Done(Answer::Fault(fault)),
        };
        match waits.poll(cx, out) {
            Poll::Ready(answer) => Start::Done(answer),
            Poll::Pending => Start::Pending(waits),
        }
    }
}

impl<A: Actor> OnShard<A> {
    /// The kind on the node that this shard belongs to; looked up once.
    fn host(&mut self, rq: &Request<'_>) -> Result<Arc<Host<A>>, Fault> {
        if let Some(host) = &self.host {
            return Ok(Arc::clone(host));
        }
        let host = rq.cluster.host_on::<A>(&rq.session.0.node).map_err(Refused::fault)?;
        self.host = Some(Arc::clone(&host));
        Ok(host)
    }

    fn write(&self, rq: &Request<'_>, mailbox: &Arc<Mailbox<A>>) -> Result<Written<A, Box<dyn Running>>, Fault> {
        let (letter, waits) = self.door.write(rq, mailbox, true)?;
        Ok((letter, rq.body.bytes().len(), waits))
    }

    fn to_key(&self, rq: &Request<'_>, key: &A::Key, host: &Arc<Host<A>>) -> Result<Box<dyn Running>, Fault> {
        if !host.goes_afar(key, rq.cluster) {
            return host.deliver(key, rq.cluster, |mailbox| self.write(rq, mailbox));
        }
        let (parcel, end) = Parcel::of(rq);
        host.dispatch(key, rq.cluster, parcel)?;
        Ok(end)
    }

    fn to_attached(&self, rq: &Request<'_>, host: &Host<A>) -> Result<Box<dyn Running>, Fault> {
        let none = || Refused::not_attached().fault();
        let uid = rq.uid.ok_or_else(none)?;
        let mailbox = attached::<A>(rq.session, uid, |uid| host.of_user(uid)).ok_or_else(none)?;
        let (letter, bytes, waits) = self.write(rq, &mailbox)?;
        match mailbox.push(letter, bytes) {
            Ok(()) => Ok(waits),
            Err((_, Closed::Full)) => Err(Refused::full().fault()),
            Err((_, Closed::Ending)) => Err(none()),
        }
    }
}
