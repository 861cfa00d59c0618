//! Sources on a real server, and what fails between them and it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_config::etcd;
use due_core::{
    Url,
    config::{ConfigSource, Update, Watch},
};
use due_testkit::{
    config::{Bench, Fault, Faults},
    server::{Program, Proxy, Server},
};
use etcd_client::Client;
use tokio::time;

/// Anything a healthy server shows, and the longest wait after an outage.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A namespace that no other test and no earlier run has used.
pub(crate) fn namespace() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("test-{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn open(address: &str, namespace: &str) -> Arc<dyn ConfigSource> {
    etcd::open(Url::parse(&format!("etcd://{address}/{namespace}")).unwrap()).await.unwrap()
}

/// A client that is none of ours.
pub(crate) async fn client(address: &str) -> Client {
    Client::connect([address], None).await.unwrap()
}

pub(crate) async fn server() -> Option<Arc<Server>> {
    Server::start(Program::Etcd).await.map(Arc::new)
}

pub(crate) async fn next(watch: &mut Watch) -> Update {
    time::timeout(SOON, watch.next()).await.expect("an update in time").expect("an update")
}

/// The value of a key after this update; `None` if it is absent, or the update is of another key.
pub(crate) fn value(update: &Update, key: &str) -> Option<String> {
    let entry = match update {
        Update::All(all) => all.get(key),
        Update::Key(changed, entry) => entry.as_ref().filter(|_| **changed == *key),
    };
    entry.map(|e| String::from_utf8(e.value.to_vec()).unwrap())
}

struct Network {
    way: Proxy,
    users: [Arc<dyn ConfigSource>; 2],
}

#[async_trait]
impl Faults for Network {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(true) => self.way.cut(),
            Fault::Unavailable(false) => {
                self.way.mend();
                // A write would be the first to notice that its connection broke, and not know whether it happened.
                for user in &self.users {
                    user.load("any").await.unwrap();
                }
            }
            Fault::Backup | Fault::Restore => return false,
        }
        true
    }
}

struct Machine(Arc<Server>);

#[async_trait]
impl Faults for Machine {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(true) => self.0.kill(),
            Fault::Unavailable(false) => self.0.restart().await,
            Fault::Backup | Fault::Restore => return false,
        }
        true
    }
}

/// A bench on a server that others use too, through a network of its own.
pub(crate) async fn behind_a_network(server: &str) -> Bench {
    let (way, name) = (Proxy::to(server).await, namespace());
    let (a, b) = (open(way.address(), &name).await, open(way.address(), &name).await);
    let users = [a.clone(), b.clone()];
    Bench { a, b, faults: Arc::new(Network { way, users }) }
}

/// A bench on a server of its own.
pub(crate) async fn on_a_machine(server: Arc<Server>) -> Bench {
    let name = namespace();
    let (a, b) = (open(server.address(), &name).await, open(server.address(), &name).await);
    Bench { a, b, faults: Arc::new(Machine(server)) }
}
