//! Who waits for the counts of pushes: all pushes that are queued in one go have one list, one lock and one clock.

use std::{
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::Sleep;

use crate::link::Counts;

/// The pushes of one go, by their places.
#[derive(Default)]
pub(crate) struct Awaited(Mutex<State>);

#[derive(Default)]
struct State {
    places: Vec<Place>,
    /// Ends the wait of all; there is one from the first that waits until all are counted.
    clock: Option<Pin<Box<Sleep>>>,
    /// Places that are not counted yet.
    left: usize,
    /// Nobody counts any more.
    over: bool,
}

/// One push.
enum Place {
    Open,
    Waits(Waker),
    Counted(Counts),
}

impl Awaited {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds places and says where they are.
    pub(crate) fn add(&self, places: usize) -> Range<usize> {
        let mut state = self.state();
        let from = state.places.len();
        state.left += places;
        state.places.resize_with(from + places, || Place::Open);
        from..from + places
    }

    fn wake_all(&self) {
        let mut state = self.state();
        let wakers: Vec<_> = state.places.iter_mut().filter_map(Place::waker).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Place {
    fn waker(&mut self) -> Option<Waker> {
        match std::mem::replace(self, Place::Open) {
            Place::Waits(waker) => Some(waker),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// The clock wakes all.
impl Wake for Awaited {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

/// The side that counts. With the last of it the wait of those that are not counted is over.
pub(crate) struct Counting(Arc<Awaited>);

impl Counting {
    pub(crate) fn new() -> (Arc<Self>, Arc<Awaited>) {
        let awaited = Arc::<Awaited>::default();
        (Arc::new(Self(awaited.clone())), awaited)
    }

    /// Gives some of the places their counts.
    pub(crate) fn counted(&self, all: impl Iterator<Item = (usize, Counts)>) {
        let mut wakers = Vec::new();
        let mut state = self.0.state();
        for (at, counts) in all {
            let Some(place) = state.places.get_mut(at) else { continue };
            match std::mem::replace(place, Place::Counted(counts)) {
                Place::Waits(waker) => wakers.push(waker),
                Place::Open => {}
                Place::Counted(_) => continue,
            }
            state.left -= 1;
        }
        let clock = if state.left == 0 { state.clock.take() } else { None };
        drop(state);
        drop(clock);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.over = true;
        let (clock, left) = (state.clock.take(), state.left);
        drop(state);
        drop(clock);
        if left > 0 {
            self.0.wake_all();
        }
    }
}

/// The side that waits for the counts of some pushes.
pub(crate) struct Wait {
    awaited: Arc<Awaited>,
    places: Range<usize>,
    limit: Duration,
}

impl Wait {
    /// At most so long, counted from when the first of all began to wait.
    pub(crate) fn new(awaited: Arc<Awaited>, places: Range<usize>, limit: Duration) -> Self {
        Self { awaited, places, limit }
    }

    /// Ready when all are counted, the time is over or nobody counts any more.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.awaited.state();
        let state = &mut *state;
        let places = state.places.get_mut(self.places.clone()).unwrap_or_default();
        let Some(open) = places.iter_mut().find(|place| !matches!(place, Place::Counted(_))) else {
            return Poll::Ready(());
        };
        if state.over {
            return Poll::Ready(());
        }
        let known = matches!(open, Place::Waits(waker) if waker.will_wake(cx.waker()));
        if !known {
            *open = Place::Waits(cx.waker().clone());
        }
        let clock = match &mut state.clock {
            Some(clock) if !clock.is_elapsed() => return Poll::Pending,
            Some(clock) => clock,
            None => state.clock.insert(Box::pin(tokio::time::sleep(self.limit))),
        };
        let all = Waker::from(self.awaited.clone());
        clock.as_mut().poll(&mut Context::from_waker(&all))
    }

    /// The counts in the order of the places; `None` where nobody has counted in time.
    pub(crate) async fn end(self) -> Vec<Option<Counts>> {
        std::future::poll_fn(|cx| self.poll_end(cx)).await;
        self.counts(|all| all.collect())
    }

    /// The counts of one push.
    pub(crate) async fn end_of_one(self) -> Option<Counts> {
        std::future::poll_fn(|cx| self.poll_end(cx)).await;
        self.counts(|all| all.next().flatten())
    }

    fn counts<T>(&self, take: impl FnOnce(&mut dyn Iterator<Item = Option<Counts>>) -> T) -> T {
        let state = self.awaited.state();
        let places = state.places.get(self.places.clone()).unwrap_or_default();
        take(&mut places.iter().map(|place| match place {
            Place::Counted(counts) => Some(*counts),
            _ => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn queued(queued: u32) -> Counts {
        Counts { queued, ..Counts::default() }
    }

    fn waits(awaited: &Arc<Awaited>, places: Range<usize>) -> tokio::task::JoinHandle<Vec<Option<Counts>>> {
        tokio::spawn(Wait::new(awaited.clone(), places, LIMIT).end())
    }

    #[tokio::test(start_paused = true)]
    async fn each_gets_its_own_counts_and_those_of_many_come_together() {
        let (counting, awaited) = Counting::new();
        let (one, many) = (waits(&awaited, awaited.add(1)), waits(&awaited, awaited.add(2)));
        tokio::task::yield_now().await;
        counting.counted([(0, queued(7)), (2, queued(9))].into_iter());
        assert_eq!(one.await.unwrap(), [Some(queued(7))]);
        assert!(!many.is_finished());
        counting.counted([(1, queued(8))].into_iter());
        assert_eq!(many.await.unwrap(), [Some(queued(8)), Some(queued(9))]);
        assert!(awaited.state().clock.is_none(), "nothing is left to wait for");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_of_all_ends_in_time_also_without_the_one_who_began_it() {
        let (_counting, awaited) = Counting::new();
        let begin = tokio::time::Instant::now();
        let (first, second) = (waits(&awaited, awaited.add(1)), waits(&awaited, awaited.add(1)));
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.unwrap(), [None]);
        assert_eq!(begin.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn with_the_last_one_who_counts_the_wait_is_over() {
        let (counting, awaited) = Counting::new();
        let (before, begin) = (waits(&awaited, awaited.add(2)), tokio::time::Instant::now());
        tokio::task::yield_now().await;
        counting.counted([(1, queued(1))].into_iter());
        drop(counting);
        assert_eq!(before.await.unwrap(), [None, Some(queued(1))]);
        assert_eq!(waits(&awaited, awaited.add(1)).await.unwrap(), [None]);
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
