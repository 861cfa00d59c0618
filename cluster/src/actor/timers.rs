//! The timers of one actor.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{Actor, Cx, TimerId};

/// Work for `&mut A` that no message asked for.
pub(crate) type Once<A> = Box<dyn FnOnce(&mut A, &Cx<A>) + Send>;
/// The same again and again.
pub(crate) type Again<A> = Box<dyn FnMut(&mut A, &Cx<A>) + Send>;

pub(crate) enum Timer<A: Actor> {
    Once(Once<A>),
    Every(Duration, Again<A>),
}

/// A timer that is due, taken out to be run.
pub(crate) struct Due<A: Actor> {
    pub(crate) id: TimerId,
    pub(crate) timer: Timer<A>,
}

/// By due time, then by age.
pub(crate) struct Timers<A: Actor> {
    due: BTreeMap<(Instant, u64), Timer<A>>,
    /// When each is due; an `every` that runs now stays in here.
    known: HashMap<u64, Instant>,
    last: u64,
}

impl<A: Actor> Default for Timers<A> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), known: HashMap::new(), last: 0 }
    }
}

/// The shortest period: an actor with nothing but timers still takes messages.
const SHORTEST: Duration = Duration::from_millis(1);
/// Longer than any process lives; the clock cannot go further than some centuries.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl<A: Actor> Timers<A> {
    pub(crate) fn after(&mut self, delay: Duration, run: Once<A>) -> TimerId {
        self.add(delay, Timer::Once(run))
    }

    pub(crate) fn every(&mut self, period: Duration, run: Again<A>) -> TimerId {
        let period = period.clamp(SHORTEST, LONGEST);
        self.add(period, Timer::Every(period, run))
    }

    fn add(&mut self, delay: Duration, timer: Timer<A>) -> TimerId {
        self.last += 1;
        self.insert(Instant::now() + delay.min(LONGEST), self.last, timer);
        TimerId(self.last)
    }

    fn insert(&mut self, at: Instant, id: u64, timer: Timer<A>) {
        self.known.insert(id, at);
        self.due.insert((at, id), timer);
    }

    /// The timer itself, for the caller to drop outside of any lock.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<Timer<A>> {
        let at = self.known.remove(&id.0)?;
        self.due.remove(&(at, id.0))
    }

    pub(crate) fn first(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the first timer that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Due<A>> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, id), timer) = first.remove_entry();
        if matches!(timer, Timer::Once(_)) {
            self.known.remove(&id);
        }
        Some(Due { id: TimerId(id), timer })
    }

    /// Puts an `every` back after its run; periods that were missed are skipped. Gives it to the caller to drop if it was
    /// cancelled meanwhile.
    pub(crate) fn again(&mut self, id: TimerId, period: Duration, run: Again<A>, now: Instant) -> Option<Again<A>> {
        let Some(was) = self.known.get(&id.0) else { return Some(run) };
        let next = *was + period;
        let next = if next <= now { now + period } else { next };
        self.insert(next, id.0, Timer::Every(period, run));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock;

    impl Actor for Clock {
        const KIND: &'static str = "clock";
        type Key = u64;
    }

    fn ids(timers: &mut Timers<Clock>) -> Vec<u64> {
        std::iter::from_fn(|| timers.pop(Instant::now())).map(|due| due.id.0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn timers_come_by_time_and_then_by_age() {
        let mut timers = Timers::<Clock>::default();
        for seconds in [2, 1, 2, 1] {
            timers.after(Duration::from_secs(seconds), Box::new(|_, _| {}));
        }
        timers.cancel(TimerId(4));
        assert!(ids(&mut timers).is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(ids(&mut timers), [2, 1, 3]);
        assert_eq!((timers.first(), timers.known.len()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_period_that_was_missed_is_skipped() {
        let mut timers = Timers::<Clock>::default();
        let begun = Instant::now();
        timers.every(Duration::from_secs(1), Box::new(|_, _| {}));
        tokio::time::advance(Duration::from_millis(3500)).await;
        let Some(Due { id, timer: Timer::Every(period, run) }) = timers.pop(Instant::now()) else { panic!("not due") };
        assert!(timers.again(id, period, run, Instant::now()).is_none());
        assert_eq!(timers.first().unwrap() - begun, Duration::from_millis(4500));
    }

    #[tokio::test(start_paused = true)]
    async fn an_every_that_is_cancelled_while_it_runs_does_not_come_back() {
        let mut timers = Timers::<Clock>::default();
        timers.every(Duration::ZERO, Box::new(|_, _| {}));
        tokio::time::advance(SHORTEST).await;
        let Some(Due { id, timer: Timer::Every(period, run) }) = timers.pop(Instant::now()) else { panic!("not due") };
        timers.cancel(id);
        assert!(timers.again(id, period, run, Instant::now()).is_some());
        assert_eq!(timers.first(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_without_end_is_no_overflow() {
        let mut timers = Timers::<Clock>::default();
        timers.after(Duration::MAX, Box::new(|_, _| {}));
        assert!(timers.first().is_some());
    }
}
