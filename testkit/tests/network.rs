//! The memory network passes the suite, and deals evenly.

use std::task::{Context, Poll, Waker};

use due_core::{
    Url,
    net::{Network, memory::Memory},
};
use due_testkit::network;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_network_does() {
    let report = network::suite(|| async { network::memory().unwrap() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), network::CASES.len());
}

#[tokio::test(start_paused = true)]
async fn memory_deals_clients_to_shards_in_turn() {
    let memory = Memory::default();
    let url = Url::parse("memory://gate").unwrap();
    let mut bound = memory.bind(&url, 3).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(memory.connect(&url).await.unwrap());
    }
    let mut cx = Context::from_waker(Waker::noop());
    for listener in &mut bound.listeners {
        let mut count = 0;
        while let Poll::Ready(conn) = listener.poll_accept(&mut cx) {
            conn.unwrap();
            count += 1;
        }
        assert_eq!(count, 100);
    }
}

#[tokio::test(start_paused = true)]
async fn memory_refuses_settings_it_does_not_know() {
    for wrong in ["memory://gate?buffer=0", "memory://gate?buffer=1TiB", "memory://gate?nodelay=on"] {
        let refused = Memory::default().bind(&Url::parse(wrong).unwrap(), 1).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(due_core::Kind::Config), "{wrong}");
    }
}
