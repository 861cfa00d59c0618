//! Kafka does what every event bus does, and what goes wrong is told.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use common::{
    Network, a_lost_answer_leaves_the_end_unknown, event, failed, has, number, published,
    publishes_do_not_wait_in_turn, refused, says, subscribe, until,
};
use due_core::{
    Kind, Result, Retry, Url,
    bus::{Begin, Cause, EventBus, Options, Receipt},
};
use due_eventbus::kafka;
use due_testkit::{
    bus,
    server::{Ports, Program, Proxy, Server},
};
use futures_util::FutureExt;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use tokio::time;

async fn open(address: &str, query: &str) -> Result<Arc<dyn EventBus>> {
    kafka::open(&Url::parse(&format!("kafka://{address}?{query}"))?).await
}

async fn publish(bus: &Arc<dyn EventBus>, topic: &str, key: &'static str, n: u64) -> Result<()> {
    bus.publish(topic, Some(key.into()), n.to_string().into()).await.map(drop)
}

/// A broker and two ways to it. Clients go to the address that a broker names, so it has a listener of its own for each
/// way, and names the way.
struct Ways {
    server: Server,
    ways: [Arc<Proxy>; 2],
}

impl Ways {
    async fn start() -> Option<Self> {
        let port = Ports::free(4).unwrap().first();
        let [a, b] = [2, 3].map(|n| format!("127.0.0.1:{}", port + n));
        let ways = [Proxy::to(&*a).await, Proxy::to(&*b).await].map(Arc::new);
        let own = format!("PLAINTEXT://127.0.0.1:{port}");
        let settings = [
            format!("listeners={own},CONTROLLER://127.0.0.1:{},A://{a},B://{b}", port + 1),
            format!("advertised.listeners={own},A://{},B://{}", ways[0].address(), ways[1].address()),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,A:PLAINTEXT,B:PLAINTEXT"
                .to_owned(),
        ];
        let args = settings.iter().flat_map(|setting| ["--override", setting]);
        let server = Server::start_at(Program::Kafka, port, &args.collect::<Vec<_>>()).await?;
        Some(Self { server, ways })
    }

    async fn open(&self, way: usize, query: &str) -> Arc<dyn EventBus> {
        open(self.ways[way].address(), query).await.unwrap()
    }

    async fn network(&self, query: &str) -> Network {
        self.ways.iter().for_each(|way| way.mend());
        let buses = [self.open(0, query).await, self.open(1, query).await];
        let raw: FutureProducer = ClientConfig::new().set("bootstrap.servers", self.server.address()).create().unwrap();
        let inject = Box::new(move |topic: String, bytes: Bytes| {
            let (raw, topic) = (raw.clone(), format!("due.{topic}"));
            async move {
                let record = FutureRecord::to(&topic).key("k").payload(&bytes[..]);
                raw.send(record, Duration::from_secs(5)).await.unwrap();
            }
            .boxed()
        });
        Network { ways: self.ways.clone(), buses, forgets: false, inject }
    }
}

#[tokio::test]
async fn kafka_does_what_every_bus_does() {
    let Some(ways) = Ways::start().await else { return };
    // One partition: only there the order of different keys is the order of publishing.
    let report = bus::suite(|| async { ways.network("partitions=1").await.bench() }).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.0).collect();
    assert_eq!(
        skipped,
        ["a_cut_is_told_and_counted", "a_jump_in_the_numbers_is_a_gap", "a_lost_tail_shows_with_the_beacon"]
    );
}

/// proves P13
#[tokio::test]
async fn a_publish_without_an_answer_may_have_arrived() {
    let Some(ways) = Ways::start().await else { return };
    let buses = [ways.open(0, "timeout=1s").await, ways.open(1, "").await];
    a_lost_answer_leaves_the_end_unknown(&ways.ways[0], buses).await;
}

#[tokio::test]
async fn a_slow_network_only_takes_longer() {
    let Some(ways) = Ways::start().await else { return };
    ways.ways[0].delay(Duration::from_millis(100));
    let bus = ways.open(0, "partitions=1").await;
    publishes_do_not_wait_in_turn(&bus).await;
}

#[tokio::test]
async fn partitions_keep_the_order_of_a_key_and_make_no_gap() {
    let Some(server) = Server::shared(Program::Kafka).await else { return };
    let bus = open(server.address(), "prefix=keys.").await.unwrap();
    let topic = format!("t{}", rand::random::<u64>());
    let mut plain = subscribe(&bus, &topic, Options::default()).await;
    let mut one = subscribe(&bus, &topic, Options::default().group("g")).await;
    let mut two = subscribe(&bus, &topic, Options::default().group("g")).await;
    const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
    for n in 0..200 {
        publish(&bus, &topic, KEYS[n as usize % 5], n).await.unwrap();
    }
    let mut of_key: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for _ in 0..200 {
        let event = event(&mut plain).await;
        of_key.entry(event.key.clone().unwrap()).or_default().push(number(&event));
    }
    assert!(of_key.len() == 5 && of_key.values().all(|o| o.len() == 40 && o.is_sorted()));
    let mut of_key: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for _ in 0..200 {
        let event = time::timeout(common::LIMIT, async {
            tokio::select! { d = event(&mut one) => d, d = event(&mut two) => d }
        });
        let event = event.await.expect("the group gets all");
        of_key.entry(event.key.clone().unwrap()).or_default().push(number(&event));
    }
    assert!(of_key.len() == 5 && of_key.values().all(|o| o.len() == 40 && o.is_sorted()), "{of_key:?}");
}

#[tokio::test]
async fn topics_with_odd_letters_arrive() {
    let Some(server) = Server::shared(Program::Kafka).await else { return };
    let bus = open(server.address(), "prefix=odd.").await.unwrap();
    // `.` and `_` are the same letter to Kafka.
    for topic in [".", "..", "...", ":", "_", "__", "a:b", "a.cb", "a_cb", "a-cb", &":".repeat(200)] {
        let mut sub = subscribe(&bus, topic, Options::default()).await;
        publish(&bus, topic, "k", 7).await.unwrap();
        assert_eq!(number(&event(&mut sub).await), 7, "{topic}");
    }
}

#[tokio::test]
async fn an_event_that_is_not_acknowledged_comes_again_by_itself() {
    let Some(server) = Server::shared(Program::Kafka).await else { return };
    let bus = open(server.address(), "prefix=again.&ack-wait=1s").await.unwrap();
    let topic = format!("t{}", rand::random::<u64>());
    let mut sub = subscribe(&bus, &topic, Options::default().durable("d")).await;
    publish(&bus, &topic, "k", 1).await.unwrap();
    let first = event(&mut sub).await;
    let again = event(&mut sub).await;
    assert_eq!(first.id, again.id);
    again.ack().await.unwrap();
    again.ack().await.unwrap();
    publish(&bus, &topic, "k", 2).await.unwrap();
    assert_eq!(number(&event(&mut sub).await), 2);
}

/// proves P13
#[tokio::test]
async fn brokers_that_die_lose_nothing_they_stored() {
    let Some(server) = Server::start(Program::Kafka).await else { return };
    let [a, b] = [open(server.address(), "").await.unwrap(), open(server.address(), "").await.unwrap()];
    let mut plain = subscribe(&b, "t", Options::default()).await;
    let mut group = subscribe(&b, "t", Options::default().group("g")).await;
    let mut kept = subscribe(&b, "t", Options::default().durable("d")).await;
    for n in 0..10 {
        publish(&a, "t", "k", n).await.unwrap();
    }
    assert_eq!(number(&event(&mut plain).await), 0);
    event(&mut kept).await.ack().await.unwrap();
    server.kill();
    refused(&a).await;
    refused(&b).await;
    let late = b.subscribe("t", Options::default()).await;
    assert!(late.is_err_and(|e| e.retry() == Retry::Safe));
    server.restart().await;
    published(&a).await;
    for n in 10..20 {
        publish(&a, "t", "k", n).await.unwrap();
    }
    for n in 1..20 {
        assert_eq!(number(&event(&mut plain).await), n, "a restart makes no gap");
    }
    let of_group: Vec<_> = until(&mut group, 19).await.0.iter().map(number).collect();
    assert!(of_group.is_sorted_by(|a, b| a < b), "one member gets each event once: {of_group:?}");
    let mut seen = BTreeSet::from([0]);
    while seen.len() < 20 {
        let event = event(&mut kept).await;
        seen.insert(number(&event));
        // After the restart the partition may be dealt anew: then the event comes again.
        let _ = event.ack().await;
    }
}

/// proves P13
#[tokio::test]
async fn partitions_that_are_added_begin_with_their_first_event() {
    let Some(server) = Server::shared(Program::Kafka).await else { return };
    let bus = open(server.address(), "prefix=grow.&partitions=1&refresh=1s").await.unwrap();
    let topic = format!("t{}", rand::random::<u64>());
    let mut plain = subscribe(&bus, &topic, Options::default()).await;
    publish(&bus, &topic, "k", 0).await.unwrap();
    drop(subscribe(&bus, &topic, Options::default().durable("d").from(Begin::First)).await);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", server.address()).create().unwrap();
    let name = format!("grow.{topic}");
    let more = [NewPartitions::new(&name, 4)];
    admin.create_partitions(&more, &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let mut last = 0;
    let spread = async {
        loop {
            last += 1;
            let receipt = bus.publish(&topic, Some(last.to_string().into()), last.to_string().into()).await.unwrap();
            let Receipt::Stored { position } = receipt else { panic!("{receipt:?}") };
            if !position.0.starts_with("0:") {
                return;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(common::LIMIT, spread).await.expect("no event came into a new partition");
    let mut kept = subscribe(&bus, &topic, Options::default().durable("d")).await;
    for sub in [&mut plain, &mut kept] {
        let mut seen = BTreeSet::new();
        while seen.len() as u64 <= last {
            seen.insert(number(&event(sub).await));
        }
        assert_eq!(seen, (0..=last).collect());
    }
}

/// proves P13, P20
#[tokio::test]
async fn brokers_that_stop_for_8_seconds_lose_nothing_they_stored() {
    let Some(server) = Server::start(Program::Kafka).await else { return };
    let [a, b] = [open(server.address(), "timeout=2s").await.unwrap(), open(server.address(), "").await.unwrap()];
    let mut sub = subscribe(&b, "t", Options::default()).await;
    a.publish("t", None, "0".into()).await.unwrap();
    event(&mut sub).await;
    server.pause();
    let stopped = time::Instant::now();
    let mut down = false;
    while stopped.elapsed() < Duration::from_secs(8) {
        let publish = a.publish("t", None, "1".into());
        let result = time::timeout(Duration::from_secs(30), publish).await.expect("a publish never ended");
        assert!(failed(&result) || !down, "{result:?}");
        down |= failed(&result);
        time::sleep(Duration::from_millis(100)).await;
    }
    server.resume();
    published(&a).await;
    a.publish("t", None, "1000".into()).await.unwrap();
    let (_, gaps) = until(&mut sub, 1000).await;
    assert_eq!(gaps, []);
}

/// proves P13
#[tokio::test]
async fn a_wiped_or_shortened_log_is_told() {
    let Some(server) = Server::start(Program::Kafka).await else { return };
    let bus = open(server.address(), "partitions=1&refresh=1s").await.unwrap();
    let mut plain = subscribe(&bus, "t", Options::default()).await;
    drop(subscribe(&bus, "t", Options::default().durable("d")).await);
    for n in 0..10 {
        publish(&bus, "t", "k", n).await.unwrap();
    }
    let first = event(&mut plain).await;
    until(&mut plain, 9).await;
    // Everything before offset 8 goes.
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", server.address()).create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("due.t", 0, rdkafka::Offset::Offset(8)).unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    let mut late = subscribe(&bus, "t", Options::default().from(Begin::After(first.position.unwrap()))).await;
    assert!(has(&until(&mut late, 9).await.1, Cause::Trimmed));
    let mut kept = subscribe(&bus, "t", Options::default().durable("d")).await;
    let (events, gaps) = until(&mut kept, 9).await;
    assert!(has(&gaps, Cause::Trimmed) && events.len() == 2, "{gaps:?}");
    drop((late, kept));
    server.wipe().await;
    published(&bus).await;
    let mut n = 100;
    let gaps = loop {
        // The topic is gone with its brokers' data: a bus that does not know it makes it anew.
        let other = open(server.address(), "partitions=1").await.unwrap();
        if publish(&other, "t", "k", n).await.is_ok()
            && let Ok((_, gaps)) = time::timeout(Duration::from_secs(20), until(&mut plain, n)).await
        {
            break gaps;
        }
        n += 1;
        assert!(n < 110, "the subscription never came back");
    };
    assert!(has(&gaps, Cause::Trimmed), "{gaps:?}");
}

#[tokio::test]
async fn missing_brokers_and_wrong_settings_name_url_and_fix() {
    let error = open("127.0.0.1:9", "timeout=1s").await.err().unwrap();
    says(&error, Kind::Unavailable, &["kafka://127.0.0.1:9", "start one"]);
    let error = open("due:secret@127.0.0.1:9", "").await.err().unwrap();
    says(&error, Kind::Config, &["kafka://***@127.0.0.1:9", "SASL"]);
    assert!(!format!("{error:?}").contains("secret"));
    let Some(server) = Server::shared(Program::Kafka).await else { return };
    let bus = open(server.address(), "prefix=three.&replicas=3").await.unwrap();
    let error = bus.publish("t", None, "x".into()).await.err().unwrap();
    says(&error, Kind::Config, &[server.address(), "replicas"]);
    let bus = open(server.address(), "").await.unwrap();
    let large = bus.publish("large", None, vec![0; 1024 * 1024].into()).await;
    assert!(large.is_ok(), "{large:?}");
}
