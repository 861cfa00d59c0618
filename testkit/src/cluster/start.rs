//! From the description of an application to a cluster that runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use due_cluster::App;
use due_core::{Drivers, locate, locate::Locator, registry, registry::Registry, transport, transport::Transport};

use super::{
    dice::Dice,
    late::Late,
    process::{Part, Process},
};

/// An application as several processes in one test. Describe it with [`gates`](Self::gates), [`nodes`](Self::nodes),
/// [`seed`](Self::seed) and [`slow_locator`](Self::slow_locator), then [`start`](Self::start) it; the other methods panic
/// before that.
///
/// Instances are named after their part and numbered from 1: `gate-1`, `game-1`, `game-2`.
pub struct TestCluster {
    pub(super) app: Box<dyn Fn() -> App>,
    gates: usize,
    nodes: usize,
    seed: u64,
    slow: Duration,
    world: Option<World>,
}

/// What a cluster that runs consists of.
pub(super) struct World {
    pub(super) drivers: Drivers,
    pub(super) transport: transport::memory::Memory,
    pub(super) registry: registry::memory::Memory,
    pub(super) locator: locate::memory::Memory,
    pub(super) dice: Dice,
    pub(super) processes: Mutex<BTreeMap<String, Process>>,
    /// Whose turn it is to get the next client.
    pub(super) turn: AtomicUsize,
}

impl TestCluster {
    /// One gate and one node of each part that `app` describes; it is called once for each process. Listeners become
    /// `memory://` with the settings and the dialect they have; a gate without one gets one. Backends are in memory
    /// whatever the application says; shards run inline.
    pub fn new(app: impl Fn() -> App + 'static) -> Self {
        Self { app: Box::new(app), gates: 1, nodes: 1, seed: 0, slow: Duration::ZERO, world: None }
    }

    /// So many instances of each gate.
    #[must_use]
    pub fn gates(mut self, n: usize) -> Self {
        self.gates = n;
        self
    }

    /// So many instances of each node.
    #[must_use]
    pub fn nodes(mut self, n: usize) -> Self {
        self.nodes = n;
        self
    }

    /// Decides all that [`dice`](Self::dice) gives, and the delays of a slow locator.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The locator takes a random time up to `longest` before it decides and again before its answer arrives; its feeds
    /// lag as well. Each call on its own, so answers and feeds overtake each other.
    #[must_use]
    pub fn slow_locator(mut self, longest: Duration) -> Self {
        self.slow = longest;
        self
    }

    /// Starts the nodes, then the gates, which know all nodes then. Panics with the reason when one does not start.
    #[must_use]
    pub async fn start(mut self) -> Self {
        let app = (self.app)();
        let (gates, nodes) = app.part_names();
        self.world = Some(World::new(app.drivers(), Dice::new(self.seed), self.slow));
        let instances = |names: &[String], gate: bool, n: usize| -> Vec<(String, Part)> {
            let named = names.iter().enumerate();
            named.flat_map(|(at, name)| (1..=n).map(move |i| (format!("{name}-{i}"), Part { gate, at }))).collect()
        };
        for (name, part) in instances(&nodes, false, self.nodes).into_iter().chain(instances(&gates, true, self.gates))
        {
            self.start_process(&name, part).await;
        }
        self
    }

    pub(super) fn world(&self) -> &World {
        self.world.as_ref().unwrap_or_else(|| panic!("start the cluster first"))
    }

    /// The backends that all processes share.
    pub fn drivers(&self) -> &Drivers {
        &self.world().drivers
    }

    /// The numbers of this cluster's seed.
    pub fn dice(&self) -> &Dice {
        &self.world().dice
    }

    /// Lets so much time pass, with all timers of that time in order and everything they cause done. Under paused time
    /// it takes no real time.
    pub async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    /// Under paused time: waits until nobody has anything to do but wait for a timer.
    pub async fn settle(&self) {
        self.advance(Duration::from_millis(1)).await;
    }
}

impl World {
    fn new(drivers: &Drivers, dice: Dice, slow: Duration) -> Self {
        let mut drivers = drivers.clone();
        let transport = transport::memory::Memory::default();
        let registry = registry::memory::Memory::default();
        let locator = locate::memory::Memory::default();
        let kept = registry::Kept::with(
            registry.clone(),
            registry::Kept::<registry::memory::Memory>::TTL,
            Some(dice.roll(u64::MAX)),
        );
        let asked: Arc<dyn Locator> = match slow.is_zero() {
            true => Arc::new(locator.clone()),
            false => Arc::new(Late::new(locator.clone(), slow, dice.clone())),
        };
        let (links, listed): (Arc<dyn Transport>, Arc<dyn Registry>) = (Arc::new(transport.clone()), Arc::new(kept));
        drivers.transport.add("memory", move |_| std::future::ready(Ok(links.clone())));
        drivers.registry.add("memory", move |_| std::future::ready(Ok(listed.clone())));
        drivers.locator.add("memory", move |_| std::future::ready(Ok(asked.clone())));
        let (processes, turn) = (Mutex::default(), AtomicUsize::new(0));
        Self { drivers, transport, registry, locator, dice, processes, turn }
    }

    pub(super) fn processes(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TestCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.world.as_ref().map(|w| w.processes().keys().cloned().collect::<Vec<_>>());
        f.debug_struct("TestCluster").field("processes", &names).field("seed", &self.seed).finish_non_exhaustive()
    }
}
