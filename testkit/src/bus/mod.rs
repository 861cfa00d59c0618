//! What every event bus does.
//!
//! A bench is one broker as two processes see it. Faults are optional: a case that needs one which the bench cannot play
//! is skipped and reported, as is one that needs what the bus does not claim.

mod fanout;
mod faults;
mod groups;
mod kept;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    bus::{Bus, Delivery, Event, EventBus, Gap, Options, Receipt, Subscription, memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};

/// A bus as two processes see it.
#[derive(Clone)]
pub struct Bench {
    /// One process.
    pub a: Arc<dyn EventBus>,
    /// Another one: another publisher.
    pub b: Arc<dyn EventBus>,
    /// What can go wrong here.
    pub faults: Arc<dyn Faults>,
}

/// One fault of a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Publishing and subscribing fail.
    Down,
    /// What is published passes by the subscribers that are not durable; connections break at the next [`Fault::Up`].
    Cut,
    /// The connections of process b break and come back at the next [`Fault::Up`]; a bus that keeps events may lose none.
    Break,
    /// Everything works again.
    Up,
    /// So many events of the topic pass by unseen, and nothing tells.
    Lose(String, u64),
    /// Another program sends bytes without an envelope.
    Inject(String, Bytes),
}

/// Plays faults on the bench's bus.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Plays `fault`; `false` if it cannot.
    async fn play(&self, fault: Fault) -> bool;
}

/// For a bus on which nothing can be played.
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn play(&self, _: Fault) -> bool {
        false
    }
}

#[async_trait]
impl Faults for memory::Broker {
    async fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::Down => self.down(),
            Fault::Cut | Fault::Break => self.cut(),
            Fault::Up => self.up(),
            Fault::Lose(topic, count) => self.lose(&topic, count),
            Fault::Inject(topic, bytes) => self.inject(&topic, bytes),
        }
        true
    }
}

/// The bench of the memory bus.
pub fn memory() -> Bench {
    let broker = Arc::new(memory::Broker::default());
    Bench { a: Arc::new(Bus::new(broker.clone())), b: Arc::new(Bus::new(broker.clone())), faults: broker }
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(fanout::every_subscriber_gets_every_event_in_order),
    case!(fanout::an_event_carries_what_it_was_published_with),
    case!(fanout::earlier_events_do_not_come),
    case!(fanout::cousin_topics_do_not_mix),
    case!(fanout::many_publishers_at_once_make_no_gap),
    case!(fanout::a_slow_subscriber_is_told_what_it_missed),
    case!(fanout::a_dropped_next_loses_nothing),
    case!(fanout::the_receipt_is_no_better_than_the_claim),
    case!(fanout::odd_topics_and_large_payloads_are_refused),
    case!(fanout::a_dropped_subscription_disturbs_nobody),
    case!(groups::one_member_gets_each_event),
    case!(groups::a_group_keeps_the_order_of_a_key),
    case!(groups::groups_and_plain_subscribers_do_not_share),
    case!(groups::who_stays_gets_all_that_comes_after_a_leave),
    case!(kept::what_is_not_acknowledged_comes_again),
    case!(kept::a_durable_name_keeps_its_place),
    case!(kept::a_durable_name_is_told_what_was_trimmed),
    case!(kept::subscribers_of_a_durable_name_share),
    case!(kept::a_replay_begins_where_it_is_told),
    case!(kept::a_group_can_replay),
    case!(kept::options_that_are_not_claimed_are_refused),
    case!(faults::a_bus_that_is_down_says_so_and_comes_back),
    case!(faults::a_cut_is_told_and_counted),
    case!(faults::a_jump_in_the_numbers_is_a_gap),
    case!(faults::a_lost_tail_shows_with_the_beacon),
    case!(faults::beacons_are_not_delivered),
    case!(faults::bytes_without_an_envelope_are_skipped),
    case!(faults::a_broken_connection_loses_nothing_unseen),
    case!(faults::durable_names_lose_nothing_in_a_cut),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

const SOON: Duration = Duration::from_secs(8);
const CANNOT: Ran = Ran::Skipped(suite::CANNOT);

/// A topic that no other case and no earlier run has used.
fn topic(name: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("suite.{name}.{run:x}.{}", LAST.fetch_add(1, Ordering::Relaxed))
}

async fn publish(bus: &Arc<dyn EventBus>, topic: &str, key: &'static str, n: u64) -> Result<Receipt> {
    let key = (!key.is_empty()).then(|| Bytes::from_static(key.as_bytes()));
    within(SOON, "a receipt", bus.publish(topic, key, Bytes::from(n.to_string()))).await?
}

async fn subscribe(bus: &Arc<dyn EventBus>, topic: &str, options: Options) -> Result<Subscription> {
    within(SOON, "a subscription", bus.subscribe(topic, options)).await?
}

async fn next(sub: &mut Subscription) -> Result<Delivery> {
    let next = within(SOON, "a delivery", sub.next()).await?;
    next.ok_or_else(|| Error::new(Kind::Gone, "the subscription ended"))
}

async fn event(sub: &mut Subscription) -> Result<Event> {
    match next(sub).await? {
        Delivery::Event(event) => Ok(event),
        Delivery::Gap(gap) => Err(Error::new(Kind::Lost, format!("an event was expected, not {gap:?}"))),
    }
}

async fn gap(sub: &mut Subscription) -> Result<Gap> {
    match next(sub).await? {
        Delivery::Gap(gap) => Ok(gap),
        Delivery::Event(event) => Err(Error::new(Kind::Internal, format!("a gap was expected, not {event:?}"))),
    }
}

/// The number in a payload.
fn number(event: &Event) -> u64 {
    std::str::from_utf8(&event.payload).ok().and_then(|t| t.parse().ok()).unwrap_or(u64::MAX)
}

async fn numbers(sub: &mut Subscription, count: usize) -> Result<Vec<u64>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.push(number(&event(sub).await?));
    }
    Ok(seen)
}

/// What came until an event with `last`, and how much the gaps before it say was lost.
async fn until(sub: &mut Subscription, last: u64) -> Result<(Vec<u64>, Vec<Gap>)> {
    let (mut seen, mut gaps) = (Vec::new(), Vec::new());
    while seen.last() != Some(&last) {
        match next(sub).await? {
            Delivery::Event(event) => seen.push(number(&event)),
            Delivery::Gap(gap) => gaps.push(gap),
        }
    }
    Ok((seen, gaps))
}

fn lost(gaps: &[Gap]) -> u64 {
    gaps.iter().filter_map(|g| g.lost).sum()
}

/// Is nothing waiting? For buses whose deliveries need no time.
async fn is_quiet(sub: &mut Subscription) -> bool {
    tokio::time::timeout(Duration::from_millis(300), sub.next()).await.is_err()
}

fn distinct<T: std::hash::Hash + Eq>(items: impl IntoIterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.into_iter().all(|i| seen.insert(i))
}
