//! Addresses: messages to an actor.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use due_core::{Call, Code, Codec, Error, Kind, Notify, Result, RouteDef, transport::Trace};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    Actor, Cx,
    afar::Parcel,
    host::{Host, Written},
    life::is_current,
    mailbox::{Closed, Letter, Mailbox, Phase, Stop, Waiting},
    refused::Refused,
};
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{Answer, Body, Late, Origin, Request, Running},
};

/// Where to send messages for an actor. Cheap to clone, keep it anywhere.
///
/// One of [`Cx::addr`] or [`Cluster::spawn`] names one life of the actor: after its end it answers `Gone`. One of
/// [`Cluster::actor`] names the key: a message opens the actor if it is not open. Messages of one sender to one actor
/// are handled in the order in which they were sent.
///
/// Errors of all messages: `Overloaded` when the mailbox is full and `Unavailable` when the actor ends before it takes
/// the message (both: it did not happen), `Internal` when the handler panics, what the opener or
/// [`Actor::started`] failed with.
pub struct Addr<A: Actor> {
    target: Target<A>,
    limit: Option<Duration>,
}

enum Target<A: Actor> {
    Life(Arc<Mailbox<A>>),
    Key(Cluster, A::Key),
}

impl<A: Actor> Addr<A> {
    pub(crate) fn of(mailbox: Arc<Mailbox<A>>) -> Self {
        Self { target: Target::Life(mailbox), limit: None }
    }

    pub(crate) fn of_key(cluster: Cluster, key: A::Key) -> Self {
        Self { target: Target::Key(cluster, key), limit: None }
    }

    /// Which one of its kind it is.
    pub fn key(&self) -> &A::Key {
        match &self.target {
            Target::Life(mailbox) => &mailbox.key,
            Target::Key(_, key) => key,
        }
    }

    /// The same address with another time for answers: how long [`Addr::call`] and [`Addr::with`] wait before they fail
    /// with `Timeout`. Without it that is the node's deadline (30 s by default). A message that is not taken by then is
    /// not handled at all.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self.clone() }
    }

    /// Asks by the constant a client uses, and waits for the answer. The handler is the kind's own
    /// (`Routes::actor`, `Routes::actor_by`); a fault of it comes as it is. It sees a session that is gone and no user.
    ///
    /// Also `NoRoute` if the kind does not serve it here, `WouldDeadlock` from the actor's own handlers (they hold it),
    /// `Timeout`. Dropped before the actor takes the message it is not handled.
    pub fn call<Q, P, C>(
        &self,
        call: Call<Q, P, C>,
        q: &Q,
    ) -> impl Future<Output = Result<P, Fault>> + Send + use<A, Q, P, C>
    where
        Q: 'static,
        P: 'static,
        C: Codec<Q> + Codec<P>,
    {
        let (addr, def, body) = (self.clone(), call.def(), encoded::<Q, C>(q));
        async move {
            let until = Instant::now() + addr.limit()?;
            addr.check_self()?;
            let mut waits = addr.send(def, &body?, Some(until))?;
            let mut out = Vec::new();
            let end = std::future::poll_fn(|cx| waits.poll(cx, &mut out));
            match timeout_at(until, end).await {
                Ok(Answer::Fault(fault)) => Err(fault),
                Ok(Answer::Later) => Err(Fault::of(Kind::Unsupported)),
                Ok(Answer::Reply | Answer::Nothing) => Ok(C::default().decode(&out)?),
                Err(_) => Err(Code::TIMEOUT.into()),
            }
        }
    }

    /// Sends by the constant a client uses, without an answer. Never waits; `Ok` means that it stands in the mailbox, or
    /// in this process's line to the node that has the actor.
    pub fn tell<Q: 'static, C: Codec<Q>>(&self, notify: Notify<Q, C>, q: &Q) -> Result<()> {
        let sent = encoded::<Q, C>(q).and_then(|body| self.send(notify.def(), &body, None));
        sent.map(drop).map_err(|fault| Refused::of(&fault).error())
    }

    /// Runs a closure inside the actor and waits for what it returns. Only where the actor lives in this process.
    /// Errors as of [`Addr::call`].
    pub fn with<R, F>(&self, run: F) -> impl Future<Output = Result<R>> + Send + use<A, R, F>
    where
        R: Send + 'static,
        F: FnOnce(&mut A, &Cx<A>) -> R + Send + 'static,
    {
        let addr = self.clone();
        async move {
            let error = |fault: Fault| not_here(Refused::of(&fault).error());
            let limit = addr.limit().map_err(error)?;
            addr.check_self().map_err(error)?;
            let mut run = Some(run);
            let waits = addr.post(|_| {
                let (answer, waits) = oneshot::channel();
                // A letter that came back is lost with its closure; only an ending actor gives one back, before it ran.
                let run = run.take().ok_or_else(|| Refused::unread().fault())?;
                Ok((Box::new(Closure { run, answer }) as Box<dyn Letter<A>>, 0, waits))
            });
            match tokio::time::timeout(limit, waits.map_err(error)?).await {
                Ok(Ok(end)) => end.map_err(|why| not_here(why.error())),
                Ok(Err(_)) => Err(Error::new(Kind::Internal, "the closure panicked")),
                Err(_) => Err(Kind::Timeout.into()),
            }
        }
    }

    /// Is it open and not ending?
    pub fn is_alive(&self) -> bool {
        self.life().is_some_and(|mailbox| mailbox.is_open())
    }

    /// Asks it to end once its mailbox is empty; it takes no more from now on. Does not wait: see [`Addr::ended`].
    pub fn stop(&self) {
        if let Some(mailbox) = self.life() {
            mailbox.stop(Stop::Drained);
        }
    }

    /// Asks it to end after the handler that runs; what waits is answered with `Unavailable`.
    pub fn kill(&self) {
        if let Some(mailbox) = self.life() {
            mailbox.stop(Stop::Now);
        }
    }

    /// Waits until it has ended: [`Actor::stopped`] has run and its name is free. At once if it is not open.
    pub async fn ended(&self) {
        if let Some(mailbox) = self.life() {
            let mut phase = mailbox.phase.subscribe();
            drop(mailbox);
            let _ = phase.wait_for(Phase::is_over).await;
        }
    }

    /// The life it names; for a key the one that is here. It may be ending.
    fn life(&self) -> Option<Arc<Mailbox<A>>> {
        match &self.target {
            Target::Life(mailbox) => Some(Arc::clone(mailbox)),
            Target::Key(cluster, key) => cluster.host_of::<A>(key).ok()?.find(key),
        }
    }

    /// The mailbox to send to; opens the actor of a key.
    pub(crate) fn mailbox(&self) -> Result<Arc<Mailbox<A>>, Refused> {
        match &self.target {
            Target::Life(mailbox) if mailbox.is_open() => Ok(Arc::clone(mailbox)),
            Target::Life(_) => Err(Refused::gone()),
            Target::Key(cluster, key) => cluster.host_of::<A>(key)?.reach(key, cluster),
        }
    }

    fn host(&self) -> Result<Arc<Host<A>>, Fault> {
        match &self.target {
            Target::Life(mailbox) => Ok(Arc::clone(&mailbox.host)),
            Target::Key(cluster, key) => cluster.host_of::<A>(key).map_err(Refused::fault),
        }
    }

    fn limit(&self) -> Result<Duration, Fault> {
        Ok(match self.limit {
            Some(limit) => limit,
            None => self.host()?.common.deadline,
        })
    }

    /// An actor that waits for itself would wait for ever.
    fn check_self(&self) -> Result<(), Fault> {
        match self.life() {
            Some(mailbox) if is_current(&mailbox) => Err(Fault::of(Kind::WouldDeadlock)),
            _ => Ok(()),
        }
    }

    fn post<R>(&self, mut write: impl FnMut(&Arc<Mailbox<A>>) -> Result<Written<A, R>, Fault>) -> Result<R, Fault> {
        match &self.target {
            Target::Key(cluster, key) => self.host()?.deliver(key, cluster, write),
            Target::Life(mailbox) => {
                let (letter, bytes, waits) = write(mailbox)?;
                match mailbox.push(letter, bytes) {
                    Ok(()) => Ok(waits),
                    Err((_, Closed::Full)) => Err(Refused::full().fault()),
                    Err((_, Closed::Ending)) => Err(Refused::gone().fault()),
                }
            }
        }
    }

    /// A message as if a client had sent it. Without `until` nobody waits for its end.
    fn send(&self, def: RouteDef, body: &Bytes, until: Option<Instant>) -> Result<Box<dyn Running>, Fault> {
        let host = self.host()?;
        if let Target::Key(cluster, key) = &self.target
            && host.goes_afar(key, cluster)
        {
            let at_latest = until.unwrap_or_else(|| Instant::now() + host.common.deadline);
            let (parcel, end) = Parcel::new((def, body.clone()), (None, None), at_latest, until.is_some());
            host.dispatch(key, cluster, parcel)?;
            return Ok(end);
        }
        let door = host.door(def.id).ok_or_else(|| Fault::of(Kind::NoRoute))?;
        let nobody = &host.common.place.get().ok_or_else(|| Fault::of(Kind::Unavailable))?.nobody;
        self.post(|mailbox| {
            let rq = Request {
                session: nobody,
                cluster: &mailbox.cluster,
                route: def,
                seq: 0,
                body: Body::shared(body),
                uid: None,
                deadline: until.unwrap_or_else(|| Instant::now() + host.common.deadline),
                trace: Trace::default(),
                origin: Origin::Node(&host.common.own.owner),
                late: Late::nobody(),
            };
            let (letter, waits) = door.write(&rq, mailbox, until.is_some())?;
            Ok((letter, body.len(), waits))
        })
    }
}

/// A closure does not follow an actor to another node.
fn not_here(error: Error) -> Error {
    match error.kind() {
        Kind::Moved => Error::new(Kind::Unavailable, error.text().to_owned()),
        _ => error,
    }
}

fn encoded<Q, C: Codec<Q>>(q: &Q) -> Result<Bytes, Fault> {
    let mut body = Vec::new();
    C::default().encode(q, &mut body)?;
    Ok(body.into())
}

/// A closure in a mailbox.
struct Closure<F, R> {
    run: F,
    answer: oneshot::Sender<Result<R, Refused>>,
}

impl<A, F, R> Letter<A> for Closure<F, R>
where
    A: Actor,
    F: FnOnce(&mut A, &Cx<A>) -> R + Send,
    R: Send,
{
    fn deliver<'a>(self: Box<Self>, actor: &'a mut A, cx: &Cx<A>) -> Option<Waiting<'a>> {
        if !self.answer.is_closed() {
            let _ = self.answer.send(Ok((self.run)(actor, cx)));
        }
        None
    }

    fn refuse(self: Box<Self>, why: Refused) {
        let _ = self.answer.send(Err(why));
    }
}

impl<A: Actor> Clone for Addr<A> {
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Life(mailbox) => Target::Life(Arc::clone(mailbox)),
            Target::Key(cluster, key) => Target::Key(cluster.clone(), key.clone()),
        };
        Self { target, limit: self.limit }
    }
}

impl<A: Actor> fmt::Debug for Addr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Addr({}/{})", A::KIND, self.key())
    }
}
