//! Calls by name over gRPC, with a service written by hand as tonic would generate it.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod who;

use std::{collections::BTreeMap, time::Duration};

use due_core::{
    Error, Kind, Result, Url,
    registry::{Instance, InstanceKind, Registry, State, memory},
};
use due_testkit::server::{Direction, Proxy};
use due_transport::grpc::{self, Channel, Serving};
use tokio::runtime::Runtime;
use tonic::Code;

use who::{Who, WhoClient, WhoServer};

fn instance(id: &str, weight: u32) -> Instance {
    Instance { weight, ..Instance::new(InstanceKind::Mesh, id, "match") }
}

async fn serve(registry: &dyn Registry, id: &str, weight: u32) -> Result<Serving> {
    let url = Url::parse("grpc://127.0.0.1:0")?;
    grpc::service(WhoServer::new(id)).serve(registry, &url, instance(id, weight)).await
}

/// Fails instead of waiting for ever.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), event).await.unwrap()
}

/// Waits until the channel is connected to exactly `count` members.
async fn connected(channel: &Channel, count: usize) {
    soon(async {
        while channel.connected() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Who answers in `calls` calls.
async fn shares(channel: &Channel, calls: usize) -> BTreeMap<String, usize> {
    let mut client = WhoClient::new(channel.clone());
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        let answer = client.who(Who { name: "you".into() }).await.unwrap();
        *counts.entry(answer.name).or_default() += 1;
    }
    counts
}

fn expected<const N: usize>(shares: [(&str, usize); N]) -> BTreeMap<String, usize> {
    shares.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test]
async fn shares_follow_the_weights() {
    let registry = memory::registry();
    let _a = serve(&registry, "a", 1).await.unwrap();
    let _b = serve(&registry, "b", 2).await.unwrap();
    let _c = serve(&registry, "c", 5).await.unwrap();
    for target in ["discovery://match", "discovery://test.Who"] {
        let channel = grpc::channel(&registry, target).await.unwrap();
        connected(&channel, 3).await;
        assert_eq!(shares(&channel, 80).await, expected([("a", 10), ("b", 20), ("c", 50)]), "{target}");
    }
}

#[tokio::test]
async fn who_hangs_is_not_called_and_who_is_busy_only_last() {
    let registry = memory::registry();
    let a = serve(&registry, "a", 1).await.unwrap();
    let b = serve(&registry, "b", 1).await.unwrap();
    let channel = grpc::channel(&registry, "discovery://match").await.unwrap();
    connected(&channel, 2).await;
    let mut watch = registry.watch(InstanceKind::Mesh).await.unwrap();
    for (states, answers) in [
        ((State::Hang, State::Work), "b"),
        ((State::Work, State::Busy), "a"),
        ((State::Hang, State::Busy), "b"),
        ((State::Work, State::Shut), "a"),
    ] {
        a.registration().unwrap().update(|i| i.state = states.0).unwrap();
        b.registration().unwrap().update(|i| i.state = states.1).unwrap();
        watch.until(|v| v.members.iter().map(|m| m.state).eq([states.0, states.1])).await;
        // The channel has its own watch: it follows at once, but not at the same moment.
        soon(async { while shares(&channel, 8).await != expected([(answers, 8)]) {} }).await;
        assert_eq!(shares(&channel, 8).await, expected([(answers, 8)]), "{states:?}");
    }
}

#[tokio::test]
async fn nobody_to_call_says_so_after_the_wait() {
    let registry = memory::registry();
    let hung = serve(&registry, "a", 1).await.unwrap();
    hung.registration().unwrap().update(|i| i.state = State::Hang).unwrap();
    hung.registration().unwrap().settled().await.unwrap();
    let channel = grpc::channel(&registry, "discovery://match?wait=50ms").await.unwrap();
    let refused = WhoClient::new(channel).who(Who::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("discovery://match"), "{refused}");
}

#[tokio::test]
async fn a_killed_member_is_skipped_and_its_successor_found() {
    let registry = memory::registry();
    let _a = serve(&registry, "a", 1).await.unwrap();
    let victim = Runtime::new().unwrap();
    let url = Url::parse("grpc://127.0.0.1:0").unwrap();
    let serving = victim.spawn(async move { grpc::service(WhoServer::new("b")).listen(&url).await });
    let serving = serving.await.unwrap().unwrap();
    // Listed by itself, so that the entry outlives the process, as a killed one's does.
    let listed = Instance { endpoints: vec![serving.endpoint().to_string()], ..instance("b", 1) };
    let entry = registry.register(listed).await.unwrap();
    let channel = grpc::channel(&registry, "discovery://match").await.unwrap();
    connected(&channel, 2).await;
    victim.shutdown_background();
    connected(&channel, 1).await;
    assert_eq!(shares(&channel, 20).await, expected([("a", 20)]));
    entry.close().await.unwrap();
    let _b = serve(&registry, "b", 1).await.unwrap();
    connected(&channel, 2).await;
    assert_eq!(shares(&channel, 20).await, expected([("a", 10), ("b", 10)]));
}

#[tokio::test]
async fn direct_addresses_need_no_registry() {
    let url = Url::parse("grpc://127.0.0.1:0").unwrap();
    let a = grpc::service(WhoServer::new("a")).listen(&url).await.unwrap();
    let b = grpc::service(WhoServer::new("b")).listen(&url).await.unwrap();
    let target = format!("direct://{},{}", a.endpoint().host(), b.endpoint().host());
    let channel = Channel::direct(&target).await.unwrap();
    connected(&channel, 2).await;
    assert_eq!(shares(&channel, 10).await, expected([("a", 5), ("b", 5)]));
    let named = Channel::direct("discovery://match").await.map(drop);
    assert_eq!(named.map_err(|e: Error| e.kind()), Err(Kind::Config));
}

#[tokio::test]
async fn a_channel_waits_for_the_first_member() {
    let registry = memory::registry();
    let channel = grpc::channel(&registry, "discovery://match").await.unwrap();
    let (counts, served) = tokio::join!(shares(&channel, 1), serve(&registry, "late", 1));
    served.map(drop).unwrap();
    assert_eq!(counts, expected([("late", 1)]));
}

#[tokio::test]
async fn closing_lets_running_calls_end() {
    let registry = memory::registry();
    let serving = serve(&registry, "a", 1).await.unwrap();
    let channel = grpc::channel(&registry, "discovery://match?wait=50ms").await.unwrap();
    let mut client = WhoClient::new(channel.clone());
    client.who(Who::default()).await.unwrap();
    serving.close(Duration::from_secs(8)).await.unwrap();
    connected(&channel, 0).await;
    assert_eq!(client.who(Who::default()).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn off_loopback_and_wildcards_name_the_key() {
    for (url, key) in
        [("grpc://0.0.0.0:0", "insecure=on"), ("grpc://0.0.0.0:0?insecure=on", "advertise"), ("grpc://a:1?b=c", "b")]
    {
        let refused = grpc::service(WhoServer::new("a")).listen(&Url::parse(url).unwrap()).await.map(drop).unwrap_err();
        assert!(refused.kind() == Kind::Config && refused.to_string().contains(key), "{refused}");
    }
    let url = Url::parse("grpc://0.0.0.0:0?insecure=on&advertise=127.0.0.1").unwrap();
    let serving = grpc::service(WhoServer::new("a")).listen(&url).await.unwrap();
    assert!(serving.endpoint().host().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_silent_member_is_given_up() {
    let url = Url::parse("grpc://127.0.0.1:0").unwrap();
    let serving = grpc::service(WhoServer::new("a")).listen(&url).await.unwrap();
    let proxy = Proxy::to(serving.endpoint().host()).await;
    let channel = Channel::direct(&format!("direct://{}?wait=50ms", proxy.address())).await.unwrap();
    connected(&channel, 1).await;
    let mut client = WhoClient::new(channel.clone());
    client.who(Who::default()).await.unwrap();
    proxy.swallow(Direction::ToClient);
    let lost = soon(client.who(Who::default())).await.unwrap_err();
    assert_eq!(lost.code(), Code::Unavailable, "{lost}");
    proxy.mend();
    soon(async { while client.who(Who::default()).await.is_err() {} }).await;
}
