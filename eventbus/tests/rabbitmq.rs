//! RabbitMQ does what every event bus does, and what goes wrong is told.
#![cfg(feature = "rabbitmq")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use common::{
    LIMIT, Network, a_long_stop_loses_nothing_unseen, a_lost_answer_leaves_the_end_unknown, balanced, event, has, next,
    number, publish, published, publishes_do_not_wait_in_turn, refused, says, subscribe, topics_arrive, until,
};
use due_core::{
    Kind, Result, Retry, Url,
    bus::{Cause, Delivery, EventBus, Options},
};
use due_eventbus::rabbitmq;
use due_testkit::{
    bus,
    server::{Program, Proxy, Server},
};
use futures_util::FutureExt;
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use tokio::time;

async fn open(address: &str, query: &str) -> Result<Arc<dyn EventBus>> {
    rabbitmq::open(&Url::parse(&format!("amqp://{address}?{query}"))?).await
}

async fn network(server: &str) -> Network {
    let ways = [Proxy::to(server).await, Proxy::to(server).await].map(Arc::new);
    let buses = [open(ways[0].address(), "").await.unwrap(), open(ways[1].address(), "").await.unwrap()];
    let uri = format!("amqp://{server}/%2f");
    let inject = Box::new(move |topic: String, bytes: bytes::Bytes| {
        let uri = uri.clone();
        async move {
            let raw = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
            let (channel, options) = (raw.create_channel().await.unwrap(), BasicPublishOptions::default());
            let properties = BasicProperties::default();
            channel.confirm_select(Default::default()).await.unwrap();
            let sent = channel.basic_publish("due".into(), topic.into(), options, &bytes, properties).await.unwrap();
            sent.await.unwrap();
            raw.close(200, "bye".into()).await.unwrap();
        }
        .boxed()
    });
    Network { ways, buses, forgets: true, inject }
}

#[tokio::test]
async fn rabbitmq_does_what_every_bus_does() {
    let Some(server) = Server::shared(Program::Rabbitmq).await else { return };
    let report = bus::suite(|| async { network(server.address()).await.bench() }).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.0).collect();
    assert_eq!(
        skipped,
        [
            "a_group_keeps_the_order_of_a_key",
            "a_replay_begins_where_it_is_told",
            "a_group_can_replay",
            "a_jump_in_the_numbers_is_a_gap",
            "a_lost_tail_shows_with_the_beacon",
        ]
    );
}

#[tokio::test]
async fn topics_with_odd_words_arrive() {
    let Some(server) = Server::shared(Program::Rabbitmq).await else { return };
    let bus = open(server.address(), "exchange=odd").await.unwrap();
    topics_arrive(&bus, &[".", "a..b", ".a", "a.", ":", "_", &"t".repeat(200)]).await;
}

/// proves P13
#[tokio::test]
async fn a_server_that_dies_is_told_and_durable_names_lose_nothing() {
    let Some(server) = Server::start(Program::Rabbitmq).await else { return };
    let [a, b] = [open(server.address(), "").await.unwrap(), open(server.address(), "").await.unwrap()];
    let mut plain = subscribe(&b, "t", Options::default()).await;
    let mut group = subscribe(&b, "t", Options::default().group("g")).await;
    let mut kept = subscribe(&b, "t", Options::default().durable("d")).await;
    for n in 0..10 {
        publish(&a, "t", n).await.unwrap();
    }
    let seen = event(&mut plain).await;
    event(&mut group).await;
    let first = event(&mut kept).await;
    // The server writes the name of a new quorum queue half a second later; one that it does not find has no leader.
    time::sleep(Duration::from_secs(5)).await;
    server.kill();
    refused(&a).await;
    refused(&b).await;
    let late = b.subscribe("t", Options::default()).await;
    assert!(late.is_err_and(|e| e.retry() == Retry::Safe));
    server.restart().await;
    published(&a).await;
    published(&b).await;
    let last = 10;
    // The quorum queue confirms when it has a leader again; what was not confirmed may come twice.
    let confirmed = async {
        while publish(&a, "t", last).await.is_err() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(LIMIT, confirmed).await.expect("no confirm");
    let (events, gaps) = until(&mut plain, last).await;
    assert!(has(&gaps, Cause::Reconnect), "{gaps:?}");
    balanced(&seen, &events, &gaps);
    assert!(has(&until(&mut group, last).await.1, Cause::Reconnect));
    let mut numbers = BTreeSet::from([number(&first)]);
    while numbers.len() <= last as usize {
        let event = event(&mut kept).await;
        numbers.insert(number(&event));
        // What was on its way when the server died cannot be acknowledged: it comes again.
        let _ = event.ack().await;
    }
    assert_eq!(numbers, (0..=last).collect());
}

/// proves P13, P20
#[tokio::test]
async fn a_server_that_stops_for_8_seconds_loses_nothing_unseen() {
    let Some(server) = Server::start(Program::Rabbitmq).await else { return };
    let buses = [open(server.address(), "timeout=1s").await.unwrap(), open(server.address(), "").await.unwrap()];
    a_long_stop_loses_nothing_unseen(&server, buses, Duration::from_millis(100)).await;
}

/// proves P13
#[tokio::test]
async fn a_publish_without_a_confirm_may_have_arrived() {
    let Some(server) = Server::start(Program::Rabbitmq).await else { return };
    let way = Proxy::to(server.address()).await;
    let buses = [open(way.address(), "timeout=500ms").await.unwrap(), open(server.address(), "").await.unwrap()];
    a_lost_answer_leaves_the_end_unknown(&way, buses).await;
}

#[tokio::test]
async fn a_slow_network_only_takes_longer() {
    let Some(server) = Server::start(Program::Rabbitmq).await else { return };
    let way = Proxy::to(server.address()).await;
    way.delay(Duration::from_millis(100));
    let bus = open(way.address(), "").await.unwrap();
    publishes_do_not_wait_in_turn(&bus).await;
}

/// proves P13
#[tokio::test]
async fn a_wiped_server_is_told() {
    let Some(server) = Server::start(Program::Rabbitmq).await else { return };
    let bus = open(server.address(), "").await.unwrap();
    let mut kept = subscribe(&bus, "t", Options::default().durable("d")).await;
    publish(&bus, "t", 0).await.unwrap();
    event(&mut kept).await.ack().await.unwrap();
    publish(&bus, "t", 1).await.unwrap();
    server.wipe().await;
    published(&bus).await;
    // The queue of a durable name is made anew in its own time.
    let mut gaps = Vec::new();
    while gaps.is_empty() {
        match next(&mut kept).await {
            Delivery::Gap(gap) => gaps.push(gap),
            Delivery::Event(event) => assert_eq!(number(&event), 1),
        }
    }
    publish(&bus, "t", 2).await.unwrap();
    until(&mut kept, 2).await;
    assert!(has(&gaps, Cause::Trimmed), "{gaps:?}");
}

#[tokio::test]
async fn a_full_queue_is_an_overflow_with_its_number_behind() {
    let Some(server) = Server::shared(Program::Rabbitmq).await else { return };
    let bus = open(server.address(), "queue=10&exchange=overflow").await.unwrap();
    let mut sub = subscribe(&bus, "t", Options::default()).await;
    publish(&bus, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    for n in 1..=100 {
        publish(&bus, "t", n).await.unwrap();
    }
    let (events, gaps) = until(&mut sub, 100).await;
    assert!(has(&gaps, Cause::Overflow), "{gaps:?}");
    balanced(&seen, &events, &gaps);
}

#[tokio::test]
async fn a_missing_server_and_a_wrong_login_name_url_and_fix() {
    let error = open("127.0.0.1:9", "connect-timeout=1s").await.err().unwrap();
    says(&error, Kind::Unavailable, &["amqp://127.0.0.1:9", "start one"]);
    let Some(server) = Server::shared(Program::Rabbitmq).await else { return };
    let error = open(&format!("guest:wrong@{}", server.address()), "").await.err().unwrap();
    says(&error, Kind::Config, &[server.address(), "login", "password"]);
    assert!(!format!("{error:?}").contains("wrong"));
    let error = open(&format!("{}/nowhere", server.address()), "").await.err().unwrap();
    says(&error, Kind::Config, &[server.address(), "virtual host"]);
    let error = open(server.address(), "exchange=amq.direct").await.err().unwrap();
    says(&error, Kind::Config, &[server.address(), "exchange"]);
}
