//! Calls by name over tarpc, with a service that its macro generates.
#![cfg(feature = "tarpc")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{collections::BTreeMap, time::Duration};

use due_core::{
    Kind, Result, Url,
    registry::{Instance, InstanceKind, Registry, State, memory},
};
use due_transport::tarpc::{self as rpc, Calls, Channel, Serving};
use futures_util::StreamExt;
use tarpc::{
    client::RpcError,
    context::{self, Context},
    server::Channel as _,
};
use tokio::{runtime::Runtime, sync::Semaphore};

#[tarpc::service]
trait World {
    async fn name() -> String;
    async fn wait() -> String;
}

#[derive(Clone)]
struct Here(&'static str);

/// Lets `wait` go on.
static GO: Semaphore = Semaphore::const_new(0);

impl World for Here {
    async fn name(self, _: Context) -> String {
        self.0.to_owned()
    }

    async fn wait(self, _: Context) -> String {
        GO.acquire().await.map(drop).unwrap();
        "waited".to_owned()
    }
}

type Worlds = Channel<WorldRequest, WorldResponse>;

fn service(name: &'static str) -> rpc::Service<WorldRequest, WorldResponse> {
    rpc::service(move |calls: Calls<_, _>| calls.execute(Here(name).serve()).for_each_concurrent(64, |call| call))
}

fn instance(id: &str, weight: u32) -> Instance {
    Instance { weight, ..Instance::new(InstanceKind::Mesh, id, "world") }
}

async fn serve(registry: &dyn Registry, id: &'static str, weight: u32) -> Result<Serving> {
    service(id).serve(registry, &Url::parse("tarpc://127.0.0.1:0")?, instance(id, weight)).await
}

/// Fails instead of waiting for ever.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), event).await.unwrap()
}

/// Waits until the channel is connected to exactly `count` members.
async fn connected(channel: &Worlds, count: usize) {
    soon(async {
        while channel.connected() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Who answers in `calls` calls.
async fn shares(channel: &Worlds, calls: usize) -> BTreeMap<String, usize> {
    let client = WorldClient::from(channel.clone());
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        *counts.entry(client.name(context::current()).await.unwrap()).or_default() += 1;
    }
    counts
}

fn expected<const N: usize>(shares: [(&str, usize); N]) -> BTreeMap<String, usize> {
    shares.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test]
async fn shares_follow_weights_and_states() {
    let registry = memory::registry();
    let _a = serve(&registry, "a", 1).await.unwrap();
    let _b = serve(&registry, "b", 2).await.unwrap();
    let c = serve(&registry, "c", 5).await.unwrap();
    let channel = rpc::channel(&registry, "discovery://world").await.unwrap();
    connected(&channel, 3).await;
    assert_eq!(shares(&channel, 80).await, expected([("a", 10), ("b", 20), ("c", 50)]));
    c.registration().unwrap().update(|i| i.state = State::Hang).unwrap();
    let without = |found: &BTreeMap<String, usize>| !found.contains_key("c");
    soon(async { while !without(&shares(&channel, 9).await) {} }).await;
    assert!(without(&shares(&channel, 30).await));
}

#[tokio::test]
async fn a_killed_member_is_skipped() {
    let registry = memory::registry();
    let _a = serve(&registry, "a", 1).await.unwrap();
    let victim = Runtime::new().unwrap();
    let url = Url::parse("tarpc://127.0.0.1:0").unwrap();
    let serving = victim.spawn(async move { service("b").listen(&url).await }).await.unwrap().unwrap();
    let listed = Instance { endpoints: vec![serving.endpoint().to_string()], ..instance("b", 1) };
    let _entry = registry.register(listed).await.unwrap();
    let channel = rpc::channel(&registry, "discovery://world").await.unwrap();
    connected(&channel, 2).await;
    victim.shutdown_background();
    connected(&channel, 1).await;
    assert_eq!(shares(&channel, 20).await, expected([("a", 20)]));
}

#[tokio::test]
async fn direct_addresses_need_no_registry_and_nobody_is_an_error() {
    let url = Url::parse("tarpc://127.0.0.1:0").unwrap();
    let a = service("a").listen(&url).await.unwrap();
    let channel = Worlds::direct(&format!("direct://{}?wait=50ms", a.endpoint().host())).await.unwrap();
    assert_eq!(shares(&channel, 3).await, expected([("a", 3)]));
    drop(a);
    connected(&channel, 0).await;
    let nobody = WorldClient::from(channel).name(context::current()).await.unwrap_err();
    assert!(matches!(nobody, RpcError::Send(ref e) if e.to_string().contains("direct://")), "{nobody:?}");
    assert_eq!(Worlds::direct("discovery://world").await.map(drop).map_err(|e| e.kind()), Err(Kind::Config));
}

#[tokio::test]
async fn closing_lets_running_calls_end() {
    let registry = memory::registry();
    let serving = serve(&registry, "a", 1).await.unwrap();
    let channel: Worlds = rpc::channel(&registry, "discovery://world").await.unwrap();
    let client = WorldClient::from(channel.clone());
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.wait(context::current()).await }
    });
    // Behind the waiting call on the same connection: when it is answered, that one runs.
    assert_eq!(client.name(context::current()).await.unwrap(), "a");
    let closing = tokio::spawn(serving.close(Duration::from_secs(30)));
    connected(&channel, 0).await;
    GO.add_permits(1);
    closing.await.unwrap().unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "waited");
}

#[tokio::test]
async fn off_loopback_names_the_key() {
    let refused = service("a").listen(&Url::parse("tarpc://0.0.0.0:0").unwrap()).await.map(drop).unwrap_err();
    assert!(refused.kind() == Kind::Config && refused.to_string().contains("insecure=on"), "{refused}");
}
