//! Redis does what every event bus does, on channels and on streams, and what goes wrong is told.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use common::{
    LIMIT, Network, a_long_stop_loses_nothing_unseen, balanced, event, has, next, number, publish, published, refused,
    says, subscribe, until,
};
use due_core::{
    Kind, Result, Retry, Url,
    bus::{Begin, Broker, Bus, Capability, Cause, Confirm, Delivery, EventBus, Gap, Options, Receipt, Source},
};
use due_eventbus::redis::{self as bus, PubSub};
use due_testkit::{
    bus::{Bench, Fault, Faults, suite},
    server::{Direction, Program, Proxy, Server},
};
use futures_util::FutureExt;
use tokio::time;

async fn open(address: &str, query: &str) -> Result<Arc<dyn EventBus>> {
    bus::open(&Url::parse(&format!("redis://{address}/0?{query}"))?).await
}

/// A namespace that no other test and no earlier run has used.
fn fresh() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("t{run:x}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

async fn raw(server: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{server}/")).unwrap();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// Some of what process a publishes is lost on its way, and nothing tells.
struct Lossy {
    inner: PubSub,
    losing: Arc<Mutex<HashMap<String, u64>>>,
}

#[async_trait]
impl Broker for Lossy {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn send(&self, topic: &str, key: Bytes, body: Bytes) -> Result<Confirm> {
        if let Some(left) = self.losing.lock().unwrap().get_mut(topic).filter(|left| **left > 0) {
            *left -= 1;
            return Ok(async { Ok(Receipt::Accepted) }.boxed());
        }
        self.inner.send(topic, key, body).await
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        self.inner.open(topic, options).await
    }
}

struct Losing {
    network: Network,
    losing: Arc<Mutex<HashMap<String, u64>>>,
}

#[async_trait]
impl Faults for Losing {
    async fn play(&self, fault: Fault) -> bool {
        if let Fault::Lose(topic, count) = fault {
            self.losing.lock().unwrap().insert(topic, count);
            return true;
        }
        self.network.play(fault).await
    }
}

async fn network(server: &str, mode: &str, ns: &str) -> Network {
    let ways = [Proxy::to(server).await, Proxy::to(server).await].map(Arc::new);
    let query = format!("mode={mode}&ns={ns}");
    let buses = [open(ways[0].address(), &query).await.unwrap(), open(ways[1].address(), &query).await.unwrap()];
    let (connection, streams, ns) = (raw(server).await, mode == "stream", ns.to_owned());
    let inject = Box::new(move |topic: String, bytes: Bytes| {
        let (mut connection, ns) = (connection.clone(), ns.clone());
        async move {
            let mut request = match streams {
                true => redis::cmd("XADD").arg(format!("due:{{{ns}:bus:{topic}}}:s")).arg("*").arg("b").to_owned(),
                false => redis::cmd("PUBLISH").arg(format!("due:{{{ns}}}:bus:{topic}")).to_owned(),
            };
            request.arg(&bytes[..]).exec_async(&mut connection).await.unwrap();
        }
        .boxed()
    });
    Network { ways, buses, forgets: !streams, inject }
}

#[tokio::test]
async fn redis_pubsub_does_what_every_bus_does() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let make = || async {
        let ns = fresh();
        let mut network = network(server.address(), "pubsub", &ns).await;
        let losing = Arc::new(Mutex::new(HashMap::new()));
        let url = Url::parse(&format!("redis://{}?ns={ns}", network.ways[0].address())).unwrap();
        let lossy = Lossy { inner: PubSub::connect(&url).await.unwrap(), losing: losing.clone() };
        network.buses[0] = Arc::new(Bus::new(lossy));
        let [a, b] = network.buses.clone();
        Bench { a, b, faults: Arc::new(Losing { network, losing }) }
    };
    let report = suite(make).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.0).collect();
    assert_eq!(
        skipped,
        [
            "one_member_gets_each_event",
            "a_group_keeps_the_order_of_a_key",
            "groups_and_plain_subscribers_do_not_share",
            "who_stays_gets_all_that_comes_after_a_leave",
            "what_is_not_acknowledged_comes_again",
            "a_durable_name_keeps_its_place",
            "a_durable_name_is_told_what_was_trimmed",
            "subscribers_of_a_durable_name_share",
            "a_replay_begins_where_it_is_told",
            "a_group_can_replay",
            "durable_names_lose_nothing_in_a_cut",
        ]
    );
}

#[tokio::test]
async fn redis_streams_do_what_every_bus_does() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let make = || async { network(server.address(), "stream", &fresh()).await.bench() };
    let report = suite(make).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.0).collect();
    assert_eq!(
        skipped,
        [
            "a_group_keeps_the_order_of_a_key",
            // Nothing passes by who reads a stream.
            "a_cut_is_told_and_counted",
            "a_jump_in_the_numbers_is_a_gap",
            "a_lost_tail_shows_with_the_beacon",
        ]
    );
}

async fn two(server: &Server, query: &str) -> [Arc<dyn EventBus>; 2] {
    [open(server.address(), query).await.unwrap(), open(server.address(), query).await.unwrap()]
}

/// proves P13, P14
#[tokio::test]
async fn a_server_that_dies_is_told_and_comes_back() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let [a, b] = two(&server, "").await;
    let mut sub = subscribe(&b, "t", Options::default()).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    server.kill();
    refused(&a).await;
    let late = b.subscribe("t", Options::default()).await;
    assert!(late.is_err_and(|e| e.retry() == Retry::Safe));
    server.restart().await;
    published(&a).await;
    published(&b).await;
    publish(&a, "t", 1).await.unwrap();
    let (events, gaps) = until(&mut sub, 1).await;
    assert!(has(&gaps, Cause::Reconnect), "{gaps:?}");
    balanced(&seen, &events, &gaps);
}

/// proves P13: the stream of a server that came back empty is another one, and that is told.
#[tokio::test]
async fn a_server_that_comes_back_empty_is_told_by_streams() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let [a, b] = two(&server, "mode=stream").await;
    let mut sub = subscribe(&b, "t", Options::default()).await;
    let mut group = subscribe(&b, "t", Options::default().group("g")).await;
    let mut durable = subscribe(&b, "t", Options::default().durable("d")).await;
    publish(&a, "t", 0).await.unwrap();
    for sub in [&mut sub, &mut group, &mut durable] {
        event(sub).await.ack().await.unwrap();
    }
    server.wipe().await;
    published(&a).await;
    published(&b).await;
    publish(&a, "t", 1).await.unwrap();
    for sub in [&mut sub, &mut group, &mut durable] {
        assert!(matches!(next(sub).await, Delivery::Gap(Gap { cause: Cause::Trimmed, lost: None })));
        assert_eq!(number(&event(sub).await), 1);
    }
}

/// proves P13: a wipe breaks no connection.
#[tokio::test]
async fn a_wipe_is_told_by_streams() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let [a, b] = two(&server, "mode=stream").await;
    let mut sub = subscribe(&b, "t", Options::default()).await;
    let mut durable = subscribe(&b, "t", Options::default().durable("d")).await;
    publish(&a, "t", 0).await.unwrap();
    event(&mut sub).await;
    event(&mut durable).await.ack().await.unwrap();
    server.redis("FLUSHALL").await;
    for n in 1..5 {
        publish(&a, "t", n).await.unwrap();
    }
    for sub in [&mut sub, &mut durable] {
        let (events, gaps) = until(sub, 4).await;
        assert_eq!(gaps, [Gap { cause: Cause::Trimmed, lost: None }]);
        assert_eq!(events.iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}

/// proves P13, P20
#[tokio::test]
async fn a_server_that_stops_for_8_seconds_loses_nothing_unseen() {
    for mode in ["pubsub", "stream"] {
        let Some(server) = Server::start(Program::Redis).await else { return };
        let buses = two(&server, &format!("mode={mode}&timeout=500ms")).await;
        a_long_stop_loses_nothing_unseen(&server, buses, Duration::from_millis(50)).await;
    }
}

/// proves P13
#[tokio::test]
async fn killed_clients_come_back() {
    for mode in ["pubsub", "stream"] {
        let Some(server) = Server::start(Program::Redis).await else { return };
        let [a, b] = two(&server, &format!("mode={mode}")).await;
        let mut sub = subscribe(&b, "t", Options::default()).await;
        publish(&a, "t", 0).await.unwrap();
        let seen = event(&mut sub).await;
        for n in 1..=5 {
            let killed = server.redis("CLIENT KILL TYPE normal SKIPME yes").await;
            let killed_too = server.redis("CLIENT KILL TYPE pubsub").await;
            assert!(killed.starts_with(':') && killed_too.starts_with(':'), "{killed} {killed_too}");
            published(&a).await;
            published(&b).await;
            publish(&a, "t", n).await.unwrap();
        }
        let (events, gaps) = until(&mut sub, 5).await;
        balanced(&seen, &events, &gaps);
    }
}

/// proves P13: a half-dead connection, on which nothing comes back.
#[tokio::test]
async fn silence_is_noticed() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let way = Proxy::to(server.address()).await;
    let a = open(server.address(), "").await.unwrap();
    let b = open(way.address(), "timeout=500ms").await.unwrap();
    let mut sub = subscribe(&b, "t", Options::default()).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    way.swallow(Direction::ToClient);
    let unheard = publish(&b, "t", 0).await;
    assert_eq!(unheard.map_err(|e| (e.kind(), e.retry())), Err((Kind::Timeout, Retry::Unknown)));
    refused(&b).await;
    publish(&a, "t", 1).await.unwrap();
    way.mend();
    published(&b).await;
    publish(&a, "t", 2).await.unwrap();
    let (events, gaps) = until(&mut sub, 2).await;
    assert!(has(&gaps, Cause::Reconnect), "{gaps:?}");
    let of_a: Vec<_> = events.into_iter().filter(|e| e.publisher == seen.publisher).collect();
    balanced(&seen, &of_a, &gaps);
}

/// proves P13: what a durable name or a late reader cannot have any more is counted.
#[tokio::test]
async fn what_was_trimmed_is_counted_in_events() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let [a, b] = two(&server, "mode=stream&max-len=200").await;
    drop(subscribe(&b, "t", Options::default().durable("d")).await);
    let mut slow = subscribe(&b, "t", Options::default()).await;
    let receipt = publish(&a, "t", 0).await.unwrap();
    let Receipt::Stored { position } = receipt else { panic!("{receipt:?}") };
    for n in 1..2000 {
        publish(&a, "t", n).await.unwrap();
        a.beacon("t").await.unwrap();
    }
    let mut durable = subscribe(&b, "t", Options::default().durable("d")).await;
    let mut after = subscribe(&b, "t", Options::default().from(Begin::After(position))).await;
    for (sub, published) in [(&mut durable, 2000), (&mut slow, 2000), (&mut after, 1999)] {
        let (mut seen, mut lost) = (0, 0);
        loop {
            match next(sub).await {
                Delivery::Gap(gap) => {
                    assert_eq!(gap.cause, Cause::Trimmed);
                    lost += gap.lost.unwrap();
                }
                Delivery::Event(event) => {
                    event.ack().await.unwrap();
                    seen += 1;
                    if number(&event) == 1999 {
                        break;
                    }
                }
            }
        }
        assert!((100..1000).contains(&seen), "{seen}");
        assert_eq!(seen + lost, published);
    }
}

#[tokio::test]
async fn what_is_never_acknowledged_comes_again_to_another() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let [a, b] = two(&server, "mode=stream&ack-wait=1s").await;
    let mut dead = subscribe(&a, "t", Options::default().durable("d")).await;
    publish(&b, "t", 7).await.unwrap();
    assert_eq!(number(&event(&mut dead).await), 7);
    let mut lives = subscribe(&b, "t", Options::default().durable("d")).await;
    let again = event(&mut lives).await;
    assert_eq!(number(&again), 7);
    again.ack().await.unwrap();
    drop(dead);
}

#[tokio::test]
async fn a_group_begins_anew_when_nobody_is_left() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let [a, b] = two(&server, "mode=stream").await;
    let mut first = subscribe(&a, "t", Options::default().group("g")).await;
    publish(&b, "t", 0).await.unwrap();
    assert_eq!(number(&event(&mut first).await), 0);
    drop(first);
    let consumers = "EVAL \"return #redis.call('XINFO','CONSUMERS','due:{due:bus:t}:s','g:g')\" 0";
    while server.redis(consumers).await.trim() != ":0" {
        time::sleep(Duration::from_millis(5)).await;
    }
    publish(&b, "t", 1).await.unwrap();
    let mut second = subscribe(&a, "t", Options::default().group("g")).await;
    publish(&b, "t", 2).await.unwrap();
    assert_eq!(number(&event(&mut second).await), 2);
}

/// proves P19
#[tokio::test]
async fn publishes_that_cannot_leave_are_refused_and_do_not_pile_up() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let bus = open(server.address(), "timeout=1s").await.unwrap();
    server.pause();
    let body = Bytes::from(vec![7; 1024 * 1024]);
    let publishes = (0..100).map(|_| {
        let (bus, body) = (bus.clone(), body.clone());
        tokio::spawn(async move { bus.publish("t", None, body).await })
    });
    let mut kinds = Vec::new();
    for publish in publishes.collect::<Vec<_>>() {
        let error = time::timeout(LIMIT, publish).await.expect("a publish never ended").unwrap().unwrap_err();
        kinds.push(error.kind());
    }
    assert!(kinds.iter().filter(|kind| **kind == Kind::Full).count() > 50, "{kinds:?}");
    server.resume();
    published(&bus).await;
}

#[tokio::test]
async fn subscriptions_end_with_the_bus() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    for mode in ["pubsub", "stream"] {
        let bus = open(server.address(), &format!("mode={mode}&ns={}", fresh())).await.unwrap();
        let mut sub = subscribe(&bus, "t", Options::default()).await;
        publish(&bus, "t", 1).await.unwrap();
        assert_eq!(number(&event(&mut sub).await), 1);
        drop(bus);
        assert!(time::timeout(LIMIT, sub.next()).await.expect("it never ended").is_none());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_names_itself() {
    let error = open("user:hunter2@127.0.0.1:1", "").await.err().unwrap();
    says(&error, Kind::BusDown, &["redis://***@127.0.0.1:1"]);
    assert!(!format!("{error:?}").contains("hunter2"));
    let Some(server) = Server::start_with(Program::Redis, &["--requirepass", "s3cret"]).await else { return };
    for login in ["", "default:wrong@", "nobody:wrong@"] {
        let error = open(&format!("{login}{}", server.address()), "").await.err().unwrap();
        says(&error, Kind::Config, &["log-in", "user:password@host"]);
    }
    let bus = open(&format!("default:s3cret@{}", server.address()), "").await.unwrap();
    publish(&bus, "t", 1).await.unwrap();
}
