//! Messages for actors of other processes.
//!
//! A message for a key that is not open here goes through a [`Line`]: it asks the locator who has the actor, or picks a
//! node that opens it, and hands over one message after the other, so that those of one sender keep their order. Who opens
//! an actor takes its place in the locator first; one that finds it taken answers `Moved`, and the line asks again.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use due_core::{Code, Kind, RouteDef, Uid, locate::Subject, registry::Instance, registry::InstanceKind};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{Actor, host::Host, refused::Refused};
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{Answer, Origin, OwnedRequest, Request, Running},
    peer::{ACTOR_ORDER, Letter, Outcome, pick},
    session::Session,
};

/// A line that has nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(5);
/// The pause before the locator is asked again who has an actor that moves.
const AGAIN: Duration = Duration::from_millis(20);

/// A message on its way to wherever the actor is.
pub(crate) struct Parcel {
    pub(crate) route: RouteDef,
    pub(crate) body: Bytes,
    pub(crate) session: Option<Session>,
    pub(crate) uid: Option<Uid>,
    pub(crate) until: Instant,
    pub(crate) waited: bool,
    answer: oneshot::Sender<Outcome>,
}

impl Parcel {
    /// The message of a request, and what gives its end.
    pub(crate) fn of(rq: &Request<'_>) -> (Self, Box<dyn Running>) {
        let session = matches!(rq.origin, Origin::Client).then(|| rq.session.clone());
        let (uid, body) = (rq.uid.cloned(), rq.body.share());
        Self::new((rq.route, body), (session, uid), rq.deadline, true)
    }

    pub(crate) fn new(
        message: (RouteDef, Bytes),
        from: (Option<Session>, Option<Uid>),
        until: Instant,
        waited: bool,
    ) -> (Self, Box<dyn Running>) {
        let (answer, end) = oneshot::channel();
        let parcel = Self { route: message.0, body: message.1, session: from.0, uid: from.1, until, waited, answer };
        (parcel, Box::new(Awaited(end)))
    }
}

/// Waits for the end of a message that is handled elsewhere.
struct Awaited(oneshot::Receiver<Outcome>);

impl Running for Awaited {
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Answer> {
        Pin::new(&mut self.0).poll(cx).map(|end| match end {
            Ok(Ok(Some(body))) => Answer::body(&body, out),
            Ok(Ok(None)) => Answer::Nothing,
            Ok(Err(fault)) => Answer::Fault(fault),
            Err(_) => Answer::Fault(Refused::unread().fault()),
        })
    }
}

/// The lines of a kind by the names of their actors.
#[derive(Default)]
pub(crate) struct Lines {
    all: Mutex<HashMap<Arc<str>, mpsc::Sender<Parcel>>>,
    /// There is one, or there was.
    used: AtomicBool,
}

impl Lines {
    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, mpsc::Sender<Parcel>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Actor> Host<A> {
    /// Does a message for this key have to ask its way? Not if the actor is open here and nothing waits before it, nor
    /// if this process is alone.
    pub(crate) fn goes_afar(&self, key: &A::Key, cluster: &Cluster) -> bool {
        let others = cluster.has_other_nodes();
        if !others && !self.lines.used.load(Ordering::Relaxed) {
            return false;
        }
        let name = key.to_string();
        self.lines.all().contains_key(name.as_str())
            || others && !self.find_named(&name).is_some_and(|mailbox| mailbox.is_open())
    }

    /// Hands a message to the line of its actor.
    pub(crate) fn dispatch(self: &Arc<Self>, key: &A::Key, cluster: &Cluster, parcel: Parcel) -> Result<(), Fault> {
        let name: Arc<str> = key.to_string().into();
        Subject::actor(A::KIND, name.clone()).check().map_err(Fault::from)?;
        let mut lines = self.lines.all();
        let line = match lines.get(&name) {
            Some(line) => line.clone(),
            None => {
                let (line, parcels) = mpsc::channel(A::MAILBOX.max(1));
                lines.insert(name.clone(), line.clone());
                self.lines.used.store(true, Ordering::Relaxed);
                let task = Line { host: self.clone(), key: key.clone(), name, cluster: cluster.clone(), parcels };
                cluster.background(task.run());
                line
            }
        };
        // Under the lock: a line ends only when it is empty and nobody can fill it.
        line.try_send(parcel).map_err(|_| Refused::full().fault())
    }
}

/// One sender process's messages for one actor.
struct Line<A: Actor> {
    host: Arc<Host<A>>,
    key: A::Key,
    name: Arc<str>,
    cluster: Cluster,
    parcels: mpsc::Receiver<Parcel>,
}

/// Who has an actor, or gets it.
enum Whereabouts {
    Here,
    There(Instance),
}

impl<A: Actor> Line<A> {
    async fn run(mut self) {
        loop {
            match timeout(IDLE, self.parcels.recv()).await {
                Ok(Some(parcel)) => self.carry(parcel).await,
                Ok(None) => return,
                Err(_) => {
                    let mut lines = self.host.lines.all();
                    if self.parcels.is_empty() {
                        lines.remove(&self.name);
                        return;
                    }
                }
            }
        }
    }

    /// Sees one message to its end, or to the end of its time.
    async fn carry(&self, parcel: Parcel) {
        if parcel.waited && parcel.answer.is_closed() {
            return;
        }
        let until = parcel.until;
        let end = timeout_at(until, self.deliver(&parcel)).await.unwrap_or_else(|_| Err(Code::TIMEOUT.into()));
        let _ = parcel.answer.send(end);
    }

    async fn deliver(&self, parcel: &Parcel) -> Outcome {
        loop {
            let end = match self.whereabouts().await? {
                Whereabouts::Here => self.deliver_here(parcel).await,
                Whereabouts::There(member) => self.deliver_there(parcel, &member).await,
            };
            // Neither happened: the actor is about to be elsewhere.
            let moves = |fault: &Fault| [Kind::Moved.code(), Kind::Draining.code()].contains(&fault.code().number());
            match end {
                Err(fault) if moves(&fault) => sleep(AGAIN).await,
                end => return end,
            }
        }
    }

    /// Who has the actor by the locator; if nobody does, or who had it is gone, the node that shall open it.
    async fn whereabouts(&self) -> Result<Whereabouts, Fault> {
        let subject = Subject::actor(A::KIND, self.name.clone());
        let record = self.cluster.locator().locate(subject).await?;
        let peers = self.cluster.peers();
        for slot in record.node.values() {
            if slot.owner == self.host.common.own.owner {
                return Ok(Whereabouts::Here);
            }
            if !peers.is_gone(InstanceKind::Node, &slot.owner).await {
                return Ok(Whereabouts::There(peers.member(InstanceKind::Node, &slot.owner)?));
            }
        }
        let tables = peers.all_tables().await;
        let opens =
            |m: &&Instance| tables.get(&m.routes).is_some_and(|table| table.kinds.iter().any(|kind| kind == A::KIND));
        let mut hosts: Vec<Instance> = peers.nodes().iter().filter(opens).cloned().collect();
        loop {
            match pick(&mut hosts, rand::random()) {
                Some(member) if member.owner() == self.host.common.own.owner => return Ok(Whereabouts::Here),
                // One that cannot be reached may be dead, and not yet known to be.
                Some(member) if peers.link(&member).await.is_ok() => return Ok(Whereabouts::There(member)),
                Some(_) => {}
                None if self.host.open.is_none() => return Err(Fault::of(Kind::Unavailable)),
                None => return Ok(Whereabouts::Here),
            }
        }
    }

    async fn deliver_here(&self, parcel: &Parcel) -> Outcome {
        let common = &self.host.common;
        let nobody = &common.place.get().ok_or_else(|| Fault::of(Kind::Unavailable))?.nobody;
        let session = parcel.session.as_ref().unwrap_or(nobody).clone();
        let rq = OwnedRequest::of_node(
            (session, self.cluster.clone()),
            parcel.route,
            (parcel.body.clone(), parcel.uid.clone(), parcel.until),
            parcel.session.is_none().then(|| common.own.owner.clone()),
        );
        end_of(self.host.accept(Some(self.key.clone()), &self.name, &rq, parcel.waited)?).await
    }

    async fn deliver_there(&self, parcel: &Parcel, member: &Instance) -> Outcome {
        let letter = Letter {
            kind: A::KIND.to_owned(),
            key: self.name.to_string(),
            route: parcel.route.id.0,
            waited: parcel.waited,
            uid: parcel.uid.clone(),
            session: parcel.session.as_ref().map(Session::as_visit),
            body: parcel.body.clone(),
        };
        let link = self.cluster.peers().link(member).await?;
        Letter::outcome(link.ask((ACTOR_ORDER, letter.encode()), parcel.until).await?)
    }
}

/// Polls a message that was taken to its end.
pub(crate) async fn end_of(mut running: Box<dyn Running>) -> Outcome {
    let mut out = Vec::new();
    match std::future::poll_fn(|cx| running.poll(cx, &mut out)).await {
        Answer::Reply => Ok(Some(out.into())),
        Answer::Nothing => Ok(None),
        Answer::Fault(fault) => Err(fault),
        Answer::Later => Err(Fault::of(Kind::Unsupported)),
    }
}

impl<A: Actor> Host<A> {
    /// Takes a message for an actor of this node; opens it if it is not open. Without a `key` the route must tell it, or
    /// the kind be able to read it.
    pub(crate) fn accept(
        self: &Arc<Self>,
        key: Option<A::Key>,
        name: &Arc<str>,
        rq: &OwnedRequest,
        waited: bool,
    ) -> Result<Box<dyn Running>, Fault> {
        let rq = rq.view();
        let door = self.door(rq.route.id).ok_or_else(|| Fault::of(Kind::NoRoute))?;
        let write = |mailbox: &Arc<super::mailbox::Mailbox<A>>| {
            let (letter, waits) = door.write(&rq, mailbox, waited)?;
            Ok((letter, rq.body.bytes().len(), waits))
        };
        let key = match key.or_else(|| self.find_named(name).map(|m| m.key.clone())) {
            Some(key) => key,
            None => match door.key(&rq) {
                Some(key) => key?,
                None => A::read_key(name).ok_or_else(|| unreadable::<A>(name))?,
            },
        };
        if *key.to_string() != **name {
            return Err(Fault::of(Kind::BadRequest));
        }
        self.deliver(&key, rq.cluster, write)
    }
}

fn unreadable<A: Actor>(name: &str) -> Fault {
    let text =
        format!("no {} `{name}` is open; to open it by a message from another node its kind needs read_key", A::KIND);
    Fault::new(Kind::Unavailable.into(), text)
}
