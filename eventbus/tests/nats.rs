//! NATS does what every event bus does, and what goes wrong is told.
#![cfg(feature = "nats")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    Network, a_long_stop_loses_nothing_unseen, a_lost_answer_leaves_the_end_unknown, balanced, event, has, next,
    publish, published, publishes_do_not_wait_in_turn, refused, says, subscribe, topics_arrive, until,
};
use due_core::{
    Kind, Result, Retry, Url,
    bus::{Begin, Cause, Delivery, EventBus, Options},
};
use due_eventbus::nats;
use due_testkit::{
    bus,
    server::{Program, Proxy, Server},
};
use futures_util::FutureExt;
use tokio::time;

async fn open(address: &str, query: &str) -> Result<Arc<dyn EventBus>> {
    nats::open(&Url::parse(&format!("nats://{address}?{query}"))?).await
}

async fn network(server: &str, query: &str, root: &'static str, forgets: bool) -> Network {
    let ways = [Proxy::to(server).await, Proxy::to(server).await].map(Arc::new);
    let buses = [open(ways[0].address(), query).await.unwrap(), open(ways[1].address(), query).await.unwrap()];
    let raw = async_nats::connect(server).await.unwrap();
    let inject = Box::new(move |topic: String, bytes| {
        let raw = raw.clone();
        async move {
            raw.publish(format!("{root}.{topic}"), bytes).await.unwrap();
            raw.flush().await.unwrap();
        }
        .boxed()
    });
    Network { ways, buses, forgets, inject }
}

#[tokio::test]
async fn nats_does_what_every_bus_does() {
    let Some(server) = Server::shared(Program::Nats).await else { return };
    let make = || async { network(server.address(), "", "due.bus", true).await.bench() };
    let report = bus::suite(make).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.0).collect();
    assert_eq!(
        skipped,
        [
            "a_group_keeps_the_order_of_a_key",
            "what_is_not_acknowledged_comes_again",
            "a_durable_name_keeps_its_place",
            "a_durable_name_is_told_what_was_trimmed",
            "subscribers_of_a_durable_name_share",
            "a_replay_begins_where_it_is_told",
            "a_group_can_replay",
            "a_jump_in_the_numbers_is_a_gap",
            "a_lost_tail_shows_with_the_beacon",
            "durable_names_lose_nothing_in_a_cut",
        ]
    );
}

#[tokio::test]
async fn a_receipt_may_be_sent_only() {
    let Some(server) = Server::shared(Program::Nats).await else { return };
    let bus = open(server.address(), "receipt=sent&prefix=sent").await.unwrap();
    let mut sub = subscribe(&bus, "t", Options::default()).await;
    let receipt = publish(&bus, "t", 1).await.unwrap();
    assert_eq!(receipt.level(), bus.capability().receipt);
    assert_eq!(event(&mut sub).await.number, 1);
}

#[tokio::test]
async fn topics_with_empty_words_arrive() {
    let Some(server) = Server::shared(Program::Nats).await else { return };
    let bus = open(server.address(), "prefix=odd").await.unwrap();
    topics_arrive(&bus, &[".", "a..b", ".a", "a.", ":", "_"]).await;
}

#[tokio::test]
async fn a_server_that_dies_is_told_and_comes_back() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let [a, b] = [open(server.address(), "").await.unwrap(), open(server.address(), "").await.unwrap()];
    let mut sub = subscribe(&b, "t", Options::default()).await;
    let mut group = subscribe(&b, "t", Options::default().group("g")).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    event(&mut group).await;
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
    let (_, gaps) = until(&mut group, 1).await;
    assert!(has(&gaps, Cause::Reconnect), "{gaps:?}");
}

/// proves P13, P20
#[tokio::test]
async fn a_server_that_stops_for_8_seconds_loses_nothing_unseen() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let buses = [open(server.address(), "timeout=1s").await.unwrap(), open(server.address(), "").await.unwrap()];
    a_long_stop_loses_nothing_unseen(&server, buses, Duration::from_millis(100)).await;
}

/// proves P13
#[tokio::test]
async fn a_publish_without_an_answer_may_have_arrived() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let way = Proxy::to(server.address()).await;
    let buses = [open(way.address(), "timeout=500ms").await.unwrap(), open(server.address(), "").await.unwrap()];
    a_lost_answer_leaves_the_end_unknown(&way, buses).await;
}

#[tokio::test]
async fn a_slow_network_only_takes_longer() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let way = Proxy::to(server.address()).await;
    way.delay(Duration::from_millis(100));
    let bus = open(way.address(), "").await.unwrap();
    publishes_do_not_wait_in_turn(&bus).await;
}

#[tokio::test]
async fn connections_that_flap_lose_nothing_unseen() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let way = Proxy::to(server.address()).await;
    let [a, b] = [open(server.address(), "").await.unwrap(), open(way.address(), "").await.unwrap()];
    let mut sub = subscribe(&b, "t", Options::default()).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    for n in 1..=400 {
        publish(&a, "t", n).await.unwrap();
        if n % 40 == 0 {
            way.close_all();
        }
    }
    // The last break may not have been seen yet.
    let mut last = 400;
    loop {
        published(&b).await;
        last += 1;
        publish(&a, "t", last).await.unwrap();
        if time::timeout(Duration::from_secs(1), async {
            let (events, gaps) = until(&mut sub, last).await;
            balanced(&seen, &events, &gaps);
            assert!(has(&gaps, Cause::Reconnect));
        })
        .await
        .is_ok()
        {
            return;
        }
        assert!(last < 500, "the subscription never came back");
    }
}

#[tokio::test]
async fn a_full_queue_is_an_overflow_with_its_number_behind() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let bus = open(server.address(), "queue=10").await.unwrap();
    let mut sub = subscribe(&bus, "t", Options::default()).await;
    publish(&bus, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    for n in 1..=100 {
        publish(&bus, "t", n).await.unwrap();
    }
    let Delivery::Gap(gap) = next(&mut sub).await else { panic!("no gap") };
    assert_eq!((gap.cause, gap.lost), (Cause::Overflow, None));
    let (events, gaps) = until(&mut sub, 100).await;
    assert!(events.len() <= 11 && has(&gaps, Cause::Sequence));
    balanced(&seen, &events, &gaps);
}

#[tokio::test]
async fn what_the_server_cannot_take_is_refused_before_it_closes_the_connection() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let bus = open(server.address(), "").await.unwrap();
    let error = bus.publish("t", None, vec![0; 1024 * 1024].into()).await.unwrap_err();
    says(&error, Kind::TooLarge, &["max_payload"]);
    publish(&bus, "t", 1).await.unwrap();
}

#[tokio::test]
async fn a_missing_server_and_a_wrong_password_name_url_and_fix() {
    let error = open("127.0.0.1:9", "connect-timeout=1s").await.err().unwrap();
    says(&error, Kind::Unavailable, &["nats://127.0.0.1:9", "start one"]);
    let Some(server) = Server::start_with(Program::Nats, &["--user", "due", "--pass", "right"]).await else { return };
    for login in ["due:wrong@", "token@", ""] {
        let error = open(&format!("{login}{}", server.address()), "").await.err().unwrap();
        says(&error, Kind::Config, &[server.address(), "login", "password"]);
        assert!(!format!("{error:?}").contains("wrong"));
    }
    let bus = open(&format!("due:right@{}", server.address()), "").await.unwrap();
    publish(&bus, "t", 1).await.unwrap();
}

const KEPT: &str = "mode=jetstream&storage=memory&max-bytes=64MiB";

#[tokio::test]
async fn nats_jetstream_does_what_every_bus_does() {
    let Some(server) = Server::shared(Program::Nats).await else { return };
    let make = || async { network(server.address(), KEPT, "due.kept", false).await.bench() };
    let report = bus::suite(make).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.0).collect();
    assert_eq!(
        skipped,
        [
            "a_group_keeps_the_order_of_a_key",
            "a_cut_is_told_and_counted",
            "a_jump_in_the_numbers_is_a_gap",
            "a_lost_tail_shows_with_the_beacon",
        ]
    );
}

/// proves P13
#[tokio::test]
async fn jetstream_that_dies_loses_nothing_it_stored() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let query = "mode=jetstream&ack-wait=2s";
    let [a, b] = [open(server.address(), query).await.unwrap(), open(server.address(), query).await.unwrap()];
    let mut plain = subscribe(&b, "t", Options::default()).await;
    let mut kept = subscribe(&b, "t", Options::default().durable("d")).await;
    for n in 0..10 {
        publish(&a, "t", n).await.unwrap();
    }
    assert_eq!(event(&mut plain).await.number, 1);
    let first = event(&mut kept).await;
    first.ack().await.unwrap();
    server.kill();
    refused(&a).await;
    refused(&b).await;
    server.restart().await;
    published(&a).await;
    published(&b).await;
    for n in 10..20 {
        publish(&a, "t", n).await.unwrap();
    }
    for number in 2..=20 {
        assert_eq!(event(&mut plain).await.number, number, "a restart makes no gap");
    }
    let mut seen = std::collections::BTreeSet::from([first.number]);
    while seen.len() < 20 {
        let event = event(&mut kept).await;
        event.ack().await.unwrap();
        seen.insert(event.number);
    }
    assert_eq!(seen, (1..=20).collect());
}

/// proves P13
#[tokio::test]
async fn a_wiped_jetstream_is_told() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let bus = open(server.address(), "mode=jetstream").await.unwrap();
    let mut plain = subscribe(&bus, "t", Options::default()).await;
    let mut kept = subscribe(&bus, "t", Options::default().durable("d")).await;
    for n in 0..5 {
        publish(&bus, "t", n).await.unwrap();
    }
    let seen = until(&mut plain, 4).await.0;
    event(&mut kept).await;
    server.wipe().await;
    published(&bus).await;
    publish(&bus, "t", 100).await.unwrap();
    let (events, gaps) = until(&mut plain, 100).await;
    assert!(has(&gaps, Cause::Trimmed), "{gaps:?}");
    balanced(&seen[4], &events, &gaps);
    let (_, gaps) = until(&mut kept, 100).await;
    assert!(has(&gaps, Cause::Trimmed), "{gaps:?}");
}

/// proves P13
#[tokio::test]
async fn a_place_that_was_trimmed_is_told() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let way = Proxy::to(server.address()).await;
    let query = "mode=jetstream&storage=memory&max-bytes=64KiB";
    let [a, b] = [open(server.address(), query).await.unwrap(), open(way.address(), query).await.unwrap()];
    let mut plain = subscribe(&b, "t", Options::default()).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut plain).await;
    drop(subscribe(&b, "t", Options::default().durable("d")).await);
    way.cut();
    refused(&b).await;
    for n in 1..1000 {
        publish(&a, "t", n).await.unwrap();
    }
    way.mend();
    let (events, gaps) = until(&mut plain, 999).await;
    assert!(has(&gaps, Cause::Trimmed), "{gaps:?}");
    balanced(&seen, &events, &gaps);
    published(&b).await;
    let mut kept = subscribe(&b, "t", Options::default().durable("d")).await;
    assert!(has(&until(&mut kept, 999).await.1, Cause::Trimmed));
    let mut late = subscribe(&b, "t", Options::default().from(Begin::After(seen.position.unwrap()))).await;
    assert!(has(&until(&mut late, 999).await.1, Cause::Trimmed));
}

/// proves P13, P20
#[tokio::test]
async fn jetstream_that_stops_for_8_seconds_loses_nothing_it_stored() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let [a, b] = [open(server.address(), KEPT).await.unwrap(), open(server.address(), KEPT).await.unwrap()];
    let mut sub = subscribe(&b, "t", Options::default()).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    server.pause();
    time::sleep(Duration::from_secs(8)).await;
    server.resume();
    published(&a).await;
    publish(&a, "t", 1).await.unwrap();
    let (events, gaps) = until(&mut sub, 1).await;
    assert_eq!(gaps, []);
    balanced(&seen, &events, &gaps);
}

#[tokio::test]
async fn a_group_gets_each_event_once_though_members_come_and_go() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let bus = open(server.address(), KEPT).await.unwrap();
    let group = || Options::default().group("g");
    let mut stays = subscribe(&bus, "t", group()).await;
    let mut seen = Vec::new();
    for round in 0..10 {
        let mut comes = subscribe(&bus, "t", group()).await;
        for n in 0..20 {
            publish(&bus, "t", round * 20 + n).await.unwrap();
        }
        seen.push(event(&mut comes).await.number);
        // What it has fetched and not handed over goes to the other.
        drop(comes);
        while seen.len() < (round as usize + 1) * 20 {
            seen.push(event(&mut stays).await.number);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_without_jetstream_or_a_missing_stream_names_the_fix() {
    let Some(server) = Server::start(Program::Nats).await else { return };
    let error = open(server.address(), "mode=jetstream&create=off").await.err().unwrap();
    says(&error, Kind::Config, &[server.address(), "due-kept", "create=on"]);
    let bus = open(server.address(), "mode=jetstream").await.unwrap();
    publish(&bus, "t", 1).await.unwrap();
    open(server.address(), "mode=jetstream&create=off").await.unwrap();
}
