//! The memory bus passes the suite.

use due_core::{
    Kind,
    bus::{EventBus, Options, memory::Memory},
};
use due_testkit::bus;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_bus_does() {
    let report = bus::suite(|| async { bus::memory() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), bus::CASES.len());
}

#[tokio::test(start_paused = true)]
async fn subscriptions_end_with_the_bus() {
    let bus = Memory::default();
    let mut plain = bus.subscribe("a", Options::default()).await.unwrap();
    let mut group = bus.subscribe("a", Options::default().group("g")).await.unwrap();
    let mut durable = bus.subscribe("a", Options::default().durable("d")).await.unwrap();
    bus.publish("a", None, "last".into()).await.unwrap();
    drop(bus);
    for sub in [&mut plain, &mut group, &mut durable] {
        assert!(sub.next().await.is_some(), "what was published is still delivered");
        assert!(sub.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_acknowledged_comes_again_by_itself() {
    let bus = Memory::default();
    let mut sub = bus.subscribe("a", Options::default().durable("d")).await.unwrap();
    bus.publish("a", None, "x".into()).await.unwrap();
    for _ in 0..3 {
        let Some(due_core::bus::Delivery::Event(event)) = sub.next().await else { panic!("no event") };
        assert_eq!(event.payload, "x");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_topics_are_forgotten_and_used_ones_are_not() {
    let bus = Memory::default();
    let mut sub = bus.subscribe("kept", Options::default()).await.unwrap();
    for n in 0..10_000 {
        bus.publish(&format!("idle-{n}"), None, vec![0; 20_000].into()).await.unwrap();
    }
    bus.publish("kept", None, "here".into()).await.unwrap();
    assert!(matches!(sub.next().await, Some(due_core::bus::Delivery::Event(e)) if e.payload == "here"));
    bus.broker().down();
    assert_eq!(bus.publish("kept", None, "".into()).await.map_err(|e| e.kind()), Err(Kind::BusDown));
}
