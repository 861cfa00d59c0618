//! The suites: on any server without faults, and on private ones with all of them.

use due_testkit::{
    cache, locate, lock,
    server::{Program, Server},
};
use std::sync::Arc;

use crate::bench::{World, cache_bench, caches, fresh, locate_bench, locator, lock_bench, locks, url};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_does_what_every_locator_does() {
    if Server::shared(Program::Redis).await.is_none() {
        return;
    }
    let report = locate::suite(|| async { locate_bench(World::new().await.unwrap()).await }).await.unwrap();
    assert_eq!(report.skipped, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_does_what_every_lock_does() {
    let Some(world) = World::new().await else { return };
    let report = lock::suite(|| lock_bench(world.clone())).await.unwrap();
    assert_eq!(report.skipped, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_does_what_every_cache_does() {
    let Some(world) = World::new().await else { return };
    let report = cache::suite(|| cache_bench(world.clone())).await.unwrap();
    assert_eq!(report.skipped, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_locator_works_on_a_server_that_others_use() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let report = locate::suite(|| async {
        let url = url(server.address(), &format!("ns={}", fresh()));
        locate::Bench { a: locator(&url).await, b: locator(&url).await, faults: Arc::new(locate::NoFaults) }
    })
    .await
    .unwrap();
    assert!(report.passed.len() > 20, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_and_caches_work_on_a_server_that_others_use() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let url = url(server.address(), &format!("ns={}", fresh()));
    let (a, b) = (locks(&url).await, locks(&url).await);
    let bench = lock::Bench { a, b, faults: Arc::new(lock::NoFaults) };
    lock::suite(|| std::future::ready(bench.clone())).await.unwrap();
    let (a, b) = (caches(&url).await, caches(&url).await);
    let bench = cache::Bench { a, b, faults: Arc::new(cache::NoFaults) };
    cache::suite(|| std::future::ready(bench.clone())).await.unwrap();
}
