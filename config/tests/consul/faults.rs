//! What goes wrong with a server, beyond the suite.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use due_config::consul;
use due_core::{
    Kind, Url,
    config::{Expect, Live, Update, Validate},
};
use due_testkit::server::{Direction, Program, Proxy, Server};
use tokio::time;

use crate::bench::{SOON, namespace, next, open, put, see, server};

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

/// After a wipe the index is lower than what the watch waits from.
#[tokio::test]
async fn a_wiped_server_is_seen_as_it_is() {
    let Some(server) = server().await else { return };
    let source = open(server.address(), "game").await;
    for n in 0..40 {
        source.store("old", n.to_string().into(), Expect::Any).await.unwrap();
    }
    let mut watch = source.watch("").await.unwrap();
    see(&mut watch, "old", "39").await;
    server.wipe().await;
    while next(&mut watch).await != Update::All(BTreeMap::new()) {}
    source.store("new", A, Expect::Absent).await.unwrap();
    see(&mut watch, "new", "a").await;
}

#[tokio::test]
async fn a_stopped_server_is_an_error_and_no_change() {
    let Some(server) = server().await else { return };
    let source = open(server.address(), "game").await;
    source.store("key", A, Expect::Any).await.unwrap();
    let mut watch = source.watch("key").await.unwrap();
    see(&mut watch, "key", "a").await;
    server.pause();
    // A process that is told to stop does so in a moment.
    let stopped = async {
        loop {
            if let Err(e) = source.load("key").await {
                return e.kind();
            }
        }
    };
    assert_eq!(time::timeout(SOON, stopped).await.expect("no waiting for ever"), Kind::Timeout);
    time::sleep(Duration::from_secs(4)).await;
    server.resume();
    source.store("key", B, Expect::Any).await.unwrap();
    see(&mut watch, "key", "b").await;
}

/// One way is silent: the answer is lost, the write may have happened.
#[tokio::test]
async fn a_lost_answer_is_unknown_and_told_as_it_was() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    let (far, near) = (open(way.address(), &name).await, open(server.address(), &name).await);
    far.store("key", A, Expect::Any).await.unwrap();
    way.swallow(Direction::ToClient);
    let e = time::timeout(SOON, far.store("key", B, Expect::Any)).await.unwrap().unwrap_err();
    assert_eq!((e.kind(), e.retry()), (Kind::Timeout, due_core::Retry::Unknown));
    assert_eq!(near.load("key").await.unwrap().unwrap().value, B);
    way.mend();
    assert_eq!(far.load("key").await.unwrap().unwrap().value, B);
}

#[tokio::test]
async fn a_slow_or_broken_network_is_overcome() {
    let Some(server) = Server::shared(Program::Consul).await else { return };
    let (way, name) = (Proxy::to(server.address()).await, namespace());
    way.delay(Duration::from_millis(100));
    let (far, near) = (open(way.address(), &name).await, open(server.address(), &name).await);
    let mut watch = far.watch("key").await.unwrap();
    for n in 0..5 {
        way.close_all();
        near.store("key", n.to_string().into(), Expect::Any).await.unwrap();
        see(&mut watch, "key", &n.to_string()).await;
    }
}

#[derive(Debug, Default, PartialEq)]
struct Word(String);

impl Validate for Word {}

fn word(bytes: &[u8]) -> Result<Word, String> {
    String::from_utf8(bytes.to_vec()).map(Word).map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_server_that_comes_late_is_found_by_who_tries_again() {
    let Some(server) = server().await else { return };
    server.kill();
    let source = open(server.address(), "game").await;
    let live: Live<Word> = Live::new(word);
    let e = live.follow(source.clone(), "key").await.unwrap_err();
    let text = e.to_string();
    assert_eq!(e.kind(), Kind::Unavailable);
    assert!(text.contains(server.address()) && text.contains("start it, or correct the host"), "{text}");
    server.restart().await;
    source.store("key", A, Expect::Any).await.unwrap();
    live.follow(source, "key").await.unwrap();
    assert_eq!(live.get().0, "a");
}

#[tokio::test]
async fn a_wrong_token_is_an_error_that_says_what_to_do() {
    // Whoever has no token is the manager here: the server's own first look needs that.
    let tokens = r#"tokens { initial_management = "hunter2" default = "hunter2" agent = "hunter2" }"#;
    let acl = format!(r#"acl {{ enabled = true default_policy = "deny" {tokens} }}"#);
    let Some(server) = Server::start_with(Program::Consul, &["-hcl", &acl]).await else { return };
    let address = server.address();
    let nobody = "7d4b2a1c-7f7b-4a5e-9d43-0123456789ab";
    put(address, "acl/token", format!("{{\"SecretID\": \"{nobody}\"}}")).await;
    let with = |token: &str| consul::open(Url::parse(&format!("consul://{address}/game?token={token}")).unwrap());
    for (token, kind, fix) in
        [("hunter3", Kind::Unauthorized, "correct the token"), (nobody, Kind::Forbidden, "key:write")]
    {
        let source = with(token).await.unwrap();
        let e = source.store("key", A, Expect::Any).await.unwrap_err();
        let text = e.to_string();
        assert_eq!(e.kind(), kind, "{text}");
        assert!(text.contains(fix) && text.contains(address), "{text}");
        assert!(!text.contains("hunter") && !text.contains(nobody), "{text}");
    }
    let right = with("hunter2").await.unwrap();
    right.store("key", A, Expect::Any).await.unwrap();
    assert_eq!(right.load("key").await.unwrap().unwrap().value, A);
}
