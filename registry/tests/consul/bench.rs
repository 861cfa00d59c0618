//! Registries on a real server, and what fails between them and it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Url,
    registry::{Instance, InstanceKind, Registry, Standing, View, Watch},
};
use due_registry::consul;
use due_testkit::{
    registry::{Bench, Fault, Faults},
    server::{Direction, Program, Proxy, Server},
};
use serde_json::{Value, json};
use tokio::time;

/// Anything a healthy server shows, on a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(12);

/// Longest back-off and one call, after an outage.
pub(crate) const HEALED: Duration = Duration::from_secs(25);

/// A namespace that no other test and no earlier run has used.
pub(crate) fn namespace() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("test-{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn url(address: &str, namespace: &str) -> Url {
    Url::parse(&format!("consul://{address}/{namespace}?ttl=2s")).unwrap()
}

pub(crate) async fn open(address: &str, namespace: &str) -> Arc<dyn Registry> {
    consul::open(url(address, namespace)).await.unwrap()
}

pub(crate) fn node(id: &str) -> Instance {
    Instance { endpoints: vec!["link://10.0.0.1:7000".into()], ..Instance::new(InstanceKind::Node, id, "game") }
}

pub(crate) fn ids(view: &View) -> Vec<&str> {
    view.members.iter().map(|m| &*m.id.0).collect()
}

/// A live view of exactly these.
pub(crate) async fn see(watch: &mut Watch, wanted: &[&str]) -> View {
    let seen = time::timeout(HEALED, watch.until(|view| view.is_live() && ids(view) == wanted)).await;
    seen.unwrap_or_else(|_| panic!("not {wanted:?} but {:?}", watch.view()))
}

pub(crate) async fn stands(status: &mut tokio::sync::watch::Receiver<Standing>, wanted: Standing) {
    let stood = time::timeout(HEALED, status.wait_for(|s| *s == wanted)).await;
    stood.unwrap_or_else(|_| panic!("not {wanted:?}")).unwrap();
}

/// A client that is none of ours.
pub(crate) struct Agent(pub(crate) String);

impl Agent {
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("http://{}/v1/{path}", self.0)).await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) {
        let request = reqwest::Client::new().put(format!("http://{}/v1/{path}", self.0)).json(body);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// The services of a namespace.
    pub(crate) async fn services(&self, namespace: &str) -> Vec<String> {
        let all = self.get("agent/services").await;
        let ours = |id: &&String| id.starts_with(&format!("{namespace}-"));
        all.as_object().unwrap().keys().filter(ours).cloned().collect()
    }

    pub(crate) async fn forget(&self, service: &str) {
        self.put(&format!("agent/service/deregister/{service}"), &json!(null)).await;
    }
}

/// The network fails, or somebody else's client plays: for a server that others use too.
struct Network {
    way: Proxy,
    agent: Agent,
    namespace: String,
}

#[async_trait]
impl Faults for Network {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::LoseLease(key) => lose(&self.agent, &self.namespace, &key).await,
            Fault::Unavailable(true) => self.way.cut(),
            Fault::Hang(true) => {
                self.way.swallow(Direction::ToServer);
                self.way.swallow(Direction::ToClient);
            }
            Fault::Unavailable(false) | Fault::Hang(false) => self.way.mend(),
            Fault::Wipe | Fault::OldLists(_) | Fault::HideChanges(_) => return false,
        }
        true
    }
}

/// The server itself fails.
struct Machine {
    server: Arc<Server>,
    namespace: String,
}

#[async_trait]
impl Faults for Machine {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Wipe => self.server.wipe().await,
            Fault::LoseLease(key) => lose(&Agent(self.server.address().to_owned()), &self.namespace, &key).await,
            Fault::Unavailable(true) => self.server.kill(),
            Fault::Unavailable(false) => self.server.restart().await,
            Fault::Hang(true) => self.server.pause(),
            Fault::Hang(false) => self.server.resume(),
            Fault::OldLists(_) | Fault::HideChanges(_) => return false,
        }
        true
    }
}

/// Removes the services of a key.
async fn lose(agent: &Agent, namespace: &str, key: &str) {
    let prefix = format!("{namespace}-{}-", key.replace('/', "-"));
    for service in agent.services(namespace).await.iter().filter(|id| id.starts_with(&prefix)) {
        agent.forget(service).await;
    }
}

/// A bench on a server that others use too, through a network of its own.
pub(crate) async fn behind_a_network(server: &str) -> Bench {
    let (way, namespace) = (Proxy::to(server).await, namespace());
    let (a, b) = (open(way.address(), &namespace).await, open(way.address(), &namespace).await);
    Bench { a, b, faults: Arc::new(Network { way, agent: Agent(server.to_owned()), namespace }) }
}

/// A bench on a server of its own.
pub(crate) async fn on_a_machine(server: Arc<Server>) -> Bench {
    let namespace = namespace();
    let (a, b) = (open(server.address(), &namespace).await, open(server.address(), &namespace).await);
    Bench { a, b, faults: Arc::new(Machine { server, namespace }) }
}

pub(crate) async fn server() -> Option<Arc<Server>> {
    Server::start(Program::Consul).await.map(Arc::new)
}
