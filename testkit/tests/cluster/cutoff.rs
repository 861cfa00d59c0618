//! Nodes that do not know whether what they have is still their own: stopped for a while, or cut off from everybody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_cluster::{
    App, Fault, Gate, Node, Session,
    actor::{Actor, Cx},
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::{
    Call, Drivers, Epoch, Incarnation, Owner, SessionId,
    locate::{Claim, Place, Subject},
};
use due_testkit::cluster::{Client, TestCluster};

const LOGIN: Call<i64, (), Json> = Call::new(1, "login");
/// Sits down at a clock; how often it has ticked.
const SIT: Call<u64, u64, Json> = Call::new(2, "sit");
/// How often it has ticked.
const READ: Call<u64, u64, Json> = Call::new(3, "read");

/// Ticks as long as it is there.
struct Clock {
    period: Duration,
    ticks: Arc<AtomicU64>,
}

impl Actor for Clock {
    const KIND: &'static str = "clock";
    type Key = u64;

    async fn started(&mut self, cx: &Cx<Self>) -> Result<(), Fault> {
        cx.every(self.period, |clock, _| {
            clock.ticks.fetch_add(1, Ordering::Relaxed);
        });
        Ok(())
    }
}

impl Clock {
    fn read(&mut self, Msg(_): Msg<u64>) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    async fn sit(&mut self, me: Session, cx: Cx<Clock>) -> Result<u64, Fault> {
        me.attach(&cx.addr())?.await?;
        Ok(self.ticks.load(Ordering::Relaxed))
    }
}

async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<(), Fault> {
    me.bind(uid).await?;
    Ok(())
}

/// A node whose clocks all count into one number.
async fn start(ticks: &Arc<AtomicU64>, period: Duration) -> (TestCluster, Client) {
    let ticks = ticks.clone();
    let cluster = TestCluster::new(move || {
        let ticks = ticks.clone();
        let routes = Routes::new().actor_by(READ, |key| *key, Clock::read).actor_by(SIT, |key| *key, Clock::sit);
        let open = move |_, _| {
            let clock = Clock { period, ticks: ticks.clone() };
            async move { Ok(clock) }
        };
        let node = Node::new("game").routes(routes.route(LOGIN, login)).actors(open);
        App::new(Drivers::memory()).with(Gate::new("gate")).with(node)
    });
    let cluster = cluster.gates(2).nodes(1).start().await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    (cluster, ann)
}

/// Does it tick within some seconds?
async fn ticks_on(cluster: &TestCluster, ticks: &AtomicU64) -> bool {
    let before = ticks.load(Ordering::Relaxed);
    cluster.advance(Duration::from_secs(5)).await;
    ticks.load(Ordering::Relaxed) > before
}

// semantics 1: a bound user with no live gate lane whose check cannot be made for 15 s is suspended on its node
#[tokio::test(start_paused = true)]
async fn an_actor_whose_users_no_gate_and_no_store_speaks_for_is_suspended_until_one_does() {
    for back in ["the store", "the user"] {
        let ticks = Arc::default();
        let (cluster, ann) = start(&ticks, Duration::from_secs(1)).await;
        ann.call(SIT, &1).await.unwrap();
        cluster.locator().unavailable(true);
        cluster.advance(Duration::from_secs(60)).await;
        assert!(ticks_on(&cluster, &ticks).await, "its gate speaks for the user");
        cluster.kill("gate-1").await;
        cluster.advance(Duration::from_secs(30)).await;
        assert!(!ticks_on(&cluster, &ticks).await, "nobody does");
        let bob = cluster.client_at("gate-2").await;
        let read = bob.call(READ, &1).await.unwrap();
        assert_eq!(read, ticks.load(Ordering::Relaxed), "who comes is answered");
        match back {
            "the store" => cluster.locator().unavailable(false),
            _ => {
                cluster.locator().unavailable(false);
                bob.call(LOGIN, &7).await.unwrap();
                bob.call(SIT, &1).await.unwrap();
                cluster.locator().unavailable(true);
            }
        }
        assert!(ticks_on(&cluster, &ticks).await, "{back}");
        cluster.advance(Duration::from_secs(60)).await;
        assert!(ticks_on(&cluster, &ticks).await, "{back} goes on to speak for it");
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_users_goes_on_while_any_gate_reaches_its_node() {
    let ticks = Arc::default();
    let (cluster, ann) = start(&ticks, Duration::from_secs(1)).await;
    ann.call(READ, &1).await.unwrap();
    cluster.locator().unavailable(true);
    cluster.kill("gate-1").await;
    cluster.advance(Duration::from_secs(60)).await;
    assert!(ticks_on(&cluster, &ticks).await);
    cluster.kill("gate-2").await;
    cluster.advance(Duration::from_secs(30)).await;
    assert!(!ticks_on(&cluster, &ticks).await);
    cluster.locator().unavailable(false);
    assert!(ticks_on(&cluster, &ticks).await);
}

// semantics 1, wake rule: also a timer that is due before the shard has its first turn waits for the check
#[tokio::test(start_paused = true)]
async fn the_timer_of_an_actor_that_lost_its_place_while_the_process_slept_does_not_run() {
    let ticks = Arc::default();
    let (cluster, ann) = start(&ticks, Duration::from_millis(10)).await;
    ann.call(READ, &1).await.unwrap();
    cluster.locator().break_feeds(true);
    let owner = Owner { id: "game-9".into(), incarnation: Incarnation(9) };
    let claim = Claim { owner, session: SessionId(9), floor: Epoch(0) };
    let way = cluster.cluster("game-1");
    way.locator().take(Subject::actor("clock", "1"), Place::node("game"), claim).await.unwrap();
    assert!(ticks_soon(&cluster, &ticks).await, "it does not know yet");
    let before = ticks.load(Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(5)).await;
    cluster.settle().await;
    assert_eq!(ticks.load(Ordering::Relaxed), before);
}

async fn ticks_soon(cluster: &TestCluster, ticks: &AtomicU64) -> bool {
    let before = ticks.load(Ordering::Relaxed);
    cluster.advance(Duration::from_millis(100)).await;
    ticks.load(Ordering::Relaxed) > before
}
