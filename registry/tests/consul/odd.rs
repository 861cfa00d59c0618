//! What stands in consul and in a URL that should not.

use due_core::{
    Drivers, Kind, Url,
    registry::{InstanceKind, Registry},
};
use due_testkit::server::{Program, Server};
use serde_json::{Value, json};

use crate::bench::{Agent, namespace, node, open, see};

#[tokio::test] // B120, B123
async fn what_is_no_instance_is_passed_over() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let name = namespace();
    let registry = open(server.address(), &name).await;
    let _guard = registry.register(node("n1")).await.unwrap();
    let agent = Agent(server.address().to_owned());
    let found = agent.get(&format!("health/service/{name}-node")).await;
    let meta = found[0]["Service"]["Meta"].clone();
    assert_eq!((&found[0]["Service"]["Address"], &found[0]["Service"]["Port"]), (&json!("10.0.0.1"), &json!(7000)));
    let mut half = meta.clone();
    half["json-0"] = json!("{\"id\":");
    let mut other = meta.clone();
    other["id"] = json!("n2");
    let mut wrong = meta.clone();
    wrong["id"] = json!("~zz");
    for (id, service, meta) in [
        ("half", "node", &half),
        ("none", "node", &Value::Null),
        ("under-another-id", "node", &other),
        ("with-a-wrong-id", "node", &wrong),
        // Cousins: none of these is in the namespace or the kind.
        ("cousin", "node-admin", &meta),
        ("cousin2", "admin-node", &meta),
    ] {
        let service = json!({"ID": format!("{name}-{id}"), "Name": format!("{name}-{service}"), "Meta": meta});
        agent.put("agent/service/register", &service).await;
    }
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    let view = see(&mut watch, &["n1"]).await;
    assert_eq!(view.skipped, 4);
}

#[tokio::test]
async fn odd_ids_and_large_instances_are_whole() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let registry = open(server.address(), &namespace()).await;
    let mut instance = node("a\"b\\c`d?e#f%20&g=~");
    while serde_json::to_vec(&instance).unwrap().len() < 24_000 {
        let n = instance.labels.len();
        instance.labels.insert(format!("label-{n}"), "ü\n".repeat(50));
    }
    let guard = registry.register(instance.clone()).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    let view = see(&mut watch, &["a\"b\\c`d?e#f%20&g=~"]).await;
    assert_eq!(view.members.first(), Some(&instance));
    guard.update(|i| i.labels.clear()).unwrap();
    guard.settled().await.unwrap();
    let wanted = guard.instance();
    tokio::time::timeout(crate::bench::SOON, watch.until(|v| v.members.first() == Some(&wanted))).await.unwrap();
}

#[tokio::test]
async fn a_wrong_url_names_the_key_the_value_and_the_fix() {
    let mut drivers = Drivers::memory();
    due_registry::install(&mut drivers);
    for (text, parts) in [
        ("consul://", &["0 hosts", "consul://127.0.0.1:8500/namespace"][..]),
        ("consul://a:1,b:2", &["2 hosts", "name one agent"]),
        ("consul://a:1?ttl=1s", &["ttl=1s", "2s to 10m"]),
        ("consul://a:1?ttl=10", &["\"10\"", "10s"]),
        ("consul://a:1?tll=10s", &["tll", "ttl", "token"]),
        ("consul://u:hunter2@a:1", &["a user", "?token="]),
        ("consul://a:1?token=hunter2%0a", &["printable"]),
        ("consul://a:0", &["\"a:0\"", "write host:8500"]),
        ("consul://:1", &["\":1\"", "write host:8500"]),
        ("consul://a:1/x/y", &["no namespace", "letters"]),
    ] {
        let outcome = async { drivers.registry.open(&Url::parse(text)?).await };
        let e = outcome.await.map(|_: std::sync::Arc<dyn Registry>| ()).unwrap_err();
        assert_eq!(e.kind(), Kind::Config, "{text}: {e}");
        let said = e.to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
