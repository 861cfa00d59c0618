//! Sessions attached to actors: the user's messages of a kind go to one actor of it.

use std::{
    any::Any,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use due_core::{
    Epoch, Error, Kind, Result, Uid,
    locate::{Place, Subject},
};
use tokio::{runtime::Handle, sync::watch};

use super::{Actor, Addr, mailbox::Mailbox, refused::Refused};
use crate::session::Session;

type Bound = Option<Result<Epoch, Refused>>;

/// To which actor of a kind a session is attached, as its node keeps it.
#[derive(Clone)]
pub(crate) struct Attachment {
    uid: Uid,
    mailbox: Arc<dyn Any + Send + Sync>,
    bound: watch::Receiver<Bound>,
}

impl Attachment {
    /// The actor, while the attachment stands.
    fn leads<A: Actor>(&self, uid: &Uid) -> Option<Arc<Mailbox<A>>> {
        let mailbox = Arc::clone(&self.mailbox).downcast::<Mailbox<A>>().ok()?;
        (self.uid == *uid && !self.has_failed() && mailbox.is_open()).then_some(mailbox)
    }

    fn has_failed(&self) -> bool {
        matches!(*self.bound.borrow(), Some(Err(_)))
    }
}

/// The store and the gate learning of an attachment.
///
/// [`Session::attach`] is done in this process at once. Dropped, this goes on by itself, and the answer of the actor's
/// handler that attached waits for it and fails if it fails. Awaited, it gives the epoch of the user's slot
/// `node/kind`. An attachment that fails is undone.
pub struct Attaching {
    session: Session,
    bound: watch::Receiver<Bound>,
}

impl IntoFuture for Attaching {
    type Output = Result<Epoch>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Epoch>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let end = settled(self.bound).await;
            forget_failed(&self.session);
            end.map_err(Refused::error)
        })
    }
}

async fn settled(mut bound: watch::Receiver<Bound>) -> Result<Epoch, Refused> {
    match bound.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(end)) => end.clone(),
        _ => Err(Refused::new(Kind::Unavailable, "the session could not be attached")),
    }
}

/// A failure is told once.
fn forget_failed(session: &Session) {
    session.attachments().retain(|_, a| !a.has_failed());
}

/// The user's slot that leads to actors of this kind.
fn slot_name<A: Actor>(session: &Session) -> String {
    format!("{}/{}", session.0.node.name, A::KIND)
}

/// The actor that a user's messages go to: the session's attachment, or that of an earlier session of the user.
pub(crate) fn attached<A: Actor>(
    session: &Session,
    uid: &Uid,
    users: impl FnOnce(&Uid) -> Option<Arc<Mailbox<A>>>,
) -> Option<Arc<Mailbox<A>>> {
    let own = session.attachments().get(A::KIND).and_then(|a| a.leads::<A>(uid));
    own.or_else(|| users(uid))
}

/// Waits until the store has decided about all attachments of the session. `None`: it has, and they stand.
pub(crate) fn undecided(session: &Session) -> Option<impl Future<Output = Result<(), Refused>> + Send + 'static> {
    let open = |a: &&Attachment| !matches!(*a.bound.borrow(), Some(Ok(_)));
    let waits: Vec<_> = session.attachments().values().filter(open).map(|a| a.bound.clone()).collect();
    if waits.is_empty() {
        return None;
    }
    let session = session.clone();
    Some(async move {
        let mut end = Ok(());
        for bound in waits {
            end = end.and(settled(bound).await.map(drop));
        }
        forget_failed(&session);
        end
    })
}

/// Gives the user's slot up after its actor has ended.
pub(crate) async fn release<A: Actor>(uid: &Uid, session: &Session) {
    let attachment = session.attachments().remove(A::KIND);
    if let Some(attachment) = attachment
        && let Ok(epoch) = settled(attachment.bound).await
    {
        give_up::<A>(uid, session, epoch).await;
    }
}

async fn give_up<A: Actor>(uid: &Uid, session: &Session, epoch: Epoch) {
    let name = slot_name::<A>(session);
    let place = Place::node(name.as_str());
    let unbound = session.0.node.locator.unbind(Subject::from(uid.clone()), place, session.id(), epoch).await;
    session.0.node.bindings.release(&Subject::from(uid.clone()), &name, epoch);
    // Otherwise somebody with a higher epoch has the slot already.
    if !matches!(unbound, Ok(None)) {
        session.forget_slot(name);
    }
}

impl Session {
    /// Attaches the user to an actor: routes of its kind ([`Routes::actor`](crate::handler::Routes::actor)) go there
    /// from now on, also by a later session of the same user, until the actor ends or the user is detached or attached
    /// to another one. One actor per kind. The actor keeps a session handle per attached user: one that outlives its
    /// users detaches those who have left for good.
    ///
    /// Errors: `Unauthorized` without a user, `Gone` when the client or the actor has left, `Unavailable` if the actor
    /// lives on another node than the session. What the store says comes later: see [`Attaching`].
    pub fn attach<A: Actor>(&self, actor: &Addr<A>) -> Result<Attaching> {
        let uid = self.uid().ok_or(Kind::Unauthorized)?;
        if self.is_closed() {
            return Err(Kind::Gone.into());
        }
        let mailbox = actor.mailbox().map_err(Refused::error)?;
        if !Arc::ptr_eq(&mailbox.host.common.own, &self.0.node) {
            return Err(Error::new(Kind::Unavailable, "the actor lives on another node than the session"));
        }
        if let Some(same) = self.attachments().get(A::KIND)
            && same.leads::<A>(&uid).is_some_and(|m| Arc::ptr_eq(&m, &mailbox))
        {
            return Ok(Attaching { session: self.clone(), bound: same.bound.clone() });
        }
        let runtime = Handle::try_current()
            .map_err(|_| Error::new(Kind::Unsupported, "a session is attached inside a tokio runtime only"))?;
        let (decided, bound) = watch::channel(None);
        let attachment = Attachment { uid: uid.clone(), mailbox: mailbox.clone(), bound: bound.clone() };
        self.attachments().insert(A::KIND, attachment);
        mailbox.host.attach(&uid, self, &mailbox);
        runtime.spawn(bind(self.clone(), uid, mailbox, decided));
        Ok(Attaching { session: self.clone(), bound })
    }

    /// Ends the attachment of the user to an actor of this kind; none is no error. In this process it ends at once, the
    /// error is the store's or the gate's.
    pub async fn detach<A: Actor>(&self) -> Result<()> {
        let uid = self.uid().ok_or(Kind::Unauthorized)?;
        let attachment = self.attachments().remove(A::KIND);
        if let Some(mailbox) = attachment.and_then(|a| a.mailbox.downcast::<Mailbox<A>>().ok()) {
            mailbox.host.detach(&uid, Some(&mailbox));
        }
        self.unbind_slot(slot_name::<A>(self)).await
    }
}

/// Tells the store and the gate, and undoes the attachment if one of them refuses.
async fn bind<A: Actor>(session: Session, uid: Uid, mailbox: Arc<Mailbox<A>>, decided: watch::Sender<Bound>) {
    let mut bound = session.bind_slot(slot_name::<A>(&session)).await.map_err(Refused::from);
    if let Ok(epoch) = bound
        && !mailbox.is_open()
    {
        give_up::<A>(&uid, &session, epoch).await;
        bound = Err(Refused::gone());
    }
    if let Err(why) = &bound {
        tracing::warn!(actor = A::KIND, key = %mailbox.name, session = %session.id(), ?why, "no attachment");
        mailbox.host.detach(&uid, Some(&mailbox));
    }
    decided.send_replace(Some(bound));
}
