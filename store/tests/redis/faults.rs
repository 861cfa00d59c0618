//! What goes wrong with a redis server, and what holds then.

use std::{sync::Arc, time::Duration};

use due_core::{
    Epoch, Error, Incarnation, Kind, Owner, Result, Retry, SessionId, Uid,
    cache::Ttl,
    locate::{Binding, Claim, Event, Feed, Locator, Place, Slot, Subject, Verdict},
};
use due_testkit::server::{Direction, Program, Proxy, Server};
use tokio::time::{Instant, timeout};

use crate::{
    bench::{caches, drivers, fresh, locator, locks, until, url},
    relay::Relay,
};

const LIMIT: Duration = Duration::from_secs(60);

fn user(n: i64) -> Subject {
    Uid::from(n).into()
}

fn owner(n: u64) -> Owner {
    Owner { id: format!("gate-{n}").into(), incarnation: Incarnation(n) }
}

fn claim(n: u64) -> Claim {
    Claim { owner: owner(n), session: SessionId(n.into()), floor: Epoch(0) }
}

fn at_gate(user: Subject, n: u64, epoch: Epoch) -> Binding {
    Binding { subject: user, place: Place::Gate, slot: Slot { owner: owner(n), session: SessionId(n.into()), epoch } }
}

async fn take(locator: &Arc<dyn Locator>, n: u64) -> Result<Epoch> {
    locator.take(user(7), Place::Gate, claim(n)).await.map(|taken| taken.epoch)
}

async fn next(feed: &mut Feed) -> Event {
    timeout(LIMIT, feed.next()).await.expect("no event")
}

async fn comes_back(locator: &Arc<dyn Locator>) {
    until("the store is back", || async { locator.locate(user(1)).await.is_ok() }).await;
}

/// Every decision, with how it ended. None may be waited for longer than the contract says; the machine may be slow.
async fn decisions(locator: &Arc<dyn Locator>, n: u64) -> Vec<(bool, Result<()>)> {
    let own = at_gate(user(7), 1, Epoch(5));
    let began = Instant::now();
    let all = vec![
        (true, locator.take(user(7), Place::Gate, claim(n)).await.map(drop)),
        (true, locator.if_absent(user(8), Place::Gate, claim(n)).await.map(drop)),
        (true, locator.if_epoch(user(9), Place::Gate, Epoch(0), claim(n)).await.map(drop)),
        (true, locator.reassert(own.clone()).await.map(drop)),
        (true, locator.unbind(user(10), Place::Gate, SessionId(1), Epoch(5)).await.map(drop)),
        (false, locator.locate(user(7)).await.map(drop)),
        (false, locator.check(vec![own]).await.map(drop)),
    ];
    assert!(began.elapsed() < LIMIT);
    all
}

fn is_unavailable(error: &Error) -> bool {
    (error.kind(), error.retry()) == (Kind::Unavailable, Retry::Safe)
}

/// proves P7, P14
#[tokio::test]
async fn a_store_that_dies_refuses_safely_and_comes_back_with_its_data() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locator = locator(&url(server.address(), "")).await;
    let mut feed = locator.watch().await.unwrap();
    let epoch = take(&locator, 1).await.unwrap();
    assert!(matches!(next(&mut feed).await, Event::Change(_)));
    server.kill();
    until("the store is away", || async { locator.locate(user(1)).await.is_err() }).await;
    for (_, outcome) in decisions(&locator, 2).await {
        assert!(is_unavailable(&outcome.unwrap_err()));
    }
    assert!(is_unavailable(&locator.watch().await.unwrap_err()));
    server.restart().await;
    comes_back(&locator).await;
    assert_eq!(next(&mut feed).await, Event::Gap);
    assert_eq!(locator.locate(user(7)).await.unwrap().gate.map(|slot| slot.epoch), Some(epoch));
    assert!(take(&locator, 2).await.unwrap() > epoch);
    assert!(matches!(next(&mut feed).await, Event::Change(change) if change.slot.is_some()));
}

/// proves P7: the clock carries the epoch, and the owners fill the store.
#[tokio::test]
async fn a_store_that_comes_back_empty_is_filled_by_its_owners() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locator = locator(&url(server.address(), "")).await;
    let mut feed = locator.watch().await.unwrap();
    let epoch = take(&locator, 1).await.unwrap();
    assert!(matches!(next(&mut feed).await, Event::Change(_)));
    server.wipe().await;
    comes_back(&locator).await;
    assert_eq!(next(&mut feed).await, Event::Gap);
    let own = at_gate(user(7), 1, epoch);
    assert_eq!(locator.check(vec![own.clone()]).await.unwrap(), [Verdict::Missing]);
    assert_eq!(locator.reassert(own).await.unwrap(), Verdict::Current);
    server.wipe().await;
    comes_back(&locator).await;
    assert!(take(&locator, 2).await.unwrap() > epoch, "though nobody remembered it");
}

/// proves P20: nothing waits for a store that is stopped, and what is not known is said to be so.
#[tokio::test]
async fn a_store_that_stops_for_8_seconds_is_no_answer() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locator = locator(&url(server.address(), "timeout=300ms")).await;
    take(&locator, 1).await.unwrap();
    server.pause();
    let stopped = Instant::now();
    let (mut n, mut refused) = (10, 0);
    while stopped.elapsed() < Duration::from_secs(8) {
        n += 1;
        for (writes, outcome) in decisions(&locator, n).await {
            // The first may be answered before the signal has arrived.
            let Err(error) = outcome else { continue };
            let unknown = (error.kind(), error.retry()) == (Kind::Timeout, Retry::Unknown);
            assert!(is_unavailable(&error) || (writes && unknown), "{error:?}");
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused}");
    server.resume();
    comes_back(&locator).await;
    let epoch = take(&locator, 2).await.unwrap();
    assert_eq!(locator.locate(user(7)).await.unwrap().gate.map(|slot| slot.epoch), Some(epoch));
}

/// proves P14: a connection that breaks under a request is no error where the request may be repeated.
#[tokio::test]
async fn killed_clients_come_back_unseen() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locator = locator(&url(server.address(), "")).await;
    let mut feed = locator.watch().await.unwrap();
    let mut last = Epoch(0);
    for n in 1..20 {
        let epoch = take(&locator, n).await.unwrap();
        assert!(epoch > last);
        last = epoch;
        server.redis("CLIENT KILL TYPE normal SKIPME yes").await;
        server.redis("CLIENT KILL TYPE pubsub").await;
    }
    while next(&mut feed).await != Event::Gap {}
}

/// proves P14: a half-dead connection, on which nothing comes back.
#[tokio::test]
async fn silence_is_no_answer_and_is_noticed() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let way = Proxy::to(server.address()).await;
    let far = locator(&url(way.address(), "timeout=300ms")).await;
    let mut feed = far.watch().await.unwrap();
    take(&far, 1).await.unwrap();
    assert!(matches!(next(&mut feed).await, Event::Change(_)));
    way.swallow(Direction::ToClient);
    assert!(is_unavailable(&far.locate(user(7)).await.unwrap_err()));
    for (writes, outcome) in decisions(&far, 2).await {
        let error = outcome.unwrap_err();
        assert!(is_unavailable(&error) || (writes && error.retry() == Retry::Unknown), "{error:?}");
    }
    until("the feed has noticed", || async { far.watch().await.is_err() }).await;
    way.mend();
    comes_back(&far).await;
    assert_eq!(next(&mut feed).await, Event::Gap);
}

#[tokio::test]
async fn a_slow_store_is_slow_or_refused() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let way = Proxy::to(server.address()).await;
    let far = locator(&url(way.address(), "timeout=1s")).await;
    way.delay(Duration::from_millis(30));
    let epoch = take(&far, 1).await.unwrap();
    way.delay(Duration::from_secs(2));
    let error = far.locate(user(7)).await.unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    way.mend();
    comes_back(&far).await;
    assert_eq!(far.locate(user(7)).await.unwrap().gate.map(|slot| slot.epoch), Some(epoch));
}

/// "Redis says": a write that too few replicas have is not acknowledged.
#[tokio::test]
async fn a_write_waits_for_its_replicas() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let Some(replica) = Server::start(Program::Redis).await else { return };
    let copying = Proxy::to(server.address()).await;
    replica.redis(&format!("REPLICAOF {}", copying.address().replace(':', " "))).await;
    until("the replica copies", || async { replica.redis("INFO replication").await.contains("master_link_status:up") })
        .await;
    let locator = locator(&url(server.address(), "wait-replicas=1")).await;
    let locks = locks(&url(server.address(), "wait-replicas=1")).await;
    let first = take(&locator, 1).await.unwrap();
    locks.try_acquire("a", LIMIT).await.unwrap().unwrap().release().await.unwrap();
    copying.swallow(Direction::ToClient);
    let unheard = take(&locator, 2).await.unwrap_err();
    assert_eq!((unheard.kind(), unheard.retry()), (Kind::Timeout, Retry::Unknown));
    assert!(format!("{unheard:?}").contains("0 of 1 replicas"), "{unheard:?}");
    let unheard = locks.try_acquire("b", LIMIT).await.unwrap_err();
    assert_eq!(unheard.retry(), Retry::Unknown);
    // Repeated, it waits again, though there is nothing new to write.
    assert_eq!(take(&locator, 2).await.unwrap_err().retry(), Retry::Unknown);
    let refused = locator.if_absent(user(7), Place::Gate, claim(3)).await.unwrap();
    assert!(refused.won().is_none(), "a refusal writes nothing, so it waits for nobody");
    copying.mend();
    until("the replica has it", || async { take(&locator, 2).await.is_ok() }).await;
    let record = locator.locate(user(7)).await.unwrap();
    assert_eq!(record.gate.map(|slot| slot.session), Some(SessionId(2)));
    assert!(record.last > first);
}

/// Reads that decide go to the primary.
#[tokio::test]
async fn a_replica_is_refused() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let Some(replica) = Server::replica_of(&server).await else { return };
    let refused = drivers().locator.open(&url(replica.address(), "")).await.err().unwrap();
    assert!(is_unavailable(&refused) && format!("{refused:?}").contains("is a replica"), "{refused:?}");
    let both = format!("{},{}", replica.address(), server.address());
    let locator = locator(&url(&both, "")).await;
    take(&locator, 1).await.unwrap();
    // The primary is made a replica under a living connection.
    replica.promote().await;
    server.redis(&format!("REPLICAOF {}", replica.address().replace(':', " "))).await;
    until("the new primary is found", || async { take(&locator, 2).await.is_ok() }).await;
    let there = replica.redis("HGET due:{due:u:i7} last").await;
    assert_eq!(there.trim(), format!("{:016}", locator.locate(user(7)).await.unwrap().last.0));
}

/// B125: what another version wrote is ignored, and epochs still rise.
#[tokio::test]
async fn values_of_another_version_are_ignored() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locator = locator(&url(server.address(), "")).await;
    let epoch = take(&locator, 1).await.unwrap();
    server.redis("HSET due:{due:u:i7} cg {v:2} cngame gate-1 last many x y").await;
    let record = locator.locate(user(7)).await.unwrap();
    assert!(record.gate.is_none() && record.node.is_empty());
    assert_eq!(locator.check(vec![at_gate(user(7), 1, epoch)]).await.unwrap(), [Verdict::Missing]);
    assert!(take(&locator, 2).await.unwrap() > epoch);
    server.redis("SET due:{due:u:i8} text").await;
    assert_eq!(locator.locate(user(8)).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(locator.take(user(8), Place::Gate, claim(1)).await.unwrap_err().kind(), Kind::Internal);
    // A server that has forgotten the scripts is told them again.
    server.redis("SCRIPT FLUSH").await;
    assert!(take(&locator, 3).await.unwrap() > epoch);
}

#[tokio::test]
async fn all_that_may_be_checked_at_once_is() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locator = locator(&url(server.address(), "timeout=1s")).await;
    let epoch = take(&locator, 1).await.unwrap();
    let count = locator.capability().max_check;
    let mut all: Vec<_> = (0..count as i64).map(|n| at_gate(user(100 + n), 1, Epoch(1))).collect();
    all[count / 2] = at_gate(user(7), 1, epoch);
    let verdicts = locator.check(all).await.unwrap();
    assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::Current), Some(count / 2));
    assert_eq!(verdicts.len(), count);
}

/// Counting is never repeated, though everything else is.
#[tokio::test]
async fn an_unheard_count_is_made_once() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let relay = Relay::to(server.address()).await;
    let cache = caches(&url(relay.address(), "")).await;
    assert_eq!(cache.incr("n", 1).await.unwrap(), 1);
    relay.deaf(true);
    let unheard = cache.incr("n", 1).await.unwrap_err();
    assert_eq!((unheard.kind(), unheard.retry()), (Kind::Timeout, Retry::Unknown));
    relay.deaf(false);
    assert_eq!(cache.incr("n", 1).await.unwrap(), 3);
    let large = cache.set("n", vec![0; 17 * 1024 * 1024].into(), Ttl::Forever).await.unwrap_err();
    assert_eq!(large.kind(), Kind::TooLarge);
}

/// due-B22: a lock that a failover has forgotten goes to a holder with a higher token.
#[tokio::test]
async fn tokens_rise_over_a_server_that_came_back_empty() {
    let Some(server) = Server::start(Program::Redis).await else { return };
    let locks = locks(&url(server.address(), "")).await;
    let old = locks.try_acquire("a", LIMIT).await.unwrap().unwrap();
    server.wipe().await;
    until("the server is back", || async { locks.try_acquire(&fresh(), LIMIT).await.is_ok() }).await;
    let new = locks.try_acquire("a", LIMIT).await.unwrap().unwrap();
    assert!(new.token() > old.token());
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_names_itself() {
    let missing = url("user:hunter2@127.0.0.1:1", "");
    let error = drivers().locator.open(&missing).await.err().unwrap();
    let text = format!("{error:?}");
    assert!(
        is_unavailable(&error) && text.contains("redis://***@127.0.0.1:1/0") && !text.contains("hunter2"),
        "{text}"
    );
    let Some(server) = Server::start_with(Program::Redis, &["--requirepass", "s3cret"]).await else { return };
    for login in ["", "default:wrong@", "nobody:wrong@"] {
        let url = url(&format!("{login}{}", server.address()), "");
        for error in [
            drivers().locator.open(&url).await.err().unwrap(),
            drivers().lock.open(&url).await.err().unwrap(),
            drivers().cache.open(&url).await.err().unwrap(),
        ] {
            assert_eq!(error.kind(), Kind::Config, "{error:?}");
            assert!(format!("{error:?}").contains("user:password@host"), "{error:?}");
        }
    }
    let locator = locator(&url(&format!("default:s3cret@{}", server.address()), "")).await;
    take(&locator, 1).await.unwrap();
    for query in ["timeout=2s", "ttl=1s", "ns=a%7db"] {
        let error = drivers().locator.open(&url(server.address(), query)).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Config, "{query}: {error:?}");
    }
    let error = drivers().cache.open(&url(server.address(), "wait-replicas=1")).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config, "{error:?}");
}
