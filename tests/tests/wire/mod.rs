//! What the tests of the wire share: a small application on real listeners, and clients that speak raw bytes.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test takes a part of it"
)]

mod client;
mod world;

pub(crate) use client::{Client, Got, upgrade};
pub(crate) use world::*;

use std::{future::Future, time::Duration};

use due::app::Running;

/// A limit against hanging, not a measure.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Waits for an event; panics if it does not come.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, event).await {
        Ok(value) => value,
        Err(_) => panic!("it never happened: {what}"),
    }
}

/// Looks again and again until `reached` says yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut reached: impl FnMut() -> F) {
    soon(what, async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until the gate has so many connections.
pub(crate) async fn connections(running: &Running, wanted: u64) {
    until(&format!("{wanted} connections"), || async {
        running.snapshot().await.connections.get("gate").copied() == Some(wanted)
    })
    .await;
}

/// The gate's counters.
pub(crate) async fn counted(running: &Running) -> due::stat::GateCounters {
    running.snapshot().await.gates.get("gate").copied().expect("there is a gate")
}

/// The server is alive: a new client is served.
pub(crate) async fn alive(running: &Running) {
    let mut next = Client::tcp(running).await;
    assert_eq!(next.ask(ECHO_ID, 7, b"\"still here\"").await, b"\"still here\"");
}
