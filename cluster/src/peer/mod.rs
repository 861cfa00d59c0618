//! Other processes as this one reaches them beside the lanes of sessions: orders to gates, calls to nodes.
//!
//! A link is dialed at the first order and closed when it is idle. Who lives is what the registry says, and where that
//! names somebody no more, whether its last address still answers.

mod calls;
mod desk;
mod letter;
pub(crate) mod link;
pub(crate) mod missed;
pub(crate) mod probe;
mod roster;
mod served;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use due_core::{
    Error, Kind, Owner, Result, Url,
    registry::{Instance, InstanceKind, Registry},
    transport::{Dialer, Transport},
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};

pub(crate) use calls::{ACTOR_ORDER, CALL_ORDER, Called, Incoming, pick};
pub(crate) use letter::{Letter, Outcome, Visit};
use link::{Order, PeerLink};
use roster::{Roster, Seen};
use served::Told;

/// How long another process may take to answer a dial.
const DIAL: Duration = Duration::from_secs(2);
/// Between two looks at links without a connection.
const SWEEP: Duration = Duration::from_secs(1);
/// Lives that are remembered after the registry has dropped them, for a last look at their address.
const REMEMBERED: usize = 1024;

/// A link once it is dialed; locked while it is.
type Dialed = Arc<tokio::sync::Mutex<Place>>;

/// Where the link to a process stands.
#[derive(Default)]
struct Place {
    link: Option<Arc<PeerLink>>,
    /// When it could not be dialed last, and why.
    failed: Option<(Instant, Kind)>,
}

impl Place {
    fn open(&self) -> Option<&Arc<PeerLink>> {
        self.link.as_ref().filter(|link| !link.is_over())
    }

    /// Who waits for one dial gets its end, and does not dial once more.
    fn failed_since(&self, asked: Instant) -> Option<Kind> {
        self.failed.filter(|(at, _)| *at >= asked).map(|(_, kind)| kind)
    }
}

/// All other processes.
pub(crate) struct Peers {
    own: Owner,
    transport: Arc<dyn Transport>,
    service: Handle,
    nodes: Arc<Mutex<Roster>>,
    gates: Arc<Mutex<Roster>>,
    links: Mutex<HashMap<Owner, Dialed>>,
    told: Told,
}

impl Peers {
    /// Begins to follow the registry; the tasks do so until they are aborted. `own`: who dials.
    pub(crate) async fn new(
        own: Owner,
        registry: &Arc<dyn Registry>,
        transport: Arc<dyn Transport>,
    ) -> Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let (nodes, follow_nodes) = Roster::follow(registry, InstanceKind::Node).await?;
        let (gates, follow_gates) = Roster::follow(registry, InstanceKind::Gate).await?;
        let told = Told::new(nodes.lock().unwrap_or_else(PoisonError::into_inner).version());
        let (links, service) = (Mutex::default(), Handle::current());
        let peers = Arc::new(Self { own, transport, service, nodes, gates, links, told });
        let sweep = tokio::spawn(Self::sweep(Arc::downgrade(&peers)));
        Ok((peers, vec![follow_nodes, follow_gates, sweep]))
    }

    /// Ends links that have lost their connection for a while to processes that the registry does not list any more:
    /// those are gone, and who waits for them is told.
    async fn sweep(peers: Weak<Self>) {
        let mut down = HashSet::new();
        loop {
            tokio::time::sleep(SWEEP).await;
            let Some(peers) = peers.upgrade() else { return };
            let now = peers.down_and_dropped();
            now.iter().filter(|(owner, _)| down.contains(owner)).for_each(|(_, link)| link.end());
            down = now.into_iter().map(|(owner, _)| owner).collect();
        }
    }

    fn down_and_dropped(&self) -> Vec<(Owner, Arc<PeerLink>)> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let there =
            links.iter().filter_map(|(owner, slot)| Some((owner.clone(), slot.try_lock().ok()?.open()?.clone())));
        let down: Vec<_> = there.filter(|(_, link)| link.is_down()).collect();
        drop(links);
        let dropped = |kind, owner: &Owner| self.roster(kind).has_dropped(owner);
        let gone = |owner: &Owner| dropped(InstanceKind::Node, owner) || dropped(InstanceKind::Gate, owner);
        down.into_iter().filter(|(owner, _)| gone(owner)).collect()
    }

    /// A process that knows no other.
    #[cfg(test)]
    pub(crate) fn nobody(service: Handle) -> Self {
        let own = Owner { id: "alone".into(), incarnation: due_core::Incarnation(1) };
        let transport = Arc::new(due_core::transport::memory::Memory::default());
        let roster = || Arc::new(Mutex::new(Roster::unknown()));
        let (nodes, gates, links, told) = (roster(), roster(), Mutex::default(), Told::new(Arc::default()));
        Self { own, transport, service, nodes, gates, links, told }
    }

    fn roster(&self, kind: InstanceKind) -> std::sync::MutexGuard<'_, Roster> {
        let roster = if kind == InstanceKind::Gate { &self.gates } else { &self.nodes };
        roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gates that the registry lists.
    pub(crate) fn gates(&self) -> Vec<Owner> {
        self.roster(InstanceKind::Gate).members().iter().map(Instance::owner).collect()
    }

    /// The nodes that the registry lists.
    pub(crate) fn nodes(&self) -> Arc<[Instance]> {
        self.roster(InstanceKind::Node).members()
    }

    /// How many they are.
    pub(crate) fn nodes_listed(&self) -> usize {
        self.roster(InstanceKind::Node).len()
    }

    /// Is this life over? The registry names another one of the id, or it names none and the last address does not
    /// answer. A registry that does not answer itself says nothing.
    pub(crate) async fn is_gone(&self, kind: InstanceKind, owner: &Owner) -> bool {
        let seen = self.roster(kind).look(owner);
        match seen {
            Seen::Listed(_) | Seen::Unsure => false,
            Seen::Replaced | Seen::Never => true,
            Seen::Dropped(last) => !self.answers(&last, owner).await,
        }
    }

    /// Is there a link to it that works, or can one be made?
    async fn answers(&self, last: &Instance, owner: &Owner) -> bool {
        let known = self.links.lock().unwrap_or_else(PoisonError::into_inner).get(owner).cloned();
        let down = known.and_then(|slot| Some(slot.try_lock().ok()?.link.as_ref().is_some_and(|l| l.is_down())));
        match down {
            // It waits for its connection to come back: another one tells at once.
            Some(true) => self.dial(last, owner).await.is_ok(),
            _ => self.link(last).await.is_ok(),
        }
    }

    /// Sends an order to a gate and waits for its answer. `Unavailable` if it cannot be reached.
    pub(crate) async fn ask_gate(&self, gate: &Owner, order: Order, until: Instant) -> Result<Vec<u8>> {
        let member = self.member(InstanceKind::Gate, gate)?;
        Ok(self.link(&member).await?.ask(order, until).await?.into())
    }

    /// What is known of a life that may still be reached.
    pub(crate) fn member(&self, kind: InstanceKind, owner: &Owner) -> Result<Instance> {
        match self.roster(kind).look(owner) {
            Seen::Listed(member) | Seen::Dropped(member) => Ok(member),
            _ => Err(Error::new(Kind::Unavailable, "the registry does not list it").context("instance", owner)),
        }
    }

    /// The link to a process; dials if there is none. Many who ask at once wait for one dial.
    pub(crate) async fn link(&self, member: &Instance) -> Result<Arc<PeerLink>> {
        let (owner, asked) = (member.owner(), Instant::now());
        let place = self.place(&owner);
        let mut place = place.lock().await;
        if let Some(link) = place.open() {
            return Ok(link.clone());
        }
        if let Some(kind) = place.failed_since(asked) {
            return Err(Error::new(kind, "it could not be dialed just now").context("instance", owner));
        }
        match self.dial(member, &owner).await {
            Ok(link) => {
                *place = Place { link: Some(link.clone()), failed: None };
                Ok(link)
            }
            Err(e) => {
                *place = Place { link: None, failed: Some((Instant::now(), e.kind())) };
                self.roster(member.kind).unreachable(&owner);
                Err(e)
            }
        }
    }

    fn place(&self, owner: &Owner) -> Dialed {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = links.get(owner) {
            return place.clone();
        }
        // Places of links that are over, and that nobody dials now.
        links.retain(|_, place| place.try_lock().map_or(true, |place| place.open().is_some()));
        links.entry(owner.clone()).or_default().clone()
    }

    async fn dial(&self, member: &Instance, owner: &Owner) -> Result<Arc<PeerLink>> {
        let unavailable = |text: &'static str| Error::new(Kind::Unavailable, text).context("instance", owner);
        let endpoint = member.endpoints.first().ok_or_else(|| unavailable("it listens nowhere"))?;
        let url = Url::parse(endpoint)?;
        let from = Dialer { owner: self.own.clone(), shard: Dialer::ORDERS };
        match timeout(DIAL, self.transport.connect(&url, from, owner)).await {
            Ok(link) => Ok(PeerLink::start(link?, &self.service)),
            Err(_) => Err(unavailable("it does not answer")),
        }
    }
}
