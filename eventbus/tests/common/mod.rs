//! A bus over a network that fails, and the balance of what it delivered.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "tests may, and no file uses all of it")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Retry,
    bus::{Cause, Delivery, Event, EventBus, Gap, Options, Receipt, Subscription},
};
use due_testkit::{
    bus::{Bench, Fault, Faults},
    server::{Direction, Proxy, Server},
};
use futures_util::future::BoxFuture;
use tokio::time;

/// Nothing here takes that long: who waits longer has a fault.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Sends bytes as another program could.
pub(crate) type Inject = Box<dyn Fn(String, Bytes) -> BoxFuture<'static, ()> + Send + Sync>;

/// Two processes, each with its own way to one server.
pub(crate) struct Network {
    pub(crate) ways: [Arc<Proxy>; 2],
    pub(crate) buses: [Arc<dyn EventBus>; 2],
    /// A cut loses what is published meanwhile.
    pub(crate) forgets: bool,
    pub(crate) inject: Inject,
}

impl Network {
    pub(crate) fn bench(self) -> Bench {
        let [a, b] = self.buses.clone();
        Bench { a, b, faults: Arc::new(self) }
    }
}

#[async_trait]
impl Faults for Network {
    async fn play(&self, fault: Fault) -> bool {
        let ([way_a, way_b], [a, b]) = (&self.ways, &self.buses);
        match fault {
            Fault::Down => {
                way_a.cut();
                way_b.cut();
                refused(a).await;
                refused(b).await;
            }
            Fault::Cut if !self.forgets => return false,
            Fault::Cut | Fault::Break => {
                way_b.cut();
                refused(b).await;
            }
            Fault::Up => {
                way_a.mend();
                way_b.mend();
                published(a).await;
                published(b).await;
            }
            Fault::Inject(topic, bytes) => (self.inject)(topic, bytes).await,
            Fault::Lose(..) => return false,
        }
        true
    }
}

/// Waits until `bus` says that it is down.
pub(crate) async fn refused(bus: &Arc<dyn EventBus>) {
    let refused = async {
        while !matches!(bus.publish("probe", None, Bytes::new()).await, Err(e) if e.kind() == Kind::BusDown) {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(LIMIT, refused).await.expect("the bus never said that it is down");
}

/// Waits until `bus` publishes.
pub(crate) async fn published(bus: &Arc<dyn EventBus>) {
    let published = async {
        while bus.publish("probe", None, Bytes::new()).await.is_err() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(LIMIT, published).await.expect("the bus never came back");
}

pub(crate) async fn publish(bus: &Arc<dyn EventBus>, topic: &str, n: u64) -> Result<Receipt> {
    bus.publish(topic, None, n.to_string().into()).await
}

pub(crate) async fn subscribe(bus: &Arc<dyn EventBus>, topic: &str, options: Options) -> Subscription {
    bus.subscribe(topic, options).await.unwrap()
}

pub(crate) async fn next(sub: &mut Subscription) -> Delivery {
    time::timeout(LIMIT, sub.next()).await.expect("no delivery").expect("the subscription ended")
}

pub(crate) async fn event(sub: &mut Subscription) -> Event {
    match next(sub).await {
        Delivery::Event(event) => event,
        Delivery::Gap(gap) => panic!("an event was expected, not {gap:?}"),
    }
}

pub(crate) fn number(event: &Event) -> u64 {
    std::str::from_utf8(&event.payload).unwrap().parse().unwrap()
}

/// What came until the event with payload `last`.
pub(crate) async fn until(sub: &mut Subscription, last: u64) -> (Vec<Event>, Vec<Gap>) {
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    loop {
        match next(sub).await {
            Delivery::Gap(gap) => gaps.push(gap),
            Delivery::Event(event) => {
                let end = number(&event) == last;
                events.push(event);
                if end {
                    return (events, gaps);
                }
            }
        }
    }
}

/// proves P13: what one publisher numbered since the event `seen` came or was told as lost, once and in order.
pub(crate) fn balanced(seen: &Event, events: &[Event], gaps: &[Gap]) {
    let numbers: Vec<_> = events.iter().map(|e| e.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let lost: u64 = gaps.iter().filter_map(|g| g.lost).sum();
    assert_eq!(seen.number + events.len() as u64 + lost, *numbers.last().unwrap(), "{numbers:?} {gaps:?}");
}

pub(crate) fn has(gaps: &[Gap], cause: Cause) -> bool {
    gaps.iter().any(|g| g.cause == cause)
}

/// An error of opening: its kind, and all of the words in its text.
pub(crate) fn says(error: &Error, kind: Kind, words: &[&str]) {
    let text = format!("{error:?}");
    assert_eq!(error.kind(), kind, "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in {text:?}"));
}

/// A publish that did not happen, or may have.
pub(crate) fn failed(result: &Result<Receipt>) -> bool {
    matches!(
        result.as_ref().map_err(|e| (e.kind(), e.retry())),
        Err((Kind::BusDown | Kind::Full, Retry::Safe) | (Kind::Timeout, Retry::Unknown))
    )
}

/// Every topic arrives on a bus where no other test uses it.
pub(crate) async fn topics_arrive(bus: &Arc<dyn EventBus>, topics: &[&str]) {
    for topic in topics {
        let mut sub = subscribe(bus, topic, Options::default()).await;
        publish(bus, topic, 1).await.unwrap();
        assert_eq!(event(&mut sub).await.number, 1, "{topic}");
    }
}

/// proves P13, P20: the server sleeps for 8 s while `a` publishes every so often and `b` listens.
pub(crate) async fn a_long_stop_loses_nothing_unseen(server: &Server, [a, b]: [Arc<dyn EventBus>; 2], every: Duration) {
    let mut sub = subscribe(&b, "t", Options::default()).await;
    publish(&a, "t", 0).await.unwrap();
    let seen = event(&mut sub).await;
    server.pause();
    let stopped = time::Instant::now();
    let (mut n, mut down) = (0, false);
    while stopped.elapsed() < Duration::from_secs(8) {
        n += 1;
        let result = time::timeout(Duration::from_secs(30), publish(&a, "t", n)).await.expect("a publish never ended");
        // The first may be answered by a thread that the signal has not reached yet.
        assert!(failed(&result) || !down, "{n}: {result:?}");
        down |= failed(&result);
        time::sleep(every).await;
    }
    server.resume();
    published(&a).await;
    published(&b).await;
    publish(&a, "t", 1000).await.unwrap();
    let (events, gaps) = until(&mut sub, 1000).await;
    balanced(&seen, &events, &gaps);
}

/// proves P13: no answer comes to `a`, whose way this is; `b` hears the event.
pub(crate) async fn a_lost_answer_leaves_the_end_unknown(way: &Proxy, [a, b]: [Arc<dyn EventBus>; 2]) {
    let mut sub = subscribe(&b, "t", Options::default()).await;
    // A bus that asks where a topic is has the answer now.
    publish(&a, "t", 0).await.unwrap();
    assert_eq!(event(&mut sub).await.number, 1);
    way.swallow(Direction::ToClient);
    let error = publish(&a, "t", 1).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::Unknown));
    assert_eq!(event(&mut sub).await.number, 2, "it did arrive");
    way.mend();
    published(&a).await;
}

/// Two hundred publishes at once over a network that takes long.
pub(crate) async fn publishes_do_not_wait_in_turn(bus: &Arc<dyn EventBus>) {
    let mut sub = subscribe(bus, "t", Options::default()).await;
    let publishes = (0..200).map(|n| publish(bus, "t", n));
    let all = time::timeout(LIMIT, futures_util::future::try_join_all(publishes)).await.expect("they wait in turn");
    assert_eq!(all.unwrap().len(), 200);
    for n in 1..=200 {
        assert_eq!(event(&mut sub).await.number, n);
    }
}
