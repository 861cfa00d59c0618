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
use due_registry::etcd;
use due_testkit::{
    registry::{Bench, Fault, Faults},
    server::{Direction, Program, Proxy, Server},
};
use etcd_client::Client;
use tokio::time;

/// Anything a healthy server shows, on a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Longest back-off and one call, after an outage.
pub(crate) const HEALED: Duration = Duration::from_secs(20);

/// A namespace that no other test and no earlier run has used.
pub(crate) fn namespace() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("test-{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn url(address: &str, namespace: &str) -> Url {
    Url::parse(&format!("etcd://{address}/{namespace}?ttl=2s")).unwrap()
}

pub(crate) async fn open(address: &str, namespace: &str) -> Arc<dyn Registry> {
    etcd::open(url(address, namespace)).await.unwrap()
}

/// A client that is none of ours.
pub(crate) async fn client(address: &str) -> Client {
    Client::connect([address], None).await.unwrap()
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
    time::timeout(HEALED, status.wait_for(|s| *s == wanted))
        .await
        .unwrap_or_else(|_| panic!("not {wanted:?}"))
        .unwrap();
}

/// The network fails, or somebody else's client plays: for a server that others use too.
pub(crate) struct Network {
    way: Proxy,
    server: String,
    namespace: String,
}

#[async_trait]
impl Faults for Network {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::LoseLease(key) => revoke(&self.server, &format!("/{}/registry/{key}", self.namespace)).await,
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
            Fault::LoseLease(key) => {
                revoke(self.server.address(), &format!("/{}/registry/{key}", self.namespace)).await;
            }
            Fault::Unavailable(true) => self.server.kill(),
            Fault::Unavailable(false) => self.server.restart().await,
            Fault::Hang(true) => self.server.pause(),
            Fault::Hang(false) => self.server.resume(),
            Fault::OldLists(_) | Fault::HideChanges(_) => return false,
        }
        true
    }
}

/// Ends the lease of a key.
pub(crate) async fn revoke(address: &str, key: &str) {
    let mut client = client(address).await;
    let lease = client.get(key, None).await.unwrap().kvs()[0].lease();
    client.lease_revoke(lease).await.unwrap();
}

/// A bench on a server that others use too, through a network of its own.
pub(crate) async fn behind_a_network(server: &str) -> Bench {
    let (way, namespace) = (Proxy::to(server).await, namespace());
    let (a, b) = (open(way.address(), &namespace).await, open(way.address(), &namespace).await);
    Bench { a, b, faults: Arc::new(Network { way, server: server.to_owned(), namespace }) }
}

/// A bench on a server of its own.
pub(crate) async fn on_a_machine(server: Arc<Server>) -> Bench {
    let namespace = namespace();
    let (a, b) = (open(server.address(), &namespace).await, open(server.address(), &namespace).await);
    Bench { a, b, faults: Arc::new(Machine { server, namespace }) }
}

pub(crate) async fn server() -> Option<Arc<Server>> {
    Server::start(Program::Etcd).await.map(Arc::new)
}
