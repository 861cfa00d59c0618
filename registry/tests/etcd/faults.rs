//! What goes wrong with a server, beyond the suite.

use std::time::Duration;

use due_core::{
    Kind, Url,
    registry::{InstanceKind, RegistryStore, Standing},
};
use due_registry::etcd::{self, Store};
use due_testkit::server::{Program, Proxy, Server};
use etcd_client::{CompactionOptions, PutOptions};
use tokio::time::{self, Instant};

use crate::bench::{HEALED, SOON, client, ids, namespace, node, open, revoke, see, server, stands, url};

/// C8: etcd ends all leases at once when it wakes.
#[tokio::test] // proves P12
async fn who_was_listed_is_listed_again_after_a_long_stop() {
    let Some(server) = server().await else { return };
    let name = namespace();
    let (a, b) = (open(server.address(), &name).await, open(server.address(), &name).await);
    let guards = [a.register(node("n1")).await.unwrap(), b.register(node("n2")).await.unwrap()];
    let mut watch = b.watch(InstanceKind::Node).await.unwrap();
    see(&mut watch, &["n1", "n2"]).await;
    server.pause();
    time::sleep(Duration::from_secs(8)).await;
    assert_eq!((watch.view().is_live(), ids(&watch.view())), (false, vec!["n1", "n2"]));
    for guard in &guards {
        stands(&mut guard.status(), Standing::Lost).await;
    }
    server.resume();
    for guard in &guards {
        stands(&mut guard.status(), Standing::Held).await;
    }
    let view = see(&mut watch, &["n1", "n2"]).await;
    let incarnations: Vec<_> = guards.iter().map(|g| g.instance().incarnation).collect();
    assert!(view.members.iter().map(|m| m.incarnation).eq(incarnations));
}

/// What an instance and its end need, before and after a wipe. The numbers are those of the design.
#[tokio::test] // proves P12
async fn an_instance_comes_within_5_s_and_goes_with_its_lease_also_after_a_wipe() {
    let Some(server) = server().await else { return };
    let registry = open(server.address(), &namespace()).await;
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    for id in ["before", "after"] {
        let guard = registry.register(node(id)).await.unwrap();
        time::timeout(Duration::from_secs(5), watch.until(|v| v.is_live() && ids(v) == [id])).await.expect("it comes");
        guard.abandon();
        let expiry = registry.capability().expiry.1 + SOON / 2;
        time::timeout(expiry, watch.until(|v| v.is_live() && v.members.is_empty())).await.expect("it goes");
        server.wipe().await;
    }
}

/// C10
#[tokio::test]
async fn who_died_while_etcd_was_down_is_forgotten() {
    let Some(server) = server().await else { return };
    let registry = open(server.address(), &namespace()).await;
    let lives = registry.register(node("lives")).await.unwrap();
    let dies = registry.register(node("dies")).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    see(&mut watch, &["dies", "lives"]).await;
    server.kill();
    dies.abandon();
    server.restart().await;
    see(&mut watch, &["lives"]).await;
    assert_eq!(*lives.status().borrow(), Standing::Held);
}

/// Compaction ends a watch that is behind it, with an empty reason.
#[tokio::test]
async fn a_compacted_history_costs_no_change() {
    let Some(server) = server().await else { return };
    let name = namespace();
    let way = Proxy::to(server.address()).await;
    let near = open(server.address(), &name).await;
    let store = Store::open(&url(server.address(), &name)).await.unwrap();
    let old = store.list("node/").await.unwrap().cursor;
    let mut watch = open(way.address(), &name).await.watch(InstanceKind::Node).await.unwrap();
    way.cut();
    let _guard = near.register(node("n1")).await.unwrap();
    let mut etcd = client(server.address()).await;
    let revision = etcd.put("/other", "", None).await.unwrap().header().unwrap().revision();
    etcd.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let behind = store.wait("node/", old).await.map_err(|e| e.kind());
    assert_eq!(behind, Err(Kind::Lost), "the caller lists anew");
    way.mend();
    see(&mut watch, &["n1"]).await;
}

/// A wiped server takes a watch from a revision it has not reached, and is silent.
#[tokio::test]
async fn a_cursor_of_a_wiped_server_is_known_as_such() {
    let Some(server) = server().await else { return };
    let store = Store::open(&url(server.address(), &namespace())).await.unwrap();
    let listing = store.list("node/").await.unwrap();
    let ahead = listing.cursor + 40;
    time::timeout(SOON, store.wait("node/", ahead)).await.expect("no silence").unwrap();
    let waits = time::timeout(Duration::from_millis(300), store.wait("node/", listing.cursor)).await;
    assert!(waits.is_err(), "nothing has changed: {waits:?}");
}

#[tokio::test]
async fn a_lost_lease_or_key_is_written_again_by_its_holder() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let name = namespace();
    let registry = open(server.address(), &name).await;
    let guard = registry.register(node("n1")).await.unwrap();
    let (key, mut etcd) = (format!("/{name}/registry/node/n1"), client(server.address()).await);
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    revoke(server.address(), &key).await;
    see(&mut watch, &["n1"]).await;
    // The key alone goes: its lease lives on.
    etcd.delete(&*key, None).await.unwrap();
    see(&mut watch, &[]).await;
    see(&mut watch, &["n1"]).await;
    // It loses its lease and would stay for ever.
    let mine = etcd.get(&*key, None).await.unwrap().kvs()[0].value().to_vec();
    etcd.put(&*key, mine, Some(PutOptions::new())).await.unwrap();
    let leased = async {
        while etcd.get(&*key, None).await.unwrap().kvs()[0].lease() == 0 {
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(SOON, leased).await.expect("a lease again");
    assert_eq!(*guard.status().borrow(), Standing::Held);
}

#[tokio::test]
async fn a_slow_or_broken_network_is_overcome() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let way = Proxy::to(server.address()).await;
    way.delay(Duration::from_millis(150));
    let registry = open(way.address(), &namespace()).await;
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    let guard = registry.register(node("n1")).await.unwrap();
    see(&mut watch, &["n1"]).await;
    for weight in 2..6 {
        way.close_all();
        guard.update(|i| i.weight = weight).unwrap();
        time::timeout(HEALED, guard.settled()).await.expect("written").unwrap();
        let seen = watch.until(|v| v.members.first().is_some_and(|m| m.weight == weight));
        time::timeout(HEALED, seen).await.expect("seen");
    }
}

/// proves P11: a server that is away at the start is waited for, and whoever looks learns what to do.
#[tokio::test]
async fn a_server_that_comes_late_is_waited_for() {
    let Some(server) = server().await else { return };
    server.kill();
    let address = server.address().to_owned();
    let store = Store::open(&url(&address, "game")).await.unwrap();
    let began = Instant::now();
    let e = store.list("node/").await.unwrap_err();
    let text = e.to_string();
    assert_eq!(e.kind(), Kind::Unavailable);
    assert!(text.contains(&address) && text.contains("start it, or correct the hosts"), "{text}");
    assert!(began.elapsed() < SOON);
    let registry = open(&address, "game").await;
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    assert!(!watch.view().is_live());
    let registered = tokio::spawn(async move { registry.register(node("n1")).await });
    server.restart().await;
    see(&mut watch, &["n1"]).await;
    let _guard = registered.await.unwrap().unwrap();
}

/// One of several hosts is enough.
#[tokio::test]
async fn a_host_that_is_away_is_passed_over() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let away = Proxy::to(server.address()).await;
    away.cut();
    let hosts = format!("{},{}", away.address(), server.address());
    let registry = etcd::open(url(&hosts, &namespace())).await.unwrap();
    let guard = registry.register(node("n1")).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    see(&mut watch, &["n1"]).await;
    for weight in 2..12 {
        guard.update(|i| i.weight = weight).unwrap();
        time::timeout(HEALED, guard.settled()).await.expect("written").unwrap();
    }
    assert_eq!(*guard.status().borrow(), Standing::Held);
}

#[tokio::test]
async fn a_wrong_login_is_an_error_that_says_what_to_do() {
    let Some(server) = server().await else { return };
    let address = server.address();
    let with = |login: &str| Url::parse(&format!("etcd://{address}/game?ttl=2s{login}")).unwrap();
    let refusal = async |url: Url| {
        let registry = etcd::open(url).await.unwrap();
        let listed = registry.watch(InstanceKind::Node).await.map(drop).unwrap_err();
        let e = time::timeout(SOON, registry.register(node("n1"))).await.expect("no waiting").map(drop).unwrap_err();
        assert_eq!((listed.kind(), listed.to_string()), (e.kind(), e.to_string()));
        (e.kind(), e.to_string())
    };
    let (kind, text) = refusal(with("&user=due&password=hunter2")).await;
    assert_eq!(kind, Kind::Config);
    assert!(text.contains("leave user and password out"), "{text}");

    let mut etcd = client(address).await;
    for user in ["root", "due"] {
        etcd.user_add(user, "right-one", None).await.unwrap();
    }
    etcd.user_grant_role("root", "root").await.unwrap();
    etcd.auth_enable().await.unwrap();
    for (login, kind, fix) in [
        ("&user=due&password=hunter2", Kind::Unauthorized, "correct the user or the password"),
        ("&user=nobody&password=hunter2", Kind::Unauthorized, "correct the user or the password"),
        ("", Kind::Unauthorized, "user:password@"),
        ("&user=due&password=right-one", Kind::Forbidden, "the prefix /game/registry/"),
    ] {
        let (found, text) = refusal(with(login)).await;
        assert_eq!(found, kind, "{text}");
        assert!(text.contains(fix) && text.contains(address), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("right-one"), "{text}");
    }
    let before = Url::parse(&format!("etcd://root:right-one@{address}/game?ttl=2s")).unwrap();
    let registry = etcd::open(before).await.unwrap();
    let guard = registry.register(node("n1")).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    see(&mut watch, &["n1"]).await;
    // A restarted server knows no token any more.
    server.restart().await;
    guard.update(|i| i.weight = 5).unwrap();
    time::timeout(HEALED, guard.settled()).await.expect("written").unwrap();
    time::timeout(HEALED, watch.until(|v| v.is_live() && v.members[0].weight == 5)).await.expect("seen");
}
