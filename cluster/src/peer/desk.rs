//! Where those who ask over a link meet its driver: one lock, a slot for each order that waits, one buffer for what is
//! asked. An order allocates nothing of its own.

use std::{
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use due_core::{Error, Kind, Result, error::Retry};
use slab::Slab;
use tokio::time::Instant;

/// Answers up to this size stand in chunks of this size that many share; a chunk lives as long as one of them.
const SHARED: (usize, usize) = (4 * 1024, 64 * 1024);

/// What is asked of the driver.
pub(super) enum Ask {
    /// The body stands in [`Asked::bytes`].
    Order {
        corr: u64,
        number: i32,
        until: Instant,
        body: Range<usize>,
    },
    Cancel(u64),
    /// The other side is gone: nobody waits any longer for its connection to come back.
    End,
    /// Taken back before the driver saw it.
    Nothing,
}

/// What was asked since the driver looked last.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) list: Vec<Ask>,
    pub(super) bytes: Vec<u8>,
}

/// An order whose answer somebody waits for.
struct Slot {
    generation: u32,
    until: Instant,
    end: End,
}

enum End {
    Waits(Waker),
    Is(Result<Bytes>),
}

#[derive(Default)]
struct State {
    slots: Slab<Slot>,
    /// Tells an answer to an earlier order in the same slot.
    generation: u32,
    /// Slots without an end.
    waiting: usize,
    asked: Asked,
    driver: Option<Waker>,
    /// Nobody can ask any more.
    left: bool,
}

#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    over: AtomicBool,
}

/// The side of those who ask.
impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Posts an order whose body `encode` appends, and says by which number it is known.
    pub(super) fn post(
        &self,
        order: (i32, Instant),
        encode: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<u64> {
        let (number, until) = order;
        let mut state = self.state();
        if self.is_over() {
            return Err(Error::new(Kind::Unavailable, "the link to that process is over"));
        }
        let bytes = &mut state.asked.bytes;
        let from = bytes.len();
        encode(bytes);
        let body = from..bytes.len();
        let corr = state.insert(until, cx.waker().clone());
        state.tell(Ask::Order { corr, number, until, body }).wake(state);
        Ok(corr)
    }

    /// The answer, once it is here.
    pub(super) fn poll_answer(&self, corr: u64, cx: &Context<'_>) -> Poll<Result<Bytes>> {
        let mut state = self.state();
        let Some(slot) = state.of(corr) else { return Poll::Ready(Err(Kind::Internal.into())) };
        match &mut slot.end {
            End::Is(_) => {}
            End::Waits(waker) if waker.will_wake(cx.waker()) => return Poll::Pending,
            End::Waits(waker) => {
                let before = std::mem::replace(waker, cx.waker().clone());
                // It may be the last of a task that has asked here too.
                drop(state);
                drop(before);
                return Poll::Pending;
            }
        }
        match state.slots.remove(corr as u32 as usize).end {
            End::Is(result) => Poll::Ready(result),
            End::Waits(_) => Poll::Pending,
        }
    }

    /// Nobody waits for the answer any more.
    pub(super) fn cancel(&self, corr: u64) {
        let mut state = self.state();
        let Some(slot) = state.of(corr) else { return };
        let waits = matches!(slot.end, End::Waits(_));
        let gone = state.slots.remove(corr as u32 as usize);
        if waits {
            state.waiting -= 1;
            let same = |ask: &&mut Ask| matches!(ask, Ask::Order { corr: other, .. } if *other == corr);
            match state.asked.list.iter_mut().rev().find(same) {
                Some(ask) => {
                    *ask = Ask::Nothing;
                    drop(state);
                }
                None => state.tell(Ask::Cancel(corr)).wake(state),
            }
        } else {
            drop(state);
        }
        // Its waker, outside the lock.
        drop(gone);
    }

    /// Asks the driver to end the link.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.tell(Ask::End).wake(state);
    }

    /// Nobody will ask any more.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.left = true;
        Told(state.driver.take()).wake(state);
    }
}

/// A driver that is to be woken outside the lock.
struct Told(Option<Waker>);

impl Told {
    fn wake(self, state: MutexGuard<'_, State>) {
        drop(state);
        if let Some(waker) = self.0 {
            waker.wake();
        }
    }
}

impl State {
    fn insert(&mut self, until: Instant, waker: Waker) -> u64 {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.waiting += 1;
        let slot = Slot { generation: self.generation, until, end: End::Waits(waker) };
        u64::from(self.generation) << 32 | self.slots.insert(slot) as u64
    }

    fn of(&mut self, corr: u64) -> Option<&mut Slot> {
        self.slots.get_mut(corr as u32 as usize).filter(|slot| u64::from(slot.generation) == corr >> 32)
    }

    fn tell(&mut self, ask: Ask) -> Told {
        self.asked.list.push(ask);
        Told(self.driver.take())
    }

    /// Gives an order its end and says who waits for it; `None` if nobody does any more.
    fn answer(&mut self, corr: u64, result: Result<Bytes>) -> Option<Waker> {
        let slot = self.of(corr).filter(|slot| matches!(slot.end, End::Waits(_)))?;
        match std::mem::replace(&mut slot.end, End::Is(result)) {
            End::Waits(waker) => {
                self.waiting -= 1;
                Some(waker)
            }
            End::Is(_) => None,
        }
    }

    fn corr(at: usize, slot: &Slot) -> u64 {
        u64::from(slot.generation) << 32 | at as u64
    }
}

/// The side of the driver.
impl Desk {
    /// How much was asked since it took something last.
    pub(super) fn len(&self) -> usize {
        self.state().asked.list.len()
    }

    /// Swaps what was asked with `into`, which is empty; says whether nobody can ask any more. The next one who asks
    /// wakes the driver, and those after it do not.
    pub(super) fn take(&self, into: &mut Asked, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        std::mem::swap(&mut state.asked, into);
        if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        state.left
    }

    /// Gives orders their ends, then wakes all who wait for them.
    pub(super) fn answer(&self, ends: &mut Vec<(u64, Result<Bytes>)>, woken: &mut Vec<Waker>) {
        let mut state = self.state();
        woken.extend(ends.drain(..).filter_map(|(corr, result)| state.answer(corr, result)));
        drop(state);
        woken.drain(..).for_each(Waker::wake);
    }

    /// Ends one order; `false` if nobody waits for it.
    pub(super) fn fail(&self, corr: u64, error: Error) -> bool {
        let waker = self.state().answer(corr, Err(error));
        let waits = waker.is_some();
        waker.into_iter().for_each(Waker::wake);
        waits
    }

    /// Does nobody wait?
    pub(super) fn is_idle(&self) -> bool {
        self.state().waiting == 0
    }

    /// Those that wait and whose time is over, and when the next one's is.
    pub(super) fn late(&self, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let state = self.state();
        let waiting = || state.slots.iter().filter(|(_, slot)| matches!(slot.end, End::Waits(_)));
        let late = waiting().filter(|(_, slot)| slot.until <= now).map(|(at, slot)| State::corr(at, slot));
        (late.collect(), waiting().map(|(_, slot)| slot.until).filter(|until| *until > now).min())
    }

    /// The link is over. What stands in `unsent`, and what the driver never took, certainly did not happen.
    pub(super) fn close(&self, unsent: &[u64]) {
        let mut state = self.state();
        self.over.store(true, Ordering::Release);
        let asked = std::mem::take(&mut state.asked);
        let never = asked.list.iter().filter_map(|ask| match ask {
            Ask::Order { corr, .. } => Some(*corr),
            _ => None,
        });
        let mut wakers = Vec::new();
        for corr in never.chain(unsent.iter().copied()) {
            let over = Error::new(Kind::Unavailable, "the link to that process is over");
            wakers.extend(state.answer(corr, Err(over)));
        }
        let all: Vec<u64> = state.slots.iter().map(|(at, slot)| State::corr(at, slot)).collect();
        for corr in all {
            let lost = Error::new(Kind::Unavailable, "the link ended before the answer").retry_as(Retry::Unknown);
            wakers.extend(state.answer(corr, Err(lost)));
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The bodies of answers: small ones share a chunk.
#[derive(Default)]
pub(super) struct Bodies(BytesMut);

impl Bodies {
    pub(super) fn copy(&mut self, body: &[u8]) -> Bytes {
        if body.is_empty() || body.len() > SHARED.0 {
            return Bytes::copy_from_slice(body);
        }
        if self.0.capacity() < body.len() {
            self.0.reserve(SHARED.1);
        }
        self.0.extend_from_slice(body);
        self.0.split().freeze()
    }
}
