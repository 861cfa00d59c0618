//! One gate or node as a process: its start, its end, and what it says of itself.

use std::{sync::atomic::Ordering, time::Duration};

use due_cluster::{
    Cluster, Running, Snapshot,
    app::{Alone, Drained},
};
use due_core::{Result, Url, registry::State};

use super::{client::Client, start::TestCluster};

/// Which part of the application a process is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) gate: bool,
    pub(super) at: usize,
}

pub(super) struct Process {
    part: Part,
    /// The first listener of a gate, with its dialect and settings.
    listener: Option<Url>,
    running: Option<Running>,
}

/// How long a process may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);

impl TestCluster {
    pub(super) async fn start_process(&self, name: &str, part: Part) {
        let world = self.world();
        let alone = Alone { gate: part.gate, at: part.at, id: name.to_owned(), drivers: world.drivers.clone() };
        let app = (self.app)().alone(alone).unwrap_or_else(|e| panic!("{name}: {e}"));
        let listener = app.listeners().first().and_then(|url| Url::parse(url).ok());
        let running = app.start().await.unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        world.processes().insert(name.to_owned(), Process { part, listener, running: Some(running) });
    }

    fn process<T>(&self, name: &str, look: impl FnOnce(&mut Process) -> T) -> T {
        let looked = self.world().processes().get_mut(name).map(look);
        looked.unwrap_or_else(|| panic!("the cluster has no process `{name}`: {self:?}"))
    }

    /// Takes a process that runs in hand for as long as `work` needs it.
    async fn with<T>(&self, name: &str, work: impl AsyncFnOnce(&Running) -> T) -> T {
        let running = self.take(name);
        let result = work(&running).await;
        self.process(name, |p| p.running = Some(running));
        result
    }

    fn take(&self, name: &str) -> Running {
        self.process(name, |p| p.running.take()).unwrap_or_else(|| panic!("`{name}` does not run"))
    }

    /// Ends a process as kill -9 does: nothing queued is sent, its links and connections break, the registry lists it
    /// until its lease of 10 s is over, its users stay bound in the locator.
    pub async fn kill(&self, name: &str) {
        self.take(name).kill().await;
    }

    /// Stops a process as SIGTERM does, within 30 s; the error names what was left then.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.take(name).stop(STOP_LIMIT).await
    }

    /// The same, with an account of the sessions that had to leave.
    pub async fn drain(&self, name: &str) -> Drained {
        self.take(name).drain(STOP_LIMIT).await
    }

    /// Starts a process again under its id, as another incarnation. After a kill this waits until the lease of the
    /// earlier one is over.
    pub async fn restart(&self, name: &str) {
        let part = self.process(name, |p| {
            assert!(p.running.is_none(), "`{name}` still runs");
            p.part
        });
        self.start_process(name, part).await;
    }

    /// Tells the registry of a process's state and waits until it has it.
    pub async fn announce(&self, name: &str, state: State) -> Result<()> {
        self.with(name, async |running| running.announce(state).await).await
    }

    /// The cluster as this process sees it.
    pub fn cluster(&self, name: &str) -> Cluster {
        self.process(name, |p| p.running.as_ref().map(|r| r.cluster().clone()))
            .unwrap_or_else(|| panic!("`{name}` does not run"))
    }

    /// What this process has counted.
    pub async fn snapshot(&self, name: &str) -> Snapshot {
        self.with(name, async |running| running.snapshot().await).await
    }

    /// The names of the processes that run.
    pub fn running(&self) -> Vec<String> {
        let processes = self.world().processes();
        processes.iter().filter(|(_, p)| p.running.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// A client that said hello, on the next gate that runs.
    pub async fn client(&self) -> Client {
        self.client_at(&self.next_gate()).await
    }

    /// A client that said hello, on this gate.
    pub async fn client_at(&self, gate: &str) -> Client {
        self.client_with(gate, serde_json::Value::Null).await
    }

    /// A client whose hello carries this, on this gate. One that was refused is [closed](Client::closed) already.
    pub async fn client_with(&self, gate: &str, hello: serde_json::Value) -> Client {
        self.connect(gate, Some(hello)).await
    }

    /// A client of real due on this gate: it knows no hello, so it is never told of errors.
    pub async fn old_client_at(&self, gate: &str) -> Client {
        self.connect(gate, None).await
    }

    async fn connect(&self, gate: &str, hello: Option<serde_json::Value>) -> Client {
        let listener = self.process(gate, |p| p.listener.clone());
        let listener = listener.unwrap_or_else(|| panic!("`{gate}` has no listener"));
        let client = Client::connect(&self.world().drivers, gate, &listener, hello).await;
        client.unwrap_or_else(|e| panic!("no client on {gate}: {e}"))
    }

    fn next_gate(&self) -> String {
        let processes = self.world().processes();
        let gates: Vec<&String> =
            processes.iter().filter(|(_, p)| p.part.gate && p.running.is_some()).map(|(name, _)| name).collect();
        let turn = self.world().turn.fetch_add(1, Ordering::Relaxed);
        match gates.get(turn.checked_rem(gates.len()).unwrap_or(0)) {
            Some(gate) => gate.to_string(),
            None => panic!("no gate runs"),
        }
    }
}
