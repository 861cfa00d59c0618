//! What stands in etcd and in a URL that should not.

use std::{fs, path::Path};

use due_core::{
    Drivers, Kind, Url,
    registry::{InstanceKind, Registry},
};
use due_testkit::server::{Program, Server};

use crate::bench::{client, namespace, node, open, see};

#[tokio::test] // B120, B121, B123
async fn what_is_no_instance_is_passed_over() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let name = namespace();
    let registry = open(server.address(), &name).await;
    let _guard = registry.register(node("n1")).await.unwrap();
    let mut etcd = client(server.address()).await;
    let good =
        String::from_utf8(etcd.get(format!("/{name}/registry/node/n1"), None).await.unwrap().kvs()[0].value().to_vec());
    let good = good.unwrap();
    for (key, value) in [
        (format!("/{name}/registry/node/not-json"), "{".to_owned()),
        (format!("/{name}/registry/node/no-port"), good.replace("n1", "no-port").replace(":7000", ":0")),
        (format!("/{name}/registry/node/under-another-key"), good.clone()),
        // Cousins: none of these is in the namespace or the kind.
        (format!("/{name}/registry/node-admin/n2"), good.replace("n1", "n2")),
        (format!("/{name}-admin/registry/node/n3"), good.replace("n1", "n3")),
        (format!("/{name}/registry-old/node/n4"), good.replace("n1", "n4")),
    ] {
        etcd.put(key, value, None).await.unwrap();
    }
    let mut watch = registry.watch(InstanceKind::Node).await.unwrap();
    let view = see(&mut watch, &["n1"]).await;
    assert_eq!(view.skipped, 3);
}

/// More than one page of answers.
#[tokio::test]
async fn a_fleet_is_listed_in_full() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let name = namespace();
    let registry = open(server.address(), &name).await;
    let mut etcd = client(server.address()).await;
    for n in 0..1100 {
        let node = node(&format!("n{n:04}"));
        let json = serde_json::to_vec(&node).unwrap();
        etcd.put(format!("/{name}/registry/{}", node.key()), json, None).await.unwrap();
    }
    let view = registry.watch(InstanceKind::Node).await.unwrap().view();
    assert_eq!((view.members.len(), view.skipped), (1100, 0));
}

/// A key that no program of ours wrote keeps its id, and nobody asks it for ever.
#[tokio::test]
async fn an_id_under_an_unreadable_key_is_taken() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let name = namespace();
    let mut etcd = client(server.address()).await;
    etcd.put(format!("/{name}/registry/node/n1"), "mine", None).await.unwrap();
    let refused = open(server.address(), &name).await.register(node("n1")).await.map(drop);
    assert_eq!(refused.map_err(|e| e.kind()), Err(Kind::AlreadyRunning));
}

#[tokio::test]
async fn a_wrong_url_names_the_key_the_value_and_the_fix() {
    let mut drivers = Drivers::memory();
    due_registry::install(&mut drivers);
    for (text, parts) in [
        ("etcd://", &["no host", "etcd://host:2379/namespace"][..]),
        ("etcd://a:1?ttl=1s", &["ttl=1s", "2s to 1h"]),
        ("etcd://a:1?ttl=2500ms", &["ttl=2500ms", "whole seconds"]),
        ("etcd://a:1?ttl=2h", &["ttl=2h", "2s to 1h"]),
        ("etcd://a:1?ttl=10", &["\"10\"", "10s"]),
        ("etcd://a:1?tll=10s", &["tll", "ttl", "user"]),
        ("etcd://u:hunter2@a:1?user=v", &["two users", "?user="]),
        ("etcd://a:1?password=hunter2", &["a password and no user"]),
        ("etcd://a:1:x y", &["white space"]),
        ("etcd://a:99999", &["\"a:99999\"", "write host:2379"]),
        ("etcd://a,:2379", &["\":2379\"", "write host:2379"]),
    ] {
        let outcome = async { drivers.registry.open(&Url::parse(text)?).await };
        let e = outcome.await.map(|_: std::sync::Arc<dyn Registry>| ()).unwrap_err();
        assert_eq!(e.kind(), Kind::Config, "{text}: {e}");
        let said = e.to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
/// Leaves do not know each other, so each has these files; here they stay the same.
#[test]
fn what_talks_to_etcd_is_the_same_in_three_crates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |name: &str, file: &str| fs::read_to_string(root.join(name).join("src/etcd").join(file)).unwrap();
    assert!(read("registry", "client.rs") == read("config", "client.rs"), "client.rs of config differs");
    assert!(read("registry", "client.rs") == read("store", "client.rs"), "client.rs of store differs");
    assert!(read("registry", "list.rs") == read("config", "list.rs"), "list.rs of config differs");
}
