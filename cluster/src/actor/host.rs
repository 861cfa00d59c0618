//! All actors of one kind on one node.

use std::{
    any::Any,
    collections::HashMap,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due_core::{Kind, RouteDef, RouteId, Uid, locate::Subject};
use tokio::sync::watch;

use super::{
    Actor,
    afar::Lines,
    life::{self, Birth},
    mailbox::{Closed, Letter, Mailbox, Phase, Stop},
    refused::Refused,
    route::Door,
};
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{OwnedRequest, Running},
    session::{NodeSelf, Session},
    shard::{driver::Shard, inbox::Inbox},
};

/// What all kinds of a node have in common.
pub(crate) struct Common {
    pub(crate) own: Arc<NodeSelf>,
    pub(crate) deadline: Duration,
    pub(crate) place: OnceLock<Place>,
    pub(crate) draining: AtomicBool,
}

/// Where a node's actors run; known once its shards are.
pub(crate) struct Place {
    /// The inboxes of the node's shards.
    pub(crate) shards: Vec<Arc<Inbox>>,
    /// Stands in for the session of messages that no client sent.
    pub(crate) nobody: Session,
}

pub(crate) type Opening<A> = Pin<Box<dyn Future<Output = Result<A, Fault>> + Send>>;
pub(crate) type Open<A> = Box<dyn Fn(<A as Actor>::Key, Cluster) -> Opening<A> + Send + Sync>;

/// All actors of one kind on one node.
pub(crate) struct Host<A: Actor> {
    pub(crate) common: Arc<Common>,
    pub(crate) open: Option<Open<A>>,
    doors: HashMap<RouteId, Arc<dyn Door<A>>>,
    live: Mutex<HashMap<Arc<str>, Arc<Mailbox<A>>>>,
    users: Mutex<HashMap<Uid, Arc<Mailbox<A>>>>,
    pub(crate) lines: Lines,
}

/// A [`Host`] without its type.
pub(crate) trait AnyHost: Any + Send + Sync {
    /// The type of its actors, for people.
    fn type_name(&self) -> &'static str;
    fn has_opener(&self) -> bool;
    /// Adds a route that calls by constant may take.
    fn add_door(&mut self, def: RouteDef, door: &dyn Any);
    /// Takes a message of another node for the actor of this name.
    fn letter(self: Arc<Self>, name: &Arc<str>, rq: &OwnedRequest, waited: bool) -> Result<Box<dyn Running>, Fault>;
    /// The name of the actor that a user is attached to.
    fn name_of_user(&self, uid: &Uid) -> Option<Arc<str>>;
    /// Ends all actors once their mailboxes are empty; gives their phases.
    fn drain(&self) -> Vec<(String, watch::Receiver<Phase>)>;
}

impl<A: Actor> Host<A> {
    pub(crate) fn new(common: Arc<Common>, open: Option<Open<A>>) -> Self {
        Self {
            common,
            open,
            doors: HashMap::new(),
            live: Mutex::default(),
            users: Mutex::default(),
            lines: Lines::default(),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Mailbox<A>>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Uid, Arc<Mailbox<A>>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn door(&self, route: RouteId) -> Option<&Arc<dyn Door<A>>> {
        self.doors.get(&route)
    }

    /// The actor of a key, if it is here; it may be ending.
    pub(crate) fn find(&self, key: &A::Key) -> Option<Arc<Mailbox<A>>> {
        self.find_named(&key.to_string())
    }

    pub(crate) fn find_named(&self, name: &str) -> Option<Arc<Mailbox<A>>> {
        self.live().get(name).cloned()
    }

    /// The actor of a key; opens it if there is none.
    pub(crate) fn reach(self: &Arc<Self>, key: &A::Key, cluster: &Cluster) -> Result<Arc<Mailbox<A>>, Refused> {
        let name: Arc<str> = key.to_string().into();
        {
            let live = self.live();
            if let Some(mailbox) = live.get(&name).filter(|m| m.is_open()) {
                return Ok(Arc::clone(mailbox));
            }
        }
        if self.open.is_none() {
            return Err(Refused::new(
                Kind::Gone,
                format!("no {} of this key is open, and nothing says how to open one", A::KIND),
            ));
        }
        self.begin(name, key, cluster, Birth::Open).map(|(mailbox, _)| mailbox)
    }

    /// Starts an actor that exists already. Refused with `Duplicate` if the key is taken.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        key: &A::Key,
        cluster: &Cluster,
        actor: A,
    ) -> Result<Arc<Mailbox<A>>, Refused> {
        match self.begin(key.to_string().into(), key, cluster, Birth::Given(actor))? {
            (mailbox, true) => Ok(mailbox),
            (..) => Err(Refused::new(Kind::Duplicate, format!("there is a {} of this key", A::KIND))),
        }
    }

    /// Puts a new life in place of none or an ending one and starts it; `false`: there is one already.
    fn begin(
        self: &Arc<Self>,
        name: Arc<str>,
        key: &A::Key,
        cluster: &Cluster,
        birth: Birth<A>,
    ) -> Result<(Arc<Mailbox<A>>, bool), Refused> {
        Subject::actor(A::KIND, Arc::clone(&name)).check()?;
        let mut live = self.live();
        if self.common.draining.load(Ordering::Acquire) {
            return Err(Refused::new(Kind::Draining, "the node is stopping"));
        }
        let before = match live.get(&name) {
            Some(mailbox) if mailbox.is_open() => return Ok((Arc::clone(mailbox), false)),
            Some(ending) => Some(ending.phase.subscribe()),
            None => None,
        };
        let mailbox = Mailbox::new(Arc::clone(&name), key.clone(), Arc::clone(self), cluster.clone());
        live.insert(name, Arc::clone(&mailbox));
        drop(live);
        match self.launch(life::live(life::Guard::new(Arc::clone(&mailbox)), birth, before), &mailbox) {
            true => Ok((mailbox, true)),
            false => Err(Refused::new(Kind::Unavailable, "the node has ended")),
        }
    }

    /// Runs an actor's task on the shard that its key falls to. `false` where there is none any more: the task is dropped,
    /// which ends the actor.
    fn launch(&self, task: impl Future<Output = ()> + Send + 'static, mailbox: &Mailbox<A>) -> bool {
        let Some(place) = self.common.place.get() else { return false };
        let mut hash = DefaultHasher::new();
        (A::KIND, &mailbox.name).hash(&mut hash);
        let at = hash.finish() % (place.shards.len().max(1) as u64);
        let start = move |shard: &mut Shard| {
            while shard.actors.try_join_next().is_some() {}
            shard.actors.spawn(shard.pulse.watch(A::KIND, task));
        };
        place.shards.get(at as usize).is_some_and(|inbox| inbox.run(start))
    }

    /// Takes a letter made anew for each try, and opens the actor where an ending one gave it back.
    pub(crate) fn deliver<R>(
        self: &Arc<Self>,
        key: &A::Key,
        cluster: &Cluster,
        mut write: impl FnMut(&Arc<Mailbox<A>>) -> Result<Written<A, R>, Fault>,
    ) -> Result<R, Fault> {
        loop {
            let mailbox = self.reach(key, cluster).map_err(Refused::fault)?;
            let (letter, bytes, waits) = write(&mailbox)?;
            match mailbox.push(letter, bytes) {
                Ok(()) => return Ok(waits),
                Err((_, Closed::Full)) => return Err(Refused::full().fault()),
                Err((_, Closed::Ending)) => {}
            }
        }
    }

    /// The actor a user is attached to.
    pub(crate) fn of_user(&self, uid: &Uid) -> Option<Arc<Mailbox<A>>> {
        self.users().get(uid).filter(|m| m.is_open()).cloned()
    }

    /// The user's messages go to this actor from now on.
    pub(crate) fn attach(&self, uid: &Uid, session: &Session, mailbox: &Arc<Mailbox<A>>) {
        mailbox.attach(uid.clone(), session.clone());
        let before = self.users().insert(uid.clone(), Arc::clone(mailbox));
        if let Some(before) = before.filter(|m| !Arc::ptr_eq(m, mailbox)) {
            before.detach(uid);
        }
    }

    /// Ends the attachment of a user, to this actor only if one is named.
    pub(crate) fn detach(&self, uid: &Uid, from: Option<&Arc<Mailbox<A>>>) {
        let mut users = self.users();
        if from.is_some_and(|from| !users.get(uid).is_some_and(|m| Arc::ptr_eq(m, from))) {
            return;
        }
        let left = users.remove(uid);
        drop(users);
        if let Some(mailbox) = left {
            mailbox.detach(uid);
        }
    }

    /// The end of a life: its name is free, unless a later one has it already.
    pub(crate) fn forget(&self, mailbox: &Mailbox<A>) {
        let mut live = self.live();
        let same = live.get(&mailbox.name).is_some_and(|m| std::ptr::eq(Arc::as_ptr(m), mailbox));
        let gone = if same { live.remove(&mailbox.name) } else { None };
        drop(live);
        drop(gone);
    }
}

/// A letter, its bytes, and what the sender waits with.
pub(crate) type Written<A, R> = (Box<dyn Letter<A>>, usize, R);

impl<A: Actor> AnyHost for Host<A> {
    fn type_name(&self) -> &'static str {
        std::any::type_name::<A>()
    }

    fn has_opener(&self) -> bool {
        self.open.is_some()
    }

    fn add_door(&mut self, def: RouteDef, door: &dyn Any) {
        if let Some(door) = door.downcast_ref::<Arc<dyn Door<A>>>() {
            self.doors.insert(def.id, Arc::clone(door));
        }
    }

    fn letter(self: Arc<Self>, name: &Arc<str>, rq: &OwnedRequest, waited: bool) -> Result<Box<dyn Running>, Fault> {
        self.accept(None, name, rq, waited)
    }

    fn name_of_user(&self, uid: &Uid) -> Option<Arc<str>> {
        self.of_user(uid).map(|mailbox| mailbox.name.clone())
    }

    fn drain(&self) -> Vec<(String, watch::Receiver<Phase>)> {
        let all: Vec<_> = self.live().values().cloned().collect();
        let stop = |mailbox: Arc<Mailbox<A>>| {
            mailbox.stop(Stop::Drained);
            (format!("{}/{}", A::KIND, mailbox.name), mailbox.phase.subscribe())
        };
        all.into_iter().map(stop).collect()
    }
}
