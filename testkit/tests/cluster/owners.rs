//! Who speaks to a user: nodes that were its owner once do not get through as such.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
};

use due_cluster::{
    App, Dispatch, Fault, Gate, Node, Session,
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::{Call, Drivers, Notify, Push, Uid};
use due_testkit::cluster::{Client, TestCluster};
use tokio::sync::Semaphore;

const LOGIN: Call<i64, u64, Json> = Call::new(1, "login");
/// Binds the user to the node it reaches, which keeps the session; which node that is.
const SIT: Call<(), u64, Json> = Call::new(2, "sit");
/// Held until the test lets it go; then a push says that it was handled.
const STEP: Notify<u64, Json> = Notify::new(3, "step").stateful();
const NEWS: Push<u64, Json> = Push::new(101, "news");

/// What the nodes of a test share.
#[derive(Clone, Default)]
struct Table {
    starts: Arc<AtomicU64>,
    /// The sessions that nodes keep, by node.
    kept: Arc<Mutex<BTreeMap<u64, Session>>>,
    /// The nodes that heard that they lost a user.
    told: Arc<Mutex<Vec<(u64, Uid)>>>,
    go: Arc<Go>,
}

struct Go(Semaphore);

impl Default for Go {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Table {
    fn app(&self) -> App {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let (sits, steps, hears) = (self.clone(), self.clone(), self.clone());
        let routes = Routes::new()
            .route(LOGIN, async |me: Session, Msg(uid): Msg<i64>| Ok::<_, Fault>(me.bind(uid).await?.0))
            .route(SIT, move |me: Session| {
                let table = sits.clone();
                async move {
                    me.bind_node().await?;
                    table.kept.lock().unwrap().insert(number, me);
                    Ok::<_, Fault>(number)
                }
            })
            .route(STEP, move |me: Session, Msg(n): Msg<u64>| {
                let table = steps.clone();
                async move {
                    table.go.0.acquire().await.unwrap().forget();
                    me.push(NEWS, &(10 * number + n)).map_err(Fault::from)
                }
            });
        let node = Node::new("game").routes(routes).fenced(move |_, uid| {
            hears.told.lock().unwrap().push((number, uid));
            std::future::ready(())
        });
        App::new(Drivers::memory()).with(Gate::new("gate").dispatch(Dispatch::RoundRobin)).with(node)
    }

    /// One gate and two nodes, and a user who sat at the first of those named and sits at the second.
    async fn moved(&self) -> (TestCluster, Client, u64, u64) {
        let table = self.clone();
        let cluster = TestCluster::new(move || table.app()).nodes(2).start().await;
        cluster.locator().break_feeds(true);
        let ann = cluster.client().await;
        ann.call(LOGIN, &7).await.unwrap();
        let first = ann.call(SIT, &()).await.unwrap();
        (cluster, ann, first, 3 - first)
    }

    fn push(&self, node: u64, news: u64) {
        self.kept.lock().unwrap()[&node].push(NEWS, &news).unwrap();
    }

    fn told(&self) -> Vec<(u64, Uid)> {
        self.told.lock().unwrap().clone()
    }
}

async fn sit_at(ann: &Client, node: u64) {
    while ann.call(SIT, &()).await.unwrap() != node {}
}

// semantics 1: a push by an owner with a lower epoch than the session's slot is refused, and its node drops the user
#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_know_that_it_lost_a_user_is_stopped_by_the_gate() {
    let table = Table::default();
    let (cluster, ann, first, second) = table.moved().await;
    sit_at(&ann, second).await;
    assert_eq!(table.told(), [], "the feed is broken");
    table.push(first, 1);
    table.push(second, 2);
    assert_eq!(ann.next(NEWS).await, Ok(2));
    cluster.settle().await;
    assert_eq!(table.told(), [(first, Uid::from(7))]);
    let stale = cluster.snapshot("gate-1").await.gates["gate"].stale;
    assert_eq!(stale, 1);
    table.push(first, 3);
    assert_eq!(ann.next(NEWS).await, Ok(3), "anybody may speak to the user who does not claim to own it");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_still_handles_what_it_was_sent_is_heard() {
    let table = Table::default();
    let (cluster, ann, first, second) = table.moved().await;
    ann.notify(STEP, &1).unwrap();
    ann.notify(STEP, &2).unwrap();
    cluster.settle().await;
    sit_at(&ann, second).await;
    ann.notify(STEP, &3).unwrap();
    table.go.0.add_permits(3);
    for news in [10 * first + 1, 10 * first + 2, 10 * second + 3] {
        assert_eq!(ann.next(NEWS).await, Ok(news));
    }
    cluster.settle().await;
    table.push(first, 4);
    table.push(second, 5);
    assert_eq!(ann.next(NEWS).await, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn a_user_who_comes_back_by_another_node_is_heard_by_it() {
    let table = Table::default();
    let (cluster, ann, first, second) = table.moved().await;
    sit_at(&ann, second).await;
    sit_at(&ann, first).await;
    table.push(first, 1);
    table.push(second, 2);
    assert_eq!(ann.next(NEWS).await, Ok(1));
    cluster.settle().await;
    assert_eq!(table.told(), [(second, Uid::from(7))]);
    table.go.0.add_permits(1);
    ann.notify(STEP, &3).unwrap();
    assert_eq!(ann.next(NEWS).await, Ok(10 * first + 3));
}
