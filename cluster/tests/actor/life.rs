//! Opening, spawning, panics and ends.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use due_cluster::{
    App, Fault, Node, Shards,
    actor::{Actor, Addr, Cx, OnPanic},
    handler::{Msg, Routes, State},
};
use due_codec::Json;
use due_core::{Call, Code, Drivers, Kind, Notify, Retry, locate::Subject};

use crate::support::World;

const ADD: Call<u32, u32, Json> = Call::new(1, "add");
const PANIC: Call<(), (), Json> = Call::new(2, "panic");
const BY_KEY: Call<String, u32, Json> = Call::new(3, "by_key");
const NOTE: Notify<u32, Json> = Notify::new(4, "note");
const NO_SUCH: Code = Code::new(1404, "no such counter");

/// What happened to counters, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

macro_rules! counter {
    ($name:ident, $kind:literal, $policy:expr) => {
        struct $name {
            log: Log,
            sum: u32,
        }

        impl Actor for $name {
            const KIND: &'static str = $kind;
            type Key = String;
            const ON_PANIC: OnPanic = $policy;

            async fn started(&mut self, cx: &Cx<Self>) -> Result<(), Fault> {
                self.log.lock().unwrap().push(format!("{} started", cx.key()));
                if cx.key() == "lame" { Err(NO_SUCH.into()) } else { Ok(()) }
            }

            async fn stopped(&mut self, cx: &Cx<Self>) {
                self.log.lock().unwrap().push(format!("{} stopped at {}", cx.key(), self.sum));
            }
        }

        impl $name {
            fn add(&mut self, Msg(n): Msg<u32>) -> u32 {
                self.sum += n;
                self.sum
            }

            async fn panics(&mut self) {
                self.sum += 1;
                tokio::task::yield_now().await;
                panic!("as planned");
            }

            fn note(&mut self, Msg(n): Msg<u32>, State(log): State<Log>) {
                self.sum += n;
                log.lock().unwrap().push(format!("noted {n}"));
            }
        }
    };
}

counter!(Steady, "steady", OnPanic::Resume);
counter!(Fresh, "fresh", OnPanic::Restart);
counter!(Frail, "frail", OnPanic::Stop);

macro_rules! world {
    ($name:ident, $log:expr) => {{
        let (log, opened) = ($log.clone(), $log.clone());
        let routes = Routes::new()
            .actor(ADD, $name::add)
            .actor(PANIC, $name::panics)
            .actor(NOTE, $name::note)
            .actor_by(BY_KEY, String::clone, |counter: &mut $name| counter.sum)
            .with_state(log);
        let node = Node::new("game").routes(routes).actors(move |key: String, _| {
            let log = opened.clone();
            async move { if key == "missing" { Err(Fault::from(NO_SUCH)) } else { Ok($name { log, sum: 0 }) } }
        });
        World::new(node).await
    }};
}

#[tokio::test(start_paused = true)]
async fn an_actor_is_opened_by_its_first_message_and_then_kept() {
    let log = Log::default();
    let world = world!(Steady, log);
    let addr = world.cluster().actor::<Steady>(&"a".to_owned());
    assert!(!addr.is_alive());
    assert!(taken(&log).is_empty());
    assert_eq!(addr.call(ADD, &2).await.unwrap(), 2);
    assert_eq!(addr.call(ADD, &3).await.unwrap(), 5);
    assert_eq!(world.cluster().actor::<Steady>(&"b".to_owned()).call(ADD, &1).await.unwrap(), 1);
    assert_eq!(world.cluster().call(BY_KEY, &"a".to_owned()).await.unwrap(), 5);
    assert_eq!(taken(&log), ["a started", "b started"]);
    world.stop().await;
    let ends = taken(&log).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(ends, BTreeSet::from(["a stopped at 5".to_owned(), "b stopped at 1".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_is_handled_though_nobody_waits() {
    let log = Log::default();
    let world = world!(Steady, log);
    let addr = world.cluster().actor::<Steady>(&"a".to_owned());
    (1..=3).for_each(|n| addr.tell(NOTE, &n).unwrap());
    assert_eq!(addr.call(ADD, &0).await.unwrap(), 6);
    assert_eq!(taken(&log), ["a started", "noted 1", "noted 2", "noted 3"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_opener_or_the_start_fails_with_is_the_answer() {
    let log = Log::default();
    let world = world!(Steady, log);
    for key in ["missing", "lame", "missing"] {
        let addr = world.cluster().actor::<Steady>(&key.to_owned());
        assert_eq!(addr.call(ADD, &2).await.unwrap_err().code(), NO_SUCH);
        assert!(!addr.is_alive());
        let record = world.cluster().locator().locate(Subject::actor("steady", key)).await.unwrap();
        assert!(record.node.is_empty(), "{record:?}");
    }
    assert_eq!(taken(&log), ["lame started"]);
    for key in ["", &"x".repeat(129)] {
        let addr = world.cluster().actor::<Steady>(&key.to_owned());
        assert_eq!(addr.call(ADD, &2).await.unwrap_err().code(), Kind::BadRequest.into());
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_message_and_the_actor_goes_on() {
    let log = Log::default();
    let world = world!(Steady, log);
    let addr = world.cluster().actor::<Steady>(&"a".to_owned());
    assert_eq!(addr.call(PANIC, &()).await.unwrap_err().code(), Code::INTERNAL);
    assert_eq!(addr.with(|_, _| -> u32 { panic!("as planned") }).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(addr.call(ADD, &1).await.unwrap(), 2);
    assert_eq!(taken(&log), ["a started"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_an_actor_with_its_mailbox_and_address() {
    let log = Log::default();
    let world = world!(Fresh, log);
    let addr = world.cluster().actor::<Fresh>(&"a".to_owned()).with(|_, cx| cx.addr()).await.unwrap();
    addr.with(|_, cx| cx.after(Duration::from_secs(1), |counter, _| counter.sum += 100)).await.unwrap();
    let panics = addr.call(PANIC, &());
    let adds = addr.call(ADD, &1);
    let (panicked, added) = tokio::join!(panics, adds);
    assert_eq!(panicked.unwrap_err().code(), Code::INTERNAL);
    assert_eq!(added.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(addr.call(ADD, &0).await.unwrap(), 1, "timers of the state before are gone");
    assert_eq!(taken(&log), ["a started", "a started"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_an_actor_that_asked_for_it() {
    let log = Log::default();
    let world = world!(Frail, log);
    let key = world.cluster().actor::<Frail>(&"a".to_owned());
    let life = key.with(|_, cx| cx.addr()).await.unwrap();
    let (panicked, waiting) = tokio::join!(life.call(PANIC, &()), life.call(ADD, &1));
    assert_eq!(panicked.unwrap_err().code(), Code::INTERNAL);
    let waiting = waiting.unwrap_err();
    assert_eq!(waiting.code(), Kind::Unavailable.into());
    assert_eq!(Kind::Unavailable.retry(), Retry::Safe);
    life.ended().await;
    assert_eq!(life.call(ADD, &1).await.unwrap_err().code(), Kind::Gone.into());
    assert_eq!(key.call(ADD, &1).await.unwrap(), 1);
    assert_eq!(taken(&log), ["a started", "a started"]);
    world.stop().await;
}

// A state that cannot even be dropped takes nobody with it, and its name is free.
#[tokio::test(start_paused = true)]
async fn a_panic_at_the_very_end_releases_everything_too() {
    struct Sore;
    impl Actor for Sore {
        const KIND: &'static str = "sore";
        type Key = u64;
        const ON_PANIC: OnPanic = OnPanic::Stop;
        async fn stopped(&mut self, _: &Cx<Self>) {
            panic!("as planned");
        }
    }
    impl Drop for Sore {
        fn drop(&mut self) {
            panic!("as planned");
        }
    }
    let world = World::new(Node::new("game").actors(|_: u64, _| async { Ok(Sore) })).await;
    let sore = world.cluster().actor::<Sore>(&1);
    for _ in 0..2 {
        sore.with(|_, cx| cx.stop()).await.unwrap();
        sore.ended().await;
        let _ = sore.with(|_, _| -> u32 { panic!("as planned") }).await;
        sore.ended().await;
        let record = world.cluster().locator().locate(Subject::actor("sore", "1")).await.unwrap();
        assert!(record.node.is_empty(), "{record:?}");
    }
    world.stop().await;
}

fn given(log: &Log, sum: u32) -> Steady {
    Steady { log: log.clone(), sum }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_given_once_and_is_free_again_after_the_end() {
    let log = Log::default();
    let world = world!(Steady, log);
    let addr = world.cluster().spawn("a".to_owned(), given(&log, 10)).await.unwrap();
    let second = world.cluster().spawn("a".to_owned(), given(&log, 20)).await.unwrap_err();
    assert_eq!(second.kind(), Kind::Duplicate);
    assert_eq!(addr.call(ADD, &1).await.unwrap(), 11);
    addr.kill();
    addr.ended().await;
    assert_eq!(addr.tell(NOTE, &1).unwrap_err().kind(), Kind::Gone);
    let third = world.cluster().spawn("a".to_owned(), given(&log, 30)).await.unwrap();
    assert_eq!(third.call(ADD, &1).await.unwrap(), 31);
    assert!(!addr.is_alive() && third.is_alive());
    let lame = world.cluster().spawn("lame".to_owned(), given(&log, 0)).await.unwrap_err();
    assert_eq!(lame.kind(), Kind::Internal);
    assert_eq!(Code::of(std::error::Error::source(&lame).unwrap()), Some(NO_SUCH));
    world.stop().await;
}

// An actor that ends keeps its name until it has saved its state; whoever comes meanwhile gets the next life.
#[tokio::test(start_paused = true)]
async fn the_next_life_begins_when_the_last_one_is_over() {
    struct Saver(Arc<AtomicUsize>);
    impl Actor for Saver {
        const KIND: &'static str = "saver";
        type Key = u64;
        async fn started(&mut self, _: &Cx<Self>) -> Result<(), Fault> {
            assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two lives at once");
            Ok(())
        }
        async fn stopped(&mut self, _: &Cx<Self>) {
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let open = {
        let alive = alive.clone();
        move |_: u64, _| {
            let alive = alive.clone();
            async move { Ok(Saver(alive)) }
        }
    };
    let world = World::new(Node::new("game").actors(open)).await;
    let addr = world.cluster().actor::<Saver>(&1);
    for _ in 0..3 {
        addr.with(|_, cx| cx.stop()).await.unwrap();
        addr.with(|_, _| ()).await.unwrap();
    }
    world.stop().await;
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

// proves due-B7
#[tokio::test(start_paused = true)]
async fn routes_work_right_after_a_spawn() {
    let log = Log::default();
    let world = world!(Steady, log);
    for n in 0..200 {
        let addr = world.cluster().spawn(n.to_string(), given(&log, n)).await.unwrap();
        assert_eq!(addr.call(ADD, &1).await.unwrap(), n + 1);
    }
    world.stop().await;
}

// proves due-B8
#[tokio::test(start_paused = true)]
async fn an_application_stops_whichever_way_its_actors_ended() {
    let log = Log::default();
    let world = world!(Frail, log);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|key| world.cluster().actor::<Frail>(&key.to_owned()));
    for addr in [&a, &b, &c, &d] {
        addr.call(ADD, &1).await.unwrap();
    }
    a.kill();
    b.stop();
    let _ = c.call(PANIC, &()).await;
    a.ended().await;
    b.ended().await;
    let (cluster, begun) = (world.cluster().clone(), tokio::time::Instant::now());
    world.stop().await;
    assert_eq!(begun.elapsed().as_secs(), 0);
    assert_eq!(taken(&log).len(), 4 + 3, "each but the one that panicked has stopped");
    for key in ["a", "b", "c", "d"] {
        let record = cluster.locator().locate(Subject::actor("frail", key)).await.unwrap();
        assert!(record.node.is_empty(), "{record:?}");
    }
    assert_eq!(d.call(ADD, &1).await.unwrap_err().code(), Kind::Draining.into());
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_a_mailbox_is_handled_before_the_application_stops() {
    let log = Log::default();
    let world = world!(Steady, log);
    let addr = world.cluster().actor::<Steady>(&"a".to_owned());
    (1..=3).for_each(|n| addr.tell(NOTE, &n).unwrap());
    world.stop().await;
    assert_eq!(taken(&log), ["a started", "noted 1", "noted 2", "noted 3", "a stopped at 6"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_died_opens_nothing_and_takes_its_actors_with_it() {
    let log = Log::default();
    let world = world!(Steady, log);
    let [a, b] = ["a", "b"].map(|key| world.cluster().actor::<Steady>(&key.to_owned()));
    let life = a.with(|_, cx| cx.addr()).await.unwrap();
    world.running.kill().await;
    life.ended().await;
    for addr in [&a, &b] {
        assert_eq!(addr.call(ADD, &1).await.unwrap_err().code(), Kind::Unavailable.into());
    }
    assert_eq!(life.call(ADD, &1).await.unwrap_err().code(), Kind::Gone.into());
    assert_eq!(taken(&log), ["a started"]);
}

#[tokio::test(start_paused = true)]
async fn there_is_one_owner_among_two_nodes() {
    let log = Log::default();
    let node = |id: &str| {
        let log = log.clone();
        Node::new("game").id(id).actors(move |_: String, _| {
            let log = log.clone();
            async move { Ok(Steady { log, sum: 0 }) }
        })
    };
    let drivers = Drivers::memory();
    let one = App::new(drivers.clone()).shards(Shards::Inline).with(node("game-1"));
    let two = App::new(drivers).shards(Shards::Inline).with(node("game-2"));
    let (one, two) = (one.start().await.unwrap(), two.start().await.unwrap());
    let here = one.cluster().actor::<Steady>(&"a".to_owned());
    let there = two.cluster().actor::<Steady>(&"a".to_owned());
    here.with(|counter, _| counter.sum = 7).await.unwrap();
    let refused = there.with(|counter, _| counter.sum).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.to_string().contains("lives on game-1"), "{refused}");
    here.stop();
    here.ended().await;
    assert_eq!(there.with(|counter, _| counter.sum).await.unwrap(), 0);
    for running in [one, two] {
        running.stop(Duration::from_secs(1)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_actors_wait_side_by_side() {
    struct Idle(u64);
    impl Actor for Idle {
        const KIND: &'static str = "idle";
        type Key = u64;
    }
    let world = World::new(Node::new("game").actors(|key: u64, _| async move { Ok(Idle(key)) })).await;
    let addrs: Vec<Addr<Idle>> = (0..10_000).map(|key| world.cluster().actor(&key)).collect();
    for pass in 0..2 {
        for (key, addr) in addrs.iter().enumerate() {
            assert_eq!(addr.with(|idle, _| idle.0).await.unwrap(), key as u64, "pass {pass}");
        }
    }
    assert!(addrs.iter().all(Addr::is_alive));
    world.stop().await;
    assert!(!addrs.iter().any(Addr::is_alive));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_refused_at_the_start() {
    async fn refused(node: Node) -> String {
        let app = App::new(Drivers::memory()).shards(Shards::Inline).with(node);
        let Err(e) = app.start().await else { panic!("it started") };
        assert_eq!(e.kind(), Kind::Config);
        e.to_string()
    }
    struct Other;
    impl Actor for Other {
        const KIND: &'static str = "steady";
        type Key = u64;
    }
    let routes = || Routes::new().actor_by(BY_KEY, String::clone, |_: &mut Steady| 0);
    let text = refused(Node::new("game").routes(routes())).await;
    assert!(text.contains("`by_key`") && text.contains("Node::actors"), "{text}");
    let text = refused(Node::new("game").routes(routes()).actors(|_: u64, _| async { Ok(Other) })).await;
    assert!(text.contains("Steady") && text.contains("Other"), "{text}");
    let node = Node::new("game").actors(|_: u64, _| async { Ok(Other) }).actors(|_: u64, _| async { Ok(Other) });
    let text = refused(node).await;
    assert!(text.contains("twice"), "{text}");
}
