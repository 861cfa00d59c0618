//! What stands in etcd and in a URL that should not, and what is large.

use std::time::Duration;

use due_core::{
    Drivers, Kind, Url,
    config::{Expect, History, LARGEST, Outcome, Update},
};
use due_testkit::server::{Program, Server};
use tokio::time;

use crate::bench::{SOON, client, namespace, next, open};

#[tokio::test] // B123, B127
async fn keys_that_are_none_of_ours_are_passed_over() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let name = namespace();
    let source = open(server.address(), &name).await;
    source.store("limits", "1".into(), Expect::Any).await.unwrap();
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    let mut etcd = client(server.address()).await;
    for key in ["/config/", "/config/../up", "/config//a", "/config/a b", "/config-old/limits", "-old/config/limits"] {
        etcd.put(format!("/{name}{key}"), "odd", None).await.unwrap();
    }
    // More than a page of keys that are not even text.
    for n in 128..=255 {
        etcd.put([format!("/{name}/config/").as_bytes(), &[n]].concat(), "odd", None).await.unwrap();
    }
    etcd.put(format!("/{name}/config/by-hand"), "2", None).await.unwrap();
    let update = next(&mut watch).await;
    assert!(matches!(&update, Update::Key(key, Some(_)) if **key == *"by-hand"), "{update:?}");
    assert!(source.list("").await.unwrap().keys().map(|k| &**k).eq(["by-hand", "limits"]));
}

/// A whole list is much larger than the largest answer of one call, and each value as large as may be.
#[tokio::test]
async fn many_large_values_are_listed_and_watched() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let source = open(server.address(), &namespace()).await;
    let value = |n: u8| bytes::Bytes::from(vec![n; LARGEST]);
    for n in 0..70 {
        source.store(&format!("large/{n:02}"), value(n), Expect::Absent).await.unwrap();
    }
    let mut watch = source.watch("large/").await.unwrap();
    let Update::All(all) = next(&mut watch).await else { panic!("no list") };
    assert!((0..70).all(|n| all.get(&*format!("large/{n:02}")).is_some_and(|e| e.value == value(n))));
    source.store("large/00", value(99), Expect::Any).await.unwrap();
    let Update::Key(_, Some(entry)) = next(&mut watch).await else { panic!("no change") };
    assert_eq!(entry.value, value(99));
    for n in 0..70 {
        source.delete(&format!("large/{n:02}"), Expect::Any).await.unwrap();
    }
}

/// A setting and its record have one revision: nobody can die between them. What is too large for that is done in turn.
#[tokio::test]
async fn a_setting_and_its_record_are_one_step() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let source = open(server.address(), &namespace()).await;
    let history = History::new(source.clone());
    let version = history.store("limits", "1".into(), Expect::Absent, "anna").await.unwrap();
    let record = source.load(".history/limits/0000000000000001").await.unwrap().unwrap();
    assert_eq!(record.version, version);
    let large = bytes::Bytes::from(vec![7; LARGEST - 2048]);
    let next = history.store("limits", large.clone(), Expect::Version(version.clone()), "bert").await.unwrap();
    let gone = history.delete("limits", Expect::Version(next.clone()), "carl").await.unwrap();
    let records = history.records("limits").await.unwrap();
    let told: Vec<_> = records.iter().map(|r| (&*r.author, r.value.clone(), r.outcome.clone())).collect();
    let wanted = [
        ("carl", None, Outcome::Applied(gone)),
        ("bert", Some(large), Outcome::Applied(next)),
        ("anna", Some("1".into()), Outcome::Applied(version)),
    ];
    assert!(told == wanted, "{:?}", records.iter().map(|r| (&r.author, &r.outcome)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_source_that_goes_ends_its_watches() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let source = open(server.address(), &namespace()).await;
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    assert!(time::timeout(Duration::from_millis(100), watch.next()).await.is_err());
    drop(source);
    assert_eq!(time::timeout(SOON, watch.next()).await.expect("the end"), None);
}

#[tokio::test]
async fn a_wrong_url_names_what_is_wrong() {
    let mut drivers = Drivers::memory();
    due_config::install(&mut drivers);
    for (text, parts) in [
        ("etcd://", &["no host"][..]),
        ("etcd://a:1?ttl=10s", &["ttl", "user"]),
        ("etcd://a:0/game", &["\"a:0\"", "host:2379"]),
    ] {
        let e = drivers.config.open(&Url::parse(text).unwrap()).await.map(drop).unwrap_err();
        assert_eq!(e.kind(), Kind::Config, "{text}: {e}");
        assert!(parts.iter().all(|part| e.to_string().contains(part)), "{text}: {e}");
    }
}
