//! What goes wrong with a server, beyond the suite.

use std::{collections::BTreeSet, time::Duration};

use due_core::{
    Epoch, Kind, Retry, SessionId,
    locate::{Binding, Claim, Event, Place, Verdict},
};
use due_testkit::server::{Direction, Program, Proxy, Server};
use etcd_client::CompactionOptions;
use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use crate::bench::{SOON, claim, client, namespace, next, open, owner, server, slot, user};

/// What an operation may take: 1 s by contract, and the time of a loaded machine.
const BOUND: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_stopped_server_is_an_error_in_time_and_loses_nothing() {
    let Some(server) = server().await else { return };
    let locator = open(server.address(), "game").await;
    let taken = locator.take(user(1), Place::Gate, claim(1)).await.unwrap();
    let mut feed = locator.watch().await.unwrap();
    server.pause();
    let stopped = Instant::now();
    let calls = async {
        let unread = locator.locate(user(1)).await.unwrap_err();
        assert_eq!((unread.kind(), unread.retry()), (Kind::Unavailable, Retry::Safe));
        let unbound = locator.take(user(2), Place::Gate, claim(2)).await.unwrap_err();
        assert_eq!((unbound.kind(), unbound.retry()), (Kind::Unavailable, Retry::Safe), "it stopped at the look");
        let unknown = locator.fence(owner(9)).await.unwrap_err();
        assert_ne!(unknown.retry(), Retry::Never);
    };
    time::timeout(3 * BOUND, calls).await.expect("nobody waits");
    time::sleep_until(stopped + Duration::from_secs(8)).await;
    server.resume();
    let again = async {
        loop {
            if let Ok(record) = locator.locate(user(1)).await {
                return record;
            }
        }
    };
    let record = time::timeout(SOON, again).await.expect("it is back");
    assert_eq!(record.gate, Some(slot(1, taken.epoch)));
    let epoch = locator.take(user(1), Place::Gate, claim(3)).await.unwrap().epoch;
    let told = async { while !matches!(next(&mut feed).await, Event::Change(c) if c.epoch == epoch) {} };
    time::timeout(SOON, told).await.expect("the feed goes on");
}

/// proves P7: a login whose answer was lost is one login, also when it is asked for again.
#[tokio::test]
async fn a_lost_answer_is_had_by_asking_again() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    let (near, far) = (open(server.address(), &name).await, open(way.address(), &name).await);
    let first = near.take(user(1), Place::Gate, claim(1)).await.unwrap();
    // Answers are slow: the look is heard, the write is not.
    way.delay(Duration::from_millis(150));
    far.locate(user(1)).await.unwrap();
    let lost = async {
        for n in 2.. {
            let call = far.take(user(1), Place::Gate, claim(n));
            let cut = async {
                time::sleep(Duration::from_millis(450)).await;
                way.close_all();
            };
            if let (Err(e), ()) = tokio::join!(call, cut) {
                return (n, e);
            }
        }
        unreachable!()
    };
    let (n, e) = time::timeout(SOON, lost).await.expect("a lost answer");
    assert_ne!(e.retry(), Retry::Never, "{e}");
    way.mend();
    let again = async {
        loop {
            if let Ok(taken) = far.take(user(1), Place::Gate, claim(n)).await {
                return taken;
            }
        }
    };
    let taken = time::timeout(SOON, again).await.expect("an answer");
    assert!(taken.epoch > first.epoch);
    assert_eq!(taken.previous.map(|s| s.session), Some(SessionId(u128::from(n) - 1)), "the kick is not forgotten");
    assert_eq!(near.locate(user(1)).await.unwrap().gate, Some(slot(n, taken.epoch)));
}

#[tokio::test]
async fn a_compacted_history_is_a_gap() {
    let Some(server) = server().await else { return };
    let way = Proxy::to(server.address()).await;
    let (near, far) = (open(server.address(), "game").await, open(way.address(), "game").await);
    let mut feed = far.watch().await.unwrap();
    way.cut();
    near.take(user(1), Place::Gate, claim(1)).await.unwrap();
    let mut etcd = client(server.address()).await;
    let revision = etcd.put("/other", "", None).await.unwrap().header().unwrap().revision();
    etcd.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    way.mend();
    assert_eq!(next(&mut feed).await, Event::Gap);
    let epoch = near.take(user(1), Place::Gate, claim(2)).await.unwrap().epoch;
    assert!(matches!(next(&mut feed).await, Event::Change(c) if c.epoch == epoch));
}

/// A connection that is open and silent.
#[tokio::test] // proves P14
async fn a_silent_feed_is_a_gap() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    let (near, far) = (open(server.address(), &name).await, open(way.address(), &name).await);
    let mut feed = far.watch().await.unwrap();
    way.swallow(Direction::ToClient);
    near.take(user(1), Place::Gate, claim(1)).await.unwrap();
    let silent = time::timeout(Duration::from_secs(12), feed.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    way.close_all();
    way.mend();
    assert_eq!(next(&mut feed).await, Event::Gap);
}

/// proves P7, P8: whoever fights for one user, each epoch has one owner and the highest stands.
#[tokio::test]
async fn a_crowd_on_one_user_shares_no_epoch() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let name = namespace();
    let mut crowd = JoinSet::new();
    for n in 1..=6 {
        let locator = open(server.address(), &name).await;
        crowd.spawn(async move {
            let mut epochs = Vec::new();
            for turn in 0..10 {
                let session = SessionId(u128::from(n) * 100 + turn);
                match locator.take(user(1), Place::Gate, Claim { session, ..claim(n) }).await {
                    Ok(taken) => epochs.push(taken.epoch),
                    // Too many at once on a slow machine: it may or may not have happened.
                    Err(e) => assert_ne!(e.retry(), Retry::Never, "{e}"),
                }
            }
            epochs
        });
    }
    let epochs: Vec<Epoch> = crowd.join_all().await.concat();
    assert_eq!(epochs.iter().collect::<BTreeSet<_>>().len(), epochs.len());
    let held = open(server.address(), &name).await.locate(user(1)).await.unwrap();
    assert!(held.gate.is_some_and(|slot| Some(&slot.epoch) >= epochs.iter().max()));
}

/// proves P9: the fence counts from the moment it is acknowledged, in every process.
#[tokio::test]
async fn a_fence_stops_a_claim_that_is_under_way() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    let (near, far) = (open(server.address(), &name).await, open(way.address(), &name).await);
    far.locate(user(1)).await.unwrap();
    way.delay(Duration::from_millis(100));
    let fenced = async {
        time::sleep(Duration::from_millis(50)).await;
        near.fence(owner(1)).await.unwrap();
        Instant::now()
    };
    let claimed = async { (far.take(user(1), Place::Gate, claim(1)).await, Instant::now()) };
    let ((outcome, _), _) = tokio::join!(claimed, fenced);
    let record = near.locate(user(1)).await.unwrap();
    assert_eq!(record.gate, None, "whoever came first: {outcome:?}");
    let late = far.take(user(1), Place::Gate, claim(1)).await.unwrap_err();
    assert_eq!(late.kind(), Kind::Stale);
}

/// After a wipe the leases of tombstones are gone too.
#[tokio::test]
async fn tombstones_and_fences_are_written_after_a_wipe() {
    let Some(server) = server().await else { return };
    let locator = open(server.address(), "game").await;
    for _ in 0..2 {
        let taken = locator.take(user(1), Place::Gate, claim(1)).await.unwrap();
        let tomb = locator.unbind(user(1), Place::Gate, SessionId(1), taken.epoch).await.unwrap();
        assert_eq!(locator.locate(user(1)).await.unwrap().unbound.get(&Place::Gate).copied(), tomb);
        locator.fence(owner(2)).await.unwrap();
        let fenced = Binding { subject: user(5), place: Place::Gate, slot: slot(2, Epoch(7)) };
        assert_eq!(locator.check(vec![fenced]).await.unwrap(), [Verdict::Fenced(Epoch(0))]);
        server.wipe().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_named_with_what_to_do() {
    let Some(server) = server().await else { return };
    server.kill();
    let locator = open(server.address(), "game").await;
    let e = locator.locate(user(1)).await.unwrap_err();
    let text = e.to_string();
    assert_eq!((e.kind(), e.retry()), (Kind::Unavailable, Retry::Safe));
    assert!(text.contains(server.address()) && text.contains("start it, or correct the hosts"), "{text}");
    assert_eq!(locator.watch().await.map(drop).unwrap_err().kind(), Kind::Unavailable);
    server.restart().await;
    locator.locate(user(1)).await.unwrap();
}
