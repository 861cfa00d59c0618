//! The kinds of actors that a node hosts, as the application declares them and as the node holds them.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use due_core::{Error, Kind, Result, RouteDef, Uid};
use tokio::time::{Instant, timeout_at};

use super::{
    Actor,
    host::{AnyHost, Common, Host, Open, Place},
    mailbox::Phase,
    refused::Refused,
    route::{Door, Slot},
};
use crate::{cluster::Cluster, fault::Fault, session::NodeSelf};

type MakeHost = Box<dyn FnOnce(Arc<Common>) -> Box<dyn AnyHost> + Send>;

/// The kinds of actors a node hosts.
#[derive(Default)]
pub(crate) struct Kinds {
    openers: Vec<(&'static str, &'static str, MakeHost)>,
}

impl Kinds {
    /// The names of the kinds.
    pub(crate) fn names(&self) -> Vec<String> {
        self.openers.iter().map(|(kind, ..)| (*kind).to_owned()).collect()
    }

    /// Says how actors of a kind are opened.
    pub(crate) fn add<A, F, Fut>(&mut self, open: F)
    where
        A: Actor,
        F: Fn(A::Key, Cluster) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::result::Result<A, Fault>> + Send + 'static,
    {
        let open: Open<A> = Box::new(move |key, cluster| Box::pin(open(key, cluster)));
        let make: MakeHost = Box::new(|common| Box::new(Host::<A>::new(common, Some(open))));
        self.openers.push((A::KIND, std::any::type_name::<A>(), make));
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.openers.iter().map(|o| o.0)).finish()
    }
}

/// A route of a table that leads to actors of a kind.
pub(crate) struct DoorOf {
    kind: &'static str,
    def: RouteDef,
    /// The route opens actors by key.
    opens: bool,
    /// An `Arc<dyn Door<A>>` once the route has its state.
    door: Box<dyn Fn() -> Option<Box<dyn Any>> + Send>,
    make: fn(Arc<Common>) -> Box<dyn AnyHost>,
}

impl DoorOf {
    pub(crate) fn new<A: Actor>(def: RouteDef, opens: bool, slot: Arc<Slot<A>>) -> Self {
        let door = move || {
            let door: Arc<dyn Door<A>> = Arc::clone(slot.get()?);
            Some(Box::new(door) as Box<dyn Any>)
        };
        let make = |common| Box::new(Host::<A>::new(common, None)) as Box<dyn AnyHost>;
        Self { kind: A::KIND, def, opens, door: Box::new(door), make }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Is this the route, and does it follow its user's attachment?
    pub(crate) fn follows(&self, def: RouteDef) -> bool {
        !self.opens && self.def.id == def.id
    }
}

/// All actors of a node.
pub(crate) struct NodeActors {
    common: Arc<Common>,
    hosts: Mutex<HashMap<&'static str, Arc<dyn AnyHost>>>,
}

impl NodeActors {
    /// Puts kinds and routes together. Errors: `Config`, naming all kinds that two types share or two openers open, and
    /// routes that open actors by key where nothing opens them.
    pub(crate) fn new(kinds: Kinds, doors: &[DoorOf], own: Arc<NodeSelf>, deadline: Duration) -> Result<Self> {
        let common = Arc::new(Common { own, deadline, place: OnceLock::new(), draining: AtomicBool::new(false) });
        let mut hosts: BTreeMap<&'static str, Box<dyn AnyHost>> = BTreeMap::new();
        let mut faults = Vec::new();
        for (kind, name, make) in kinds.openers {
            if hosts.insert(kind, make(common.clone())).is_some() {
                faults.push(format!("`{kind}` is opened twice, the second time as {name}"));
            }
        }
        for DoorOf { kind, def, opens, door, make } in doors {
            let bare = make(common.clone());
            let name = bare.type_name();
            let host = hosts.entry(kind).or_insert(bare);
            if host.type_name() != name {
                faults.push(format!("{} and {name} are both of kind `{kind}`", host.type_name()));
            } else if *opens && !host.has_opener() {
                faults
                    .push(format!("route `{}` opens {name} by key: add Node::actors with a way to open it", def.name));
            }
            if let Some(door) = door() {
                host.add_door(*def, &*door);
            }
        }
        if !faults.is_empty() {
            return Err(Error::config(format!("actors: {}", faults.join("; "))));
        }
        let hosts = hosts.into_iter().map(|(kind, host)| (kind, Arc::from(host))).collect();
        Ok(Self { common, hosts: Mutex::new(hosts) })
    }

    /// Says where they run; before that none can be opened.
    pub(crate) fn settle(&self, place: Place) {
        let _ = self.common.place.set(place);
    }

    pub(crate) fn is_of(&self, node: &Arc<NodeSelf>) -> bool {
        Arc::ptr_eq(&self.common.own, node)
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<&'static str, Arc<dyn AnyHost>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host of a kind by its name.
    pub(crate) fn of_kind(&self, kind: &str) -> Option<Arc<dyn AnyHost>> {
        self.hosts().get(kind).cloned()
    }

    /// The host of a kind that is declared here.
    pub(crate) fn known<A: Actor>(&self) -> Option<Arc<Host<A>>> {
        let host: Arc<dyn Any + Send + Sync> = self.hosts().get(A::KIND)?.clone();
        host.downcast().ok()
    }

    /// The host of a kind; one that is not declared has neither opener nor routes.
    pub(crate) fn host<A: Actor>(&self) -> std::result::Result<Arc<Host<A>>, Refused> {
        let make = || Arc::new(Host::<A>::new(self.common.clone(), None)) as Arc<dyn AnyHost>;
        let host: Arc<dyn Any + Send + Sync> = self.hosts().entry(A::KIND).or_insert_with(make).clone();
        host.downcast().map_err(|_| Refused::new(Kind::Config, format!("two types are of kind `{}`", A::KIND)))
    }

    /// The actors that a user is attached to, as `kind/key`, by kind.
    pub(crate) fn of_user(&self, uid: &Uid) -> Vec<String> {
        let hosts: Vec<_> = self.hosts().iter().map(|(kind, host)| (*kind, host.clone())).collect();
        let mut all: Vec<String> =
            hosts.iter().filter_map(|(kind, host)| Some(format!("{kind}/{}", host.name_of_user(uid)?))).collect();
        all.sort_unstable();
        all
    }

    /// Actors may be opened again after a drain that was taken back.
    pub(crate) fn reopen(&self) {
        self.common.draining.store(false, Ordering::Release);
    }

    /// Lets all actors finish what stands in their mailboxes and end; opens no more. Gives the names of those that are
    /// left at the deadline.
    pub(crate) async fn drain(&self, until: Instant) -> Vec<String> {
        self.common.draining.store(true, Ordering::Release);
        let hosts: Vec<_> = self.hosts().values().cloned().collect();
        let all: Vec<_> = hosts.iter().flat_map(|host| host.drain()).collect();
        let mut left = Vec::new();
        for (name, mut phase) in all {
            if timeout_at(until, phase.wait_for(Phase::is_over)).await.is_err() {
                left.push(name);
            }
        }
        left
    }
}
