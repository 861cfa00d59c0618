//! Locators on a real server, and what fails between them and it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Epoch, Incarnation, Owner, SessionId, Uid, Url,
    locate::{Claim, Event, Feed, Locator, Slot, Subject},
};
use due_store::etcd;
use due_testkit::{
    locate::{Bench, Fault, Faults},
    server::{Program, Proxy, Server},
};
use etcd_client::Client;
use tokio::time;

/// Anything a healthy server shows, and the longest wait after an outage.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A namespace that no other test and no earlier run has used.
pub(crate) fn namespace() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("test-{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn open(address: &str, namespace: &str) -> Arc<dyn Locator> {
    etcd::open(Url::parse(&format!("etcd://{address}/{namespace}")).unwrap()).await.unwrap()
}

/// A client that is none of ours.
pub(crate) async fn client(address: &str) -> Client {
    Client::connect([address], None).await.unwrap()
}

pub(crate) async fn server() -> Option<Arc<Server>> {
    Server::start(Program::Etcd).await.map(Arc::new)
}

pub(crate) fn user(n: i64) -> Subject {
    Uid::from(n).into()
}

pub(crate) fn owner(n: u64) -> Owner {
    Owner { id: format!("gate-{n}").into(), incarnation: Incarnation(n) }
}

/// Session `n` of gate `n`.
pub(crate) fn claim(n: u64) -> Claim {
    Claim { owner: owner(n), session: SessionId(n.into()), floor: Epoch(0) }
}

pub(crate) fn slot(n: u64, epoch: Epoch) -> Slot {
    Slot { owner: owner(n), session: SessionId(n.into()), epoch }
}

pub(crate) async fn next(feed: &mut Feed) -> Event {
    time::timeout(SOON, feed.next()).await.expect("an event in time")
}

struct Network {
    /// The way of both.
    all: Proxy,
    /// That of `b` alone, on top of it: feeds are read there.
    feeds: Proxy,
}

#[async_trait]
impl Faults for Network {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable(true) => self.all.cut(),
            Fault::Unavailable(false) => self.all.mend(),
            Fault::BreakFeeds(true) => self.feeds.cut(),
            Fault::BreakFeeds(false) => self.feeds.mend(),
            Fault::Wipe | Fault::FailOver(_) | Fault::LoseAnswers(_) => return false,
        }
        true
    }
}

struct Machine {
    server: Arc<Server>,
    feeds: Proxy,
}

#[async_trait]
impl Faults for Machine {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Wipe => self.server.wipe().await,
            Fault::Unavailable(true) => self.server.kill(),
            Fault::Unavailable(false) => self.server.restart().await,
            Fault::BreakFeeds(true) => self.feeds.cut(),
            Fault::BreakFeeds(false) => {
                self.server.restart().await;
                self.feeds.mend();
            }
            Fault::FailOver(_) | Fault::LoseAnswers(_) => return false,
        }
        true
    }
}

/// A bench on a server that others use too, through a network of its own.
pub(crate) async fn behind_a_network(server: &str) -> Bench {
    let (all, name) = (Proxy::to(server).await, namespace());
    let feeds = Proxy::to(all.address()).await;
    let (a, b) = (open(all.address(), &name).await, open(feeds.address(), &name).await);
    Bench { a, b, faults: Arc::new(Network { all, feeds }) }
}

/// A bench on a server of its own.
pub(crate) async fn on_a_machine(server: Arc<Server>) -> Bench {
    let (feeds, name) = (Proxy::to(server.address()).await, namespace());
    let (a, b) = (open(server.address(), &name).await, open(feeds.address(), &name).await);
    Bench { a, b, faults: Arc::new(Machine { server, feeds }) }
}
