//! Private servers with everything that can go wrong with them.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Drivers, Epoch, Owner, Result, SessionId, Uid, Url,
    cache::Cache,
    locate::{Attempt, Binding, Capability, Claim, Feed, Locator, Place, Record, Subject, Taken, Verdict},
    lock::Lock,
};
use due_testkit::{
    cache, locate, lock,
    server::{Direction, Program, Proxy, Server},
};

use crate::relay::Relay;

pub(crate) fn drivers() -> Drivers {
    let mut drivers = Drivers::memory();
    due_store::install(&mut drivers);
    drivers
}

/// A namespace that no other test and no earlier run has used.
pub(crate) fn fresh() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("t{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn url(address: &str, query: &str) -> Url {
    Url::parse(&format!("redis://{address}/0?{query}")).unwrap()
}

pub(crate) async fn locator(url: &Url) -> Arc<dyn Locator> {
    drivers().locator.open(url).await.unwrap()
}

pub(crate) async fn locks(url: &Url) -> Arc<dyn Lock> {
    drivers().lock.open(url).await.unwrap()
}

pub(crate) async fn caches(url: &Url) -> Arc<dyn Cache> {
    drivers().cache.open(url).await.unwrap()
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(60);
    assert!(tokio::time::timeout(limit, waiting).await.is_ok(), "{what}: not within {limit:?}");
}

/// One server, and the way of each of two processes to it.
pub(crate) struct World {
    pub(crate) server: Server,
    /// Takes over, and has everything but the last write.
    replica: Server,
    /// Between the two.
    copying: Proxy,
    relay: Relay,
    pub(crate) ways: [Proxy; 2],
    stand_in: Proxy,
    ns: String,
    unheard: AtomicUsize,
    failed_over: AtomicBool,
}

impl World {
    pub(crate) async fn new() -> Option<Arc<Self>> {
        let server = Server::start(Program::Redis).await?;
        let replica = Server::start(Program::Redis).await?;
        let copying = Proxy::to(server.address()).await;
        let relay = Relay::to(server.address()).await;
        let ways = [Proxy::to(relay.address()).await, Proxy::to(relay.address()).await];
        let stand_in = Proxy::to(replica.address()).await;
        stand_in.cut();
        server.redis("CONFIG SET repl-diskless-sync-delay 0").await;
        replica.redis(&format!("REPLICAOF {}", copying.address().replace(':', " "))).await;
        let (ns, unheard, failed_over) = (fresh(), AtomicUsize::new(0), AtomicBool::new(false));
        Some(Arc::new(Self { server, replica, copying, relay, ways, stand_in, ns, unheard, failed_over }))
    }

    pub(crate) fn url(&self, process: usize) -> Url {
        let hosts = format!("{},{}", self.ways[process].address(), self.stand_in.address());
        url(&hosts, &format!("ns={}", self.ns))
    }

    /// How many feeds are subscribed at the server.
    pub(crate) async fn feeds(&self) -> String {
        let channel = format!("due:{{{}}}:feed", self.ns);
        self.server.redis(&format!(r#"EVAL "return redis.call('PUBSUB','NUMSUB',KEYS[1])[2]" 1 {channel}"#)).await
    }

    /// Lets the replica have everything up to now, and nothing after that.
    async fn copy(&self) {
        if self.failed_over.load(Ordering::SeqCst) {
            return;
        }
        self.copying.mend();
        let at = |info: String| {
            let line = info.lines().find_map(|l| l.strip_prefix("master_repl_offset:").map(|n| n.trim().to_owned()));
            line.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
        };
        let wanted = at(self.server.redis("INFO replication").await);
        until("the replica has all", || async {
            let info = self.replica.redis("INFO replication").await;
            info.contains("master_link_status:up") && at(info) >= wanted
        })
        .await;
        self.copying.swallow(Direction::ToClient);
    }

    async fn fail_over(&self) {
        self.failed_over.store(true, Ordering::SeqCst);
        self.replica.promote().await;
        self.stand_in.mend();
        self.ways.iter().for_each(Proxy::cut);
    }

    fn cut(&self, on: bool) {
        self.ways.iter().for_each(|way| if on { way.cut() } else { way.mend() });
    }
}

/// A locator of the world: the replica lags one write behind, and answers can be lost.
pub(crate) struct Watched {
    world: Arc<World>,
    inner: Arc<dyn Locator>,
}

impl Watched {
    async fn write<T>(&self, write: impl Future<Output = Result<T>>) -> Result<T> {
        self.world.copy().await;
        let lost = self.world.unheard.load(Ordering::SeqCst) > 0;
        self.world.relay.deaf(lost);
        let answer = write.await;
        if lost {
            self.world.relay.deaf(false);
            self.world.unheard.fetch_sub(1, Ordering::SeqCst);
        }
        answer
    }
}

#[async_trait]
impl Locator for Watched {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        self.write(self.inner.take(subject, place, claim)).await
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.inner.if_absent(subject, place, claim).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        match self.world.unheard.load(Ordering::SeqCst) {
            0 => self.inner.if_epoch(subject, place, seen, claim).await,
            _ => self.write(self.inner.if_epoch(subject, place, seen, claim)).await,
        }
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        self.inner.reassert(binding).await
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        match self.world.unheard.load(Ordering::SeqCst) {
            0 => self.inner.unbind(subject, place, session, epoch).await,
            _ => self.write(self.inner.unbind(subject, place, session, epoch)).await,
        }
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        self.inner.locate(subject).await
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        self.inner.check(bindings).await
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        self.inner.fence(owner).await
    }

    async fn watch(&self) -> Result<Feed> {
        self.inner.watch().await
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }
}

struct Locators {
    world: Arc<World>,
    of: [Arc<dyn Locator>; 2],
}

impl Locators {
    async fn answer(&self, yes: bool) {
        for locator in &self.of {
            until("the locator is away or back", || async {
                locator.locate(Uid::from(9_999_999).into()).await.is_ok() == yes
            })
            .await;
        }
    }
}

#[async_trait]
impl locate::Faults for Locators {
    async fn play(&self, fault: locate::Fault) -> bool {
        let world = &self.world;
        match fault {
            locate::Fault::Wipe => drop(world.server.redis("FLUSHALL").await),
            locate::Fault::FailOver(1) => {
                world.fail_over().await;
                self.answer(true).await;
            }
            locate::Fault::FailOver(_) => return false,
            locate::Fault::Unavailable(down) => {
                world.cut(down);
                self.answer(!down).await;
            }
            locate::Fault::LoseAnswers(count) => drop(world.unheard.fetch_add(count, Ordering::SeqCst)),
            locate::Fault::BreakFeeds(true) => {
                world.ways[1].cut();
                until("the feed is gone", || async { world.feeds().await.trim() == ":0" }).await;
            }
            locate::Fault::BreakFeeds(false) => {
                world.ways[1].mend();
                until("the feed is back", || async { world.feeds().await.trim() == ":1" }).await;
            }
        }
        true
    }
}

pub(crate) async fn locate_bench(world: Arc<World>) -> locate::Bench {
    let of = [locator(&world.url(0)).await, locator(&world.url(1)).await];
    let [a, b] = of.clone().map(|inner| Arc::new(Watched { world: world.clone(), inner }));
    locate::Bench { a, b, faults: Arc::new(Locators { world, of }) }
}

struct Locks {
    world: Arc<World>,
    of: [Arc<dyn Lock>; 2],
}

#[async_trait]
impl lock::Faults for Locks {
    async fn play(&self, fault: lock::Fault) -> bool {
        match fault {
            lock::Fault::Wipe => drop(self.world.server.redis("FLUSHALL").await),
            lock::Fault::Unavailable(down) => {
                self.world.cut(down);
                for locks in &self.of {
                    until("the locks are away or back", || async {
                        locks.try_acquire(&fresh(), Duration::from_secs(1)).await.is_err() == down
                    })
                    .await;
                }
            }
        }
        true
    }
}

pub(crate) async fn lock_bench(world: Arc<World>) -> lock::Bench {
    let of = [locks(&world.url(0)).await, locks(&world.url(1)).await];
    let [a, b] = of.clone();
    lock::Bench { a, b, faults: Arc::new(Locks { world, of }) }
}

struct Caches {
    world: Arc<World>,
    of: [Arc<dyn Cache>; 2],
}

#[async_trait]
impl cache::Faults for Caches {
    async fn play(&self, cache::Fault::Unavailable(down): cache::Fault) -> bool {
        self.world.cut(down);
        for cache in &self.of {
            until("the cache is away or back", || async { cache.get("any").await.is_err() == down }).await;
        }
        true
    }
}

pub(crate) async fn cache_bench(world: Arc<World>) -> cache::Bench {
    let of = [caches(&world.url(0)).await, caches(&world.url(1)).await];
    let [a, b] = of.clone();
    cache::Bench { a, b, faults: Arc::new(Caches { world, of }) }
}
