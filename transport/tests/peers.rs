//! The contracts that a home peer serves, as its guests have them: every suite, and what happens when the home goes.
#![cfg(feature = "peer")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use due_core::{
    Epoch, Kind, Owner, SessionId, Uid, Url,
    bus::{self, Options},
    config::Expect,
    locate::{self, Claim, Place},
    registry::{Instance, InstanceKind},
    transport::{Transport, memory::Memory},
};
use due_testkit::{bus as buses, config, locate as locators, registry, suite::Report};
use due_transport::peers::Peer;

const LIMIT: Duration = Duration::from_secs(30);

/// A process of a network in memory.
async fn peer(net: &Memory) -> Peer {
    let transport: Arc<dyn Transport> = Arc::new(net.clone());
    Peer::open(&Url::parse("peer://home:1").unwrap(), transport).await.unwrap()
}

/// A home and a guest that has reached it.
async fn pair() -> (Memory, Peer, Peer) {
    let net = Memory::default();
    let (home, guest) = (peer(&net).await, peer(&net).await);
    assert!(home.is_home() && !guest.is_home());
    reached(&guest).await;
    (net, home, guest)
}

/// Waits until the guest's home answers.
async fn reached(guest: &Peer) {
    let config = guest.config();
    soon("the home answers", async {
        while config.load("none").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, event).await.unwrap_or_else(|_| panic!("it never happened: {what}"))
}

fn all_ran(report: &Report, least: usize) {
    assert!(report.passed.len() >= least, "{report:?}");
}

#[tokio::test]
async fn peer_does_what_every_registry_does() {
    let report = registry::suite(|| async {
        let (net, home, guest) = pair().await;
        let _keep: &'static _ = Box::leak(Box::new((net, home.clone(), guest.clone())));
        registry::Bench { a: home.registry(), b: guest.registry(), faults: Arc::new(registry::NoFaults) }
    })
    .await
    .unwrap();
    all_ran(&report, 10);
}

#[tokio::test]
async fn peer_does_what_every_locator_does() {
    let report = locators::suite(|| async {
        let (net, home, guest) = pair().await;
        let _keep: &'static _ = Box::leak(Box::new((net, home.clone(), guest.clone())));
        locators::Bench { a: guest.locator(), b: home.locator(), faults: Arc::new(locators::NoFaults) }
    })
    .await
    .unwrap();
    all_ran(&report, 15);
}

#[tokio::test]
async fn peer_does_what_every_bus_does() {
    let report = buses::suite(|| async {
        let (net, home, guest) = pair().await;
        let _keep: &'static _ = Box::leak(Box::new((net, home.clone(), guest.clone())));
        buses::Bench { a: guest.eventbus(), b: home.eventbus(), faults: Arc::new(buses::NoFaults) }
    })
    .await
    .unwrap();
    all_ran(&report, 15);
}

#[tokio::test]
async fn peer_does_what_every_config_source_does() {
    let report = config::suite(|| async {
        let (net, home, guest) = pair().await;
        let _keep: &'static _ = Box::leak(Box::new((net, home.clone(), guest.clone())));
        config::Bench { a: guest.config(), b: home.config(), faults: Arc::new(config::NoFaults) }
    })
    .await
    .unwrap();
    all_ran(&report, 10);
}

fn claim(session: u128) -> Claim {
    let owner = Owner { id: "gate-1".into(), incarnation: due_core::Incarnation(7) };
    Claim { owner, session: SessionId(session), floor: Epoch(0) }
}

#[tokio::test]
async fn without_its_home_a_guest_is_unavailable_at_once_and_comes_back() {
    let (net, home, guest) = pair().await;
    let (locator, bus, settings) = (guest.locator(), guest.eventbus(), guest.config());
    let mut feed = locator.watch().await.unwrap();
    let mut events = bus.subscribe("news", Options::default()).await.unwrap();
    let registration = guest.registry().register(Instance::new(InstanceKind::Node, "n1", "game")).await.unwrap();
    settings.store("a", Bytes::from_static(b"1"), Expect::Any).await.unwrap();

    drop(home);
    soon("the guest notices", async {
        while settings.load("a").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let down = locator.take(Uid::from(1).into(), Place::Gate, claim(1)).await.unwrap_err();
    assert!(matches!(down.kind(), Kind::Unavailable | Kind::Timeout), "{down}");
    let down = bus.publish("news", None, Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(down.kind(), Kind::BusDown | Kind::Timeout), "{down}");

    let home = peer(&net).await;
    assert!(home.is_home());
    reached(&guest).await;
    assert_eq!(settings.load("a").await.unwrap(), None, "a home keeps nothing over its end");
    assert_eq!(soon("a gap of the feed", feed.next()).await, locate::Event::Gap);
    let gap = soon("a gap of the bus", events.next()).await.unwrap();
    assert!(matches!(gap, bus::Delivery::Gap(_)), "{gap:?}");
    let mut view = home.registry().watch(InstanceKind::Node).await.unwrap();
    soon("the guest is listed again", view.until(|view| view.members.len() == 1)).await;
    soon("an event arrives again", async {
        home.eventbus().publish("news", None, Bytes::from_static(b"again")).await.unwrap();
        while !matches!(events.next().await, Some(bus::Delivery::Event(e)) if e.payload == "again") {}
    })
    .await;
    drop(registration);
}

#[tokio::test]
async fn a_guest_may_start_before_its_home() {
    let net = Memory::default();
    let first = peer(&net).await;
    let guest = peer(&net).await;
    drop(first);
    let waiting = guest.registry();
    let registering =
        tokio::spawn(async move { waiting.register(Instance::new(InstanceKind::Gate, "g", "gate")).await });
    let home = peer(&net).await;
    let registration = soon("the registration", registering).await.unwrap().unwrap();
    let mut view = home.registry().watch(InstanceKind::Gate).await.unwrap();
    soon("the guest is listed", view.until(|view| view.members.len() == 1)).await;
    drop(registration);
}

#[tokio::test]
async fn one_contract_keeps_the_home_open() {
    let ports = due_servers::Ports::free(1).unwrap();
    let url = Url::parse(&format!("peer://127.0.0.1:{}", ports.first())).unwrap();
    let [first, second] = [(), ()].map(|()| {
        let mut drivers = due_core::Drivers::memory();
        due_transport::install(&mut drivers);
        drivers
    });
    let home = first.config.open(&url).await.unwrap();
    home.store("a", Bytes::from_static(b"1"), Expect::Any).await.unwrap();
    drop(first);
    let guest = second.config.open(&url).await.unwrap();
    soon("the guest is answered", async {
        while guest.load("a").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(guest.load("a").await.unwrap().unwrap().value, "1");
    drop(home);
    soon("the address is free again", async {
        while tokio::net::TcpListener::bind(("127.0.0.1", ports.first())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
