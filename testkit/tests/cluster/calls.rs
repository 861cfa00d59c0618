//! Calls of routes between processes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_cluster::{
    App, Cluster, Fault, Gate, Node, Order, Session,
    handler::{Msg, Routes, State},
};
use due_codec::Json;
use due_core::{Call, Code, Drivers, Kind, Notify, Uid, registry::State as Stands};
use due_testkit::cluster::TestCluster;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

/// By a client, to the game, which asks the shop.
const BUY: Call<u64, u64, Json> = Call::new(1, "buy");
const LOGIN: Call<i64, (), Json> = Call::new(2, "login");
/// Inside the cluster only. The answer: the shop's number and the price.
const PRICE: Call<u64, (u64, u64), Json> = Call::<u64, (u64, u64), Json>::new(10, "price").internal();
const HELD: Call<u64, u64, Json> = Call::new(11, "held");
const DROPPED: Call<(), (), Json> = Call::new(12, "dropped");
const KEPT: Call<(), (), Json> = Call::new(13, "kept");
const NOTE: Notify<u64, Json> = Notify::new(14, "note");
/// Who asks, on the node of that user.
const MINE: Call<(), (u64, Option<i64>), Json> = Call::<(), (u64, Option<i64>), Json>::new(15, "mine").stateful();
const SETTLE: Call<(), u64, Json> = Call::new(16, "settle");
const BUSY: Call<(), bool, Json> = Call::new(20, "busy");
const SOLD_OUT: Code = Code::new(1001, "sold out");

#[derive(Clone)]
struct World {
    number: u64,
    gate: Arc<Semaphore>,
    log: Arc<Mutex<Vec<String>>>,
    inside: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        Self { number: 0, gate: Arc::new(Semaphore::new(0)), log: Arc::default(), inside: Arc::default() }
    }

    /// A cluster in which everybody has heard of everybody.
    async fn start(&self, gates: usize, nodes: usize) -> TestCluster {
        let cluster = self.cluster().gates(gates).nodes(nodes).start().await;
        cluster.advance(Duration::from_secs(1)).await;
        cluster
    }

    fn cluster(&self) -> TestCluster {
        let (world, starts) = (self.clone(), AtomicU64::new(0));
        TestCluster::new(move || {
            let here = World { number: starts.fetch_add(1, Ordering::Relaxed), ..world.clone() };
            App::new(Drivers::memory())
                .with(Gate::new("gate"))
                .with(Node::new("game").routes(game().with_state(())))
                .with(Node::new("shop").deadline(Duration::from_secs(5)).routes(shop().with_state(here.clone())))
                .with(Node::new("one").order(Order::Node).routes(Routes::new().route(BUSY, busy).with_state(here)))
        })
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn game() -> Routes<()> {
    async fn buy(cluster: Cluster, Msg(n): Msg<u64>) -> Result<u64, Fault> {
        Ok(cluster.call(PRICE, &n).await?.1)
    }
    async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<(), Fault> {
        me.bind(uid).await?;
        Ok(())
    }
    Routes::new().route(BUY, buy).route(LOGIN, login)
}

fn shop() -> Routes<World> {
    async fn held(State(world): State<World>, Msg(n): Msg<u64>) -> u64 {
        world.gate.acquire().await.unwrap().forget();
        n
    }
    async fn settle(me: Session, State(world): State<World>) -> Result<u64, Fault> {
        me.bind_node().await?;
        Ok(world.number)
    }
    Routes::new()
        .route(PRICE, |State(world): State<World>, Msg(n): Msg<u64>| match n {
            0 => Err(Fault::new(SOLD_OUT, "no more of these")),
            n => Ok((world.number, 2 * n)),
        })
        .route(HELD, held)
        .route(DROPPED, |State(world): State<World>| waits(world, "dropped"))
        .route(KEPT, |State(world): State<World>| waits(world, "kept"))
        .cancellable(DROPPED)
        .route(NOTE, |State(world): State<World>, Msg(n): Msg<u64>| world.log.lock().unwrap().push(n.to_string()))
        .route(MINE, |State(world): State<World>, uid: Uid| match uid {
            Uid::Int(n) => (world.number, Some(n)),
            Uid::Str(_) => (world.number, None),
        })
        .route(SETTLE, settle)
}

/// Writes down how it ended.
async fn waits(world: World, name: &'static str) {
    struct Ended(World, &'static str, bool);
    impl Drop for Ended {
        fn drop(&mut self) {
            let how = if self.2 { "went on" } else { "was dropped" };
            self.0.log.lock().unwrap().push(format!("{} {how}", self.1));
        }
    }
    let mut ended = Ended(world.clone(), name, false);
    world.log.lock().unwrap().push(format!("{name} begun"));
    world.gate.acquire().await.unwrap().forget();
    ended.2 = true;
}

/// Am I the only one in here?
async fn busy(State(world): State<World>) -> bool {
    let alone = world.inside.fetch_add(1, Ordering::SeqCst) == 0;
    tokio::time::sleep(Duration::from_millis(3)).await;
    world.inside.fetch_sub(1, Ordering::SeqCst);
    alone
}

fn code<T>(end: Result<T, Fault>) -> Option<u32> {
    end.err().map(|fault| fault.code().number())
}

#[tokio::test(start_paused = true)]
async fn a_handler_calls_a_route_of_another_process_and_hears_its_fault() {
    let cluster = World::new().start(1, 3).await;
    let ann = cluster.client().await;
    for n in 1..50 {
        assert_eq!(ann.call(BUY, &n).await, Ok(2 * n));
    }
    assert_eq!(ann.call(BUY, &0).await.unwrap_err().to_string(), "refused: no more of these (1001)");
    let mut shops = BTreeMap::new();
    let way = cluster.cluster("game-1");
    for _ in 0..300 {
        *shops.entry(way.call(PRICE, &1).await.unwrap().0).or_insert(0) += 1;
    }
    assert!(shops.len() == 3 && shops.values().all(|n| *n > 50), "{shops:?}");
    assert_eq!(way.call(PRICE, &0).await.unwrap_err().text(), "no more of these");
    let from_gate = cluster.cluster("gate-1").call(PRICE, &4).await.unwrap();
    assert_eq!(from_gate.1, 8, "a process without nodes calls too");
    let unknown = Call::<(), (), Json>::new(99, "unknown");
    assert_eq!(code(way.call(unknown, &()).await), Some(Kind::NoRoute.code()));
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_nodes_that_work_and_end_once_when_theirs_dies() {
    let world = World::new();
    let cluster = world.start(1, 2).await;
    let way = cluster.cluster("game-1");
    let numbers: Vec<u64> = (0..40).collect();
    let all: Vec<_> = numbers.iter().map(|n| way.call(HELD, n)).collect();
    let kill = async {
        cluster.advance(Duration::from_millis(5)).await;
        cluster.kill("shop-1").await;
        world.gate.add_permits(1_000);
    };
    let (ends, ()) = tokio::join!(join_all(all), kill);
    let (mut fine, mut lost) = (0, 0);
    for (n, end) in ends.into_iter().enumerate() {
        match end {
            Ok(got) => {
                assert_eq!(got, n as u64);
                fine += 1;
            }
            Err(fault) => {
                assert_eq!(fault.code().number(), Kind::Unavailable.code());
                lost += 1;
            }
        }
    }
    assert!(fine > 0 && lost > 0, "{fine} {lost}");
    for n in 0..20 {
        assert_eq!(way.call(HELD, &n).await.unwrap(), n, "the other one serves while the dead one is still listed");
    }
    cluster.announce("shop-2", Stands::Hang).await.unwrap();
    cluster.advance(Duration::from_secs(15)).await;
    assert_eq!(code(way.call(HELD, &1).await), Some(Kind::Unavailable.code()), "one that hangs gets nothing new");
}

#[tokio::test(start_paused = true)]
async fn a_route_whose_nodes_are_not_listed_now_is_unavailable_not_unknown() {
    let cluster = World::new().start(1, 1).await;
    let way = cluster.cluster("game-1");
    assert_eq!(way.call(PRICE, &2).await.unwrap().1, 4);
    cluster.stop("shop-1").await.unwrap();
    cluster.settle().await;
    assert_eq!(code(way.call(PRICE, &2).await), Some(Kind::Unavailable.code()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_ends_the_handler_only_if_its_route_says_so() {
    let world = World::new();
    let cluster = world.start(1, 1).await;
    let way = cluster.cluster("game-1");
    for call in [DROPPED, KEPT] {
        let asked = tokio::time::timeout(Duration::from_secs(1), way.call(call, &()));
        assert!(asked.await.is_err());
        cluster.settle().await;
    }
    assert_eq!(world.log(), ["dropped begun", "dropped was dropped", "kept begun"]);
    world.gate.add_permits(1);
    cluster.settle().await;
    assert_eq!(world.log().last().unwrap(), "kept went on");
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_whether_the_node_is_slow_or_stands_still() {
    let cluster = World::new().start(1, 1).await;
    let way = cluster.cluster("game-1");
    assert_eq!(code(way.call(HELD, &1).await), Some(Kind::Timeout.code()), "the node says so");
    cluster.stall("shop-1");
    let begun = tokio::time::Instant::now();
    assert_eq!(code(way.call(PRICE, &1).await), Some(Kind::Timeout.code()), "the caller's own clock");
    assert_eq!(begun.elapsed().as_secs(), 6, "the route's 5 s and one for the way");
    cluster.resume("shop-1");
    assert_eq!(way.call(PRICE, &1).await.unwrap().1, 2);
}

#[tokio::test(start_paused = true)]
async fn notifies_of_one_task_are_handled_in_order_and_have_ended_when_they_return() {
    let world = World::new();
    let cluster = world.start(1, 1).await;
    let way = cluster.cluster("game-1");
    for n in 0..100 {
        way.notify(NOTE, &n).await.unwrap();
        assert_eq!(world.log().len() as u64, n + 1);
    }
    assert!(world.log().iter().map(|l| l.parse::<u64>().unwrap()).eq(0..100));
}

#[tokio::test(start_paused = true)]
async fn a_stateful_route_is_called_on_the_node_of_its_user() {
    let cluster = World::new().start(1, 3).await;
    let way = cluster.cluster("game-1");
    let (ann, uid) = (cluster.client().await, Uid::from(7));
    assert_eq!(code(way.call_for(&uid, MINE, &()).await), Some(Kind::NotBound.code()));
    ann.call(LOGIN, &7).await.unwrap();
    let owner = ann.call(SETTLE, &()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(way.call_for(&uid, MINE, &()).await.unwrap(), (owner, Some(7)));
    }
    assert_eq!(code(way.call(MINE, &()).await), Some(Kind::NotBound.code()), "for nobody there is no node");
    assert_eq!(code(way.call_for(&Uid::from(-1), MINE, &()).await), Some(Kind::BadRequest.code()));
    let shops: Vec<String> = cluster.running().into_iter().filter(|name| name.starts_with("shop")).collect();
    for shop in &shops {
        cluster.kill(shop).await;
    }
    assert_eq!(code(way.call_for(&uid, MINE, &()).await), Some(Kind::Unavailable.code()), "perhaps it comes back");
    cluster.restart(&shops[0]).await;
    cluster.advance(Duration::from_secs(15)).await;
    assert_eq!(code(way.call_for(&uid, MINE, &()).await), Some(Kind::OwnerLost.code()));
}

#[tokio::test(start_paused = true)]
async fn a_node_of_one_handler_at_a_time_takes_calls_in_turn() {
    let world = World::new();
    let cluster = world.start(1, 1).await;
    let (ann, way) = (cluster.client().await, cluster.cluster("game-1"));
    let asked: Vec<_> = (0..10).map(|_| ann.send(BUSY, &()).unwrap()).collect();
    let called = join_all((0..20).map(|_| way.call(BUSY, &()))).await;
    assert!(called.into_iter().all(|alone| alone.unwrap()));
    for alone in asked {
        assert_eq!(alone.await, Ok(true));
    }
    assert!(way.call(BUSY, &()).await.unwrap());
}
