//! Sources on a real server, and what fails between them and it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_config::consul;
use due_core::{
    Url,
    config::{ConfigSource, Update, Watch},
};
use due_testkit::{
    config::{Bench, Fault, Faults},
    server::{Program, Proxy, Server},
};
use tokio::time;

/// Anything a healthy server shows, on a slow machine, also after an outage.
pub(crate) const SOON: Duration = Duration::from_secs(25);

/// A namespace that no other test and no earlier run has used.
pub(crate) fn namespace() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("test-{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn open(address: &str, namespace: &str) -> Arc<dyn ConfigSource> {
    consul::open(Url::parse(&format!("consul://{address}/{namespace}")).unwrap()).await.unwrap()
}

pub(crate) async fn next(watch: &mut Watch) -> Update {
    time::timeout(SOON, watch.next()).await.expect("an update in time").expect("the watch goes on")
}

/// Waits until a watch has told that a key has this value.
pub(crate) async fn see(watch: &mut Watch, key: &str, value: &str) {
    loop {
        let entry = match next(watch).await {
            Update::All(all) => all.get(key).cloned(),
            Update::Key(changed, entry) if &*changed == key => entry,
            Update::Key(..) => None,
        };
        if entry.is_some_and(|e| e.value == value) {
            return;
        }
    }
}

/// A client that is none of ours.
pub(crate) async fn put(address: &str, path: &str, body: impl Into<reqwest::Body>) -> bytes::Bytes {
    let request = reqwest::Client::new().put(format!("http://{address}/v1/{path}")).body(body);
    request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap()
}

/// The network fails: for a server that others use too.
struct Network(Proxy);

#[async_trait]
impl Faults for Network {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(true) => self.0.cut(),
            Fault::Unavailable(false) => self.0.mend(),
            Fault::Backup | Fault::Restore => return false,
        }
        true
    }
}

/// The server itself fails.
struct Machine {
    server: Arc<Server>,
    snapshot: Mutex<Option<bytes::Bytes>>,
}

#[async_trait]
impl Faults for Machine {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(true) => self.server.kill(),
            Fault::Unavailable(false) => self.server.restart().await,
            Fault::Backup => {
                let url = format!("http://{}/v1/snapshot", self.server.address());
                let taken = reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
                *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
            }
            Fault::Restore => {
                let taken = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap();
                put(self.server.address(), "snapshot", taken).await;
            }
        }
        true
    }
}

/// A bench on a server that others use too, through a network of its own.
pub(crate) async fn behind_a_network(server: &str) -> Bench {
    let (way, namespace) = (Proxy::to(server).await, namespace());
    let (a, b) = (open(way.address(), &namespace).await, open(way.address(), &namespace).await);
    Bench { a, b, faults: Arc::new(Network(way)) }
}

/// A bench on a server of its own.
pub(crate) async fn on_a_machine(server: Arc<Server>) -> Bench {
    let namespace = namespace();
    let (a, b) = (open(server.address(), &namespace).await, open(server.address(), &namespace).await);
    Bench { a, b, faults: Arc::new(Machine { server, snapshot: Mutex::default() }) }
}

pub(crate) async fn server() -> Option<Arc<Server>> {
    Server::start(Program::Consul).await.map(Arc::new)
}
