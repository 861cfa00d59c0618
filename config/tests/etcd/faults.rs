//! What goes wrong with a server, beyond the suite.

use std::{collections::BTreeMap, time::Duration};

use due_core::{
    Kind, Retry,
    config::{Expect, Update, Version},
};
use due_testkit::server::{Direction, Program, Proxy, Server};
use etcd_client::CompactionOptions;
use tokio::time::{self, Instant};

use crate::bench::{SOON, client, namespace, next, open, server, value};

/// A wiped server has lower versions; what it says counts.
#[tokio::test]
async fn a_wiped_source_is_empty_and_goes_on() {
    let Some(server) = server().await else { return };
    let source = open(server.address(), "game").await;
    for n in 0..20 {
        source.store("other", n.to_string().into(), Expect::Any).await.unwrap();
    }
    let old = source.store("limits", "1".into(), Expect::Any).await.unwrap();
    let mut watch = source.watch("").await.unwrap();
    assert_eq!(value(&next(&mut watch).await, "limits").as_deref(), Some("1"));
    server.wipe().await;
    assert_eq!(next(&mut watch).await, Update::All(BTreeMap::new()));
    let stale = source.store("limits", "2".into(), Expect::Version(old.clone())).await;
    assert_eq!(stale.map_err(|e| e.kind()), Err(Kind::Stale));
    let new = source.store("limits", "2".into(), Expect::Absent).await.unwrap();
    assert!(new < old, "{new} {old}");
    assert_eq!(value(&next(&mut watch).await, "limits").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_stopped_server_holds_nobody_up() {
    let Some(server) = server().await else { return };
    let source = open(server.address(), "game").await;
    let version = source.store("limits", "1".into(), Expect::Any).await.unwrap();
    let mut watch = source.watch("limits").await.unwrap();
    next(&mut watch).await;
    server.pause();
    let stopped = Instant::now();
    let unread = time::timeout(SOON, source.load("limits")).await.expect("an answer").unwrap_err();
    assert_eq!((unread.kind(), unread.retry()), (Kind::Unavailable, Retry::Safe));
    let written = source.store("limits", "2".into(), Expect::Version(version));
    let unknown = time::timeout(SOON, written).await.expect("an answer").unwrap_err();
    assert_eq!((unknown.kind(), unknown.retry()), (Kind::Timeout, Retry::Unknown), "it may happen yet");
    time::sleep_until(stopped + Duration::from_secs(8)).await;
    server.resume();
    source.store("limits", "3".into(), Expect::Any).await.unwrap();
    while value(&next(&mut watch).await, "limits").as_deref() != Some("3") {}
}

/// A connection that is open and silent, as behind a firewall that has forgotten it.
#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    let (near, far) = (open(server.address(), &name).await, open(way.address(), &name).await);
    let mut watch = far.watch("").await.unwrap();
    next(&mut watch).await;
    way.swallow(Direction::ToClient);
    near.store("limits", "1".into(), Expect::Any).await.unwrap();
    // New connections are silent too, until the old ones are gone: only a watch that gave its own up lists again.
    let silent = time::timeout(Duration::from_secs(12), watch.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    way.close_all();
    way.mend();
    let update = next(&mut watch).await;
    assert!(matches!(update, Update::All(_)), "{update:?}");
    assert_eq!(value(&update, "limits").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_compacted_history_costs_no_change() {
    let Some(server) = server().await else { return };
    let way = Proxy::to(server.address()).await;
    let (near, far) = (open(server.address(), "game").await, open(way.address(), "game").await);
    near.store("gone", "1".into(), Expect::Any).await.unwrap();
    let mut watch = far.watch("").await.unwrap();
    next(&mut watch).await;
    way.cut();
    near.delete("gone", Expect::Any).await.unwrap();
    let Version::Number(last) = near.store("limits", "2".into(), Expect::Any).await.unwrap() else { panic!() };
    let revision = i64::try_from(last).unwrap();
    let compacted =
        client(server.address()).await.compact(revision, Some(CompactionOptions::new().with_physical())).await;
    compacted.unwrap();
    way.mend();
    let update = next(&mut watch).await;
    assert_eq!(update, Update::All(near.list("").await.unwrap()));
    assert_eq!(value(&update, "gone"), None);
}

/// Of two writes over a network that loses answers none is overwritten unseen.
#[tokio::test]
async fn a_lost_answer_is_told_apart_from_a_lost_write() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    let (near, far) = (open(server.address(), &name).await, open(way.address(), &name).await);
    let first = far.store("limits", "1".into(), Expect::Absent).await.unwrap();
    way.swallow(Direction::ToClient);
    let unheard = far.store("limits", "2".into(), Expect::Version(first.clone())).await.unwrap_err();
    assert_eq!((unheard.kind(), unheard.retry()), (Kind::Timeout, Retry::Unknown));
    assert_eq!(near.load("limits").await.unwrap().unwrap().value, "2", "it happened");
    way.close_all();
    way.mend();
    let again = async {
        loop {
            // The broken connection may be noticed by this write only.
            let e = far.store("limits", "2".into(), Expect::Version(first.clone())).await.unwrap_err();
            if e.retry() == Retry::Never {
                return e.kind();
            }
        }
    };
    assert_eq!(time::timeout(SOON, again).await, Ok(Kind::Stale));
}

#[tokio::test]
async fn a_server_that_is_away_is_named_with_what_to_do() {
    let Some(server) = server().await else { return };
    server.kill();
    let source = open(server.address(), "game").await;
    let e = source.load("limits").await.unwrap_err();
    let text = e.to_string();
    assert_eq!(e.kind(), Kind::Unavailable);
    assert!(text.contains(server.address()) && text.contains("start it, or correct the hosts"), "{text}");
    server.restart().await;
    assert_eq!(source.load("limits").await.unwrap(), None);
}
