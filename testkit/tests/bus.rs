//! The memory bus passes the suite, and counts what it loses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Kind, Result,
    bus::{
        Broker, Bus, Capability, Cause, Confirm, Delivery, EventBus, Options, Receipt, Source, Subscription, memory,
        memory::Memory,
    },
};
use due_testkit::bus;
use tokio::sync::oneshot;

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
        let Some(Delivery::Event(event)) = sub.next().await else { panic!("no event") };
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
    assert!(matches!(sub.next().await, Some(Delivery::Event(e)) if e.payload == "here"));
    bus.broker().down();
    assert_eq!(bus.publish("kept", None, "".into()).await.map_err(|e| e.kind()), Err(Kind::BusDown));
}

/// How many events came until `last`, and how many are said to be lost.
async fn balance(sub: &mut Subscription, last: &str) -> (u64, u64) {
    let (mut seen, mut lost) = (0, 0);
    loop {
        match sub.next().await.unwrap() {
            Delivery::Gap(gap) => lost += gap.lost.unwrap(),
            Delivery::Event(event) => {
                seen += 1;
                if event.payload == last {
                    return (seen, lost);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn beacons_do_not_count_as_lost() {
    let bus = Memory::default();
    let mut plain = bus.subscribe("a", Options::default()).await.unwrap();
    let mut group = bus.subscribe("a", Options::default().group("g")).await.unwrap();
    for n in 0..3000 {
        bus.publish("a", None, n.to_string().into()).await.unwrap();
        bus.beacon("a").await.unwrap();
        if n == 0 {
            assert!(plain.next().await.is_some());
        }
    }
    let (seen, lost) = balance(&mut plain, "2999").await;
    assert!(lost > 0);
    assert_eq!(1 + seen + lost, 3000);
    bus.publish("a", None, "end".into()).await.unwrap();
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < 3001 {
        match group.next().await.unwrap() {
            Delivery::Gap(gap) => {
                assert_eq!(gap.cause, Cause::Overflow);
                lost += gap.lost.unwrap();
            }
            Delivery::Event(_) => seen += 1,
        }
    }
    assert_eq!((seen, seen + lost), (1024, 3001));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_member_that_leaves_goes_to_the_others() {
    let bus = Memory::default();
    let leaves = bus.subscribe("a", Options::default().group("g")).await.unwrap();
    for n in 0..50 {
        bus.publish("a", Some(vec![n % 7].into()), n.to_string().into()).await.unwrap();
    }
    let mut stays = bus.subscribe("a", Options::default().group("g")).await.unwrap();
    drop(leaves);
    for n in 0..50 {
        assert!(matches!(stays.next().await, Some(Delivery::Event(e)) if e.payload == n.to_string()));
    }
}

/// A broker that takes everything at once and confirms when it is told.
#[derive(Default)]
struct Slow(Mutex<Vec<oneshot::Sender<()>>>);

#[async_trait]
impl Broker for Slow {
    fn capability(&self) -> Capability {
        memory::Broker::default().capability()
    }

    async fn send(&self, _: &str, _: Bytes, _: Bytes) -> Result<Confirm> {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap().push(tell);
        Ok(Box::pin(async move { told.await.map(|()| Receipt::Accepted).map_err(|_| Kind::Timeout.into()) }))
    }

    async fn open(&self, _: &str, _: &Options) -> Result<Box<dyn Source>> {
        Err(Kind::Unsupported.into())
    }
}

#[tokio::test(start_paused = true)]
async fn publishes_do_not_wait_for_each_others_receipts() {
    let broker = Arc::new(Slow::default());
    let bus = Arc::new(Bus::new(broker.clone()));
    let publishes: Vec<_> = (0..10)
        .map(|_| {
            let bus = bus.clone();
            tokio::spawn(async move { bus.publish("a", None, Bytes::new()).await })
        })
        .collect();
    // Each task is polled once in a round of the scheduler.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(broker.0.lock().unwrap().len(), 10);
    broker.0.lock().unwrap().drain(..).for_each(|tell| tell.send(()).unwrap());
    for publish in publishes {
        assert_eq!(publish.await.unwrap().unwrap(), Receipt::Accepted);
    }
}
