//! What stands in consul and in a URL that should not.

use bytes::Bytes;
use due_core::{
    Drivers, Kind, Url,
    config::{ConfigSource, Expect, Version},
};
use due_testkit::server::{Program, Server};

use crate::bench::{namespace, open, put};

#[tokio::test] // B109, B123
async fn what_is_no_setting_is_passed_over() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let name = namespace();
    let source = open(server.address(), &name).await;
    source.store("good", Bytes::from_static(b"1"), Expect::Any).await.unwrap();
    source.store("empty", Bytes::new(), Expect::Any).await.unwrap();
    for path in ["config/folder/", "config/a%20b", "config-old/x", "registry/x"] {
        put(server.address(), &format!("kv/{name}/{path}"), "1").await;
    }
    let all = source.list("").await.unwrap();
    assert_eq!(all.keys().map(|k| &**k).collect::<Vec<_>>(), ["empty", "good"]);
    assert_eq!(source.load("empty").await.unwrap().map(|e| e.value), Some(Bytes::new()));
    source.store("..dots", Bytes::new(), Expect::Any).await.unwrap();
    assert_eq!(source.list("..").await.unwrap().len(), 1);
    source.delete("..dots", Expect::Any).await.unwrap();
    for odd in ["../", "..", "/", "a b", "a?recurse&x=", "a//", "%2e%2e/", "x/../"] {
        assert!(source.list(odd).await.unwrap().is_empty(), "{odd}");
        assert!(source.watch(odd).await.is_ok(), "{odd}");
    }
}

/// Consul's limit is lower than ours.
#[tokio::test]
async fn the_largest_value_fits_and_one_more_byte_does_not() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let source = open(server.address(), &namespace()).await;
    let largest = Bytes::from(vec![0xff; 380 * 1024]);
    source.store("key", largest.clone(), Expect::Any).await.unwrap();
    assert_eq!(source.load("key").await.unwrap().unwrap().value, largest);
    let e = source.store("key", vec![0; 380 * 1024 + 1].into(), Expect::Any).await.unwrap_err();
    assert!(e.kind() == Kind::TooLarge && e.to_string().contains("389120"), "{e}");
}

#[tokio::test]
async fn a_read_only_source_writes_nothing() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let url = Url::parse(&format!("consul://{}/game?read-only=on", server.address())).unwrap();
    let source = due_config::consul::open(url).await.unwrap();
    assert!(!source.capability().writable);
    let refused = [
        source.store("key", Bytes::new(), Expect::Any).await.map(drop),
        source.delete("key", Expect::Any).await.map(drop),
    ];
    assert_eq!(refused.map(|answer| answer.unwrap_err().kind()), [Kind::Forbidden; 2]);
}

#[tokio::test]
async fn deletions_happen_only_as_expected() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let source = open(server.address(), &namespace()).await;
    let stored = source.store("key", Bytes::from_static(b"1"), Expect::Any).await.unwrap();
    let refused = source.delete("key", Expect::Absent).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Duplicate);
    let gone = source.delete("key", Expect::Version(stored.clone())).await.unwrap();
    assert!(gone > stored, "{gone} after {stored}");
    let again = source.delete("key", Expect::Version(stored)).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Stale);
    source.delete("key", Expect::Absent).await.unwrap();
    for never in [Version::Number(0), Version::Tag("x".into())] {
        let refused = source.store("key", Bytes::new(), Expect::Version(never)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Stale);
    }
}

#[tokio::test]
async fn a_wrong_url_names_the_key_the_value_and_the_fix() {
    let mut drivers = Drivers::memory();
    due_config::install(&mut drivers);
    for (text, parts) in [
        ("consul://", &["0 hosts", "consul://127.0.0.1:8500/namespace"][..]),
        ("consul://a:1,b:2", &["2 hosts", "name one agent"]),
        ("consul://a:1?ttl=10s", &["ttl", "token", "read-only"]),
        ("consul://u:hunter2@a:1", &["a user", "?token="]),
        ("consul://a:1?token=hunter2%0a", &["printable"]),
        ("consul://a:0", &["\"a:0\"", "write host:8500"]),
        ("consul://a:1/a%20b", &["no namespace", "letters"]),
        ("consul://a:1/../x", &["no namespace", "letters"]),
    ] {
        let outcome = async { drivers.config.open(&Url::parse(text)?).await };
        let e = outcome.await.map(|_: std::sync::Arc<dyn ConfigSource>| ()).unwrap_err();
        assert_eq!(e.kind(), Kind::Config, "{text}: {e}");
        let said = e.to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
