//! What goes wrong with a server, beyond the suite.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{
    Kind, Url,
    registry::{Answer, Expect, Instance, InstanceKind, Probe, Put, RegistryStore, Renew, Standing, Value},
};
use due_registry::consul::{self, Store};
use due_testkit::server::{Program, Proxy, Server};
use serde_json::json;
use tokio::time::{self, Instant};

use crate::bench::{Agent, HEALED, SOON, ids, namespace, node, open, see, server, stands, url};

/// The agent calls all checks critical the moment it wakes.
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

/// The numbers are those of the design.
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

#[tokio::test]
async fn who_died_while_consul_was_down_is_forgotten() {
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
    stands(&mut lives.status(), Standing::Held).await;
}

/// A query with an index that the server has not reached waits for its whole time; a list is made sooner.
#[tokio::test]
async fn an_index_that_went_back_is_not_believed() {
    let Some(server) = server().await else { return };
    let store = Store::new(&url(server.address(), &namespace())).unwrap();
    let cursor = store.list("node/").await.unwrap().cursor;
    let since = Instant::now();
    store.wait("node/", cursor + 1_000_000).await.unwrap();
    assert!(since.elapsed() < SOON, "the wait ends by itself");
    let name = namespace();
    let registry = open(server.address(), &name).await;
    let agent = Agent(server.address().to_owned());
    for n in 0..40 {
        agent.put(&format!("kv/raise-the-index-{n}"), &json!(n)).await;
    }
    let guard = registry.register(node("n1")).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    see(&mut watch, &["n1"]).await;
    guard.abandon();
    server.wipe().await;
    let _new = registry.register(node("n2")).await.unwrap();
    see(&mut watch, &["n2"]).await;
}

/// 404 on a renewal.
#[tokio::test] // proves P12
async fn a_service_that_was_removed_is_registered_again() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let name = namespace();
    let (registry, agent) = (open(server.address(), &name).await, Agent(server.address().to_owned()));
    let guard = registry.register(node("n1")).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    let before = see(&mut watch, &["n1"]).await;
    let [service] = &agent.services(&name).await[..] else { panic!("not one service") };
    agent.forget(service).await;
    see(&mut watch, &[]).await;
    let after = see(&mut watch, &["n1"]).await;
    assert_eq!(before.members, after.members);
    stands(&mut guard.status(), Standing::Held).await;
}

struct Says(Answer);

#[async_trait]
impl Probe for Says {
    async fn ask(&self, _: &Instance) -> Answer {
        self.0.clone()
    }
}

/// What consul does not promise in general holds on one agent.
#[tokio::test] // proves P12
async fn on_one_agent_an_id_changes_hands_once_and_only_from_the_dead() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let name = namespace();
    let (a, b) = (open(server.address(), &name).await, open(server.address(), &name).await);
    let old = a.register(node("n1")).await.unwrap();
    let twice = time::timeout(SOON, a.register(old.instance())).await.unwrap();
    assert_eq!(twice.err().map(|e| e.kind()), Some(Kind::Duplicate));
    b.probe_with(Arc::new(Says(Answer::Alive { host: "box-7".into(), pid: 4711 })));
    let refused = time::timeout(SOON, b.register(node("n1"))).await.unwrap();
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::AlreadyRunning));
    b.probe_with(Arc::new(Says(Answer::Dead)));
    let new = time::timeout(SOON, b.register(node("n1"))).await.unwrap().unwrap();
    stands(&mut old.status(), Standing::Superseded).await;
    let mut watch = a.watch(InstanceKind::Node).await.unwrap();
    let wanted = new.instance();
    time::timeout(SOON, watch.until(|view| view.members.first() == Some(&wanted))).await.unwrap();
    let flip = time::timeout(a.capability().expiry.1, watch.until(|v| v.members.first() != Some(&wanted))).await;
    assert!(flip.is_err(), "{flip:?}");
    old.close().await.unwrap();
    assert_eq!(*new.status().borrow(), Standing::Held);
    see(&mut watch, &["n1"]).await;
}

/// As on two agents: both are listed for a moment, the one created last counts, and the other learns of it.
#[tokio::test]
async fn of_two_that_come_at_once_the_last_one_counts() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let name = namespace();
    let (one, two) = (node("n1"), node("n1"));
    let value = |instance: &Instance| Value {
        incarnation: instance.incarnation,
        bytes: serde_json::to_vec(instance).unwrap().into(),
    };
    let store = Store::new(&url(server.address(), &name)).unwrap();
    let put = |instance| store.put("node/n1", value(instance), SOON, Expect::Absent);
    let both = tokio::join!(put(&one), put(&two));
    let outcomes = [both.0.unwrap(), both.1.unwrap()];
    assert!(outcomes.contains(&Put::Ok), "{outcomes:?}");
    let renewed =
        [store.renew("node/n1", one.incarnation, SOON).await, store.renew("node/n1", two.incarnation, SOON).await];
    let renewed = renewed.map(Result::unwrap);
    assert_eq!(renewed.iter().filter(|r| **r == Renew::Ok).count(), 1, "{renewed:?}");
    let again =
        [store.renew("node/n1", one.incarnation, SOON).await, store.renew("node/n1", two.incarnation, SOON).await];
    let again = again.map(Result::unwrap);
    assert_eq!(again.each_ref().map(|r| *r == Renew::Ok), renewed.each_ref().map(|r| *r == Renew::Ok));
    assert_eq!(store.list("node/").await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn a_slow_or_broken_network_is_overcome() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let way = Proxy::to(server.address()).await;
    way.delay(Duration::from_millis(100));
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
    let store = Store::new(&url(&address, "game")).unwrap();
    let e = store.list("node/").await.unwrap_err();
    let text = e.to_string();
    assert_eq!(e.kind(), Kind::Unavailable);
    assert!(text.contains(&address) && text.contains("start it, or correct the host"), "{text}");
    let registry = open(&address, "game").await;
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    assert!(!watch.view().is_live());
    let registered = tokio::spawn(async move { registry.register(node("n1")).await });
    server.restart().await;
    see(&mut watch, &["n1"]).await;
    let _guard = registered.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_wrong_token_is_an_error_that_says_what_to_do() {
    // Whoever has no token is the manager here: the server's own first look needs that.
    let tokens = r#"tokens { initial_management = "hunter2" default = "hunter2" agent = "hunter2" }"#;
    let acl = format!(r#"acl {{ enabled = true default_policy = "deny" {tokens} }}"#);
    let Some(server) = Server::start_with(Program::Consul, &["-hcl", &acl]).await else { return };
    let address = server.address();
    let agent = Agent(address.to_owned());
    agent.put("acl/policy", &json!({"Name": "writes", "Rules": r#"service_prefix "" { policy = "write" }"#})).await;
    let [none, writes] = ["7d4b2a1c-7f7b-4a5e-9d43-0123456789ab", "7d4b2a1c-7f7b-4a5e-9d43-0123456789ac"];
    agent.put("acl/token", &json!({"SecretID": none})).await;
    agent.put("acl/token", &json!({"SecretID": writes, "Policies": [{"Name": "writes"}]})).await;
    let with = |token: &str| Url::parse(&format!("consul://{address}/game?ttl=2s&token={token}")).unwrap();
    for (token, kind, fix) in [
        ("hunter3", Kind::Unauthorized, "correct the token"),
        (none, Kind::Forbidden, "service:write"),
        (writes, Kind::Forbidden, "node:read"),
    ] {
        let registry = consul::open(with(token)).await.unwrap();
        let e = time::timeout(SOON, registry.register(node("n1"))).await.expect("no waiting").map(drop).unwrap_err();
        let text = e.to_string();
        assert_eq!(e.kind(), kind, "{text}");
        assert!(text.contains(fix) && text.contains(address), "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }
    let registry = consul::open(with("hunter2")).await.unwrap();
    let _guard = registry.register(node("n1")).await.unwrap();
    see(&mut registry.watch(InstanceKind::Node).await.unwrap(), &["n1"]).await;
}
