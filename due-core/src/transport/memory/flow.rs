//! One direction of a link: what is flushed and not yet received.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::{super::Batch, Head};
use crate::sync::locked;

/// What a frame weighs against the high-water mark: small frames must not be free.
pub(super) const fn cost(body: usize) -> usize {
    body + size_of::<Head>()
}

pub(super) struct Direction {
    /// Bytes from which on nothing more is taken.
    pub(super) high: usize,
    /// Bytes handed over and not yet received.
    held: AtomicUsize,
    /// The reader of this direction may know that it has ended.
    over: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batch: Batch,
    /// The writer is gone; nothing follows.
    ended: bool,
    /// The reader is gone.
    abandoned: bool,
    /// A fault keeps everything from the reader, the end too.
    silent: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The reader's own wait for room in the other direction; the end must wake it as well.
    opposite: Option<std::sync::Weak<Direction>>,
}

impl Direction {
    pub(super) fn new(high: usize) -> Arc<Self> {
        Arc::new(Self { high, held: AtomicUsize::new(0), over: AtomicBool::new(false), state: Mutex::default() })
    }

    /// Ties the two directions of a link together.
    pub(super) fn pair(there: &Arc<Self>, back: &Arc<Self>) {
        locked(&there.state).opposite = Some(Arc::downgrade(back));
        locked(&back.state).opposite = Some(Arc::downgrade(there));
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn register_writer(&self, cx: &Context<'_>) {
        locked(&self.state).writer = Some(cx.waker().clone());
    }

    /// Moves `out` over; it comes back empty, with room.
    pub(super) fn hand_over(&self, out: &mut Batch, cost: usize) {
        let mut state = locked(&self.state);
        if state.ended || state.abandoned {
            return out.clear();
        }
        self.held.fetch_add(cost, Ordering::AcqRel);
        state.append(out);
        let waker = if state.silent { None } else { state.reader.take() };
        drop(state);
        wake(waker);
    }

    /// Takes all that was handed over by a swap with the empty `into`; `false` at the end.
    pub(super) fn poll_take(&self, cx: &Context<'_>, into: &mut Batch) -> Poll<bool> {
        let mut state = locked(&self.state);
        if !state.silent && !state.batch.is_empty() {
            std::mem::swap(&mut state.batch, into);
            return Poll::Ready(true);
        }
        if !state.silent && state.ended {
            return Poll::Ready(false);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Is a fault holding the reader back? Registers it then.
    pub(super) fn is_silent(&self, cx: &Context<'_>) -> bool {
        let mut state = locked(&self.state);
        if state.silent {
            state.reader = Some(cx.waker().clone());
        }
        state.silent
    }

    /// The reader has `bytes` in its hands: room for the writer.
    pub(super) fn release(&self, bytes: usize) {
        let before = self.held.fetch_sub(bytes, Ordering::AcqRel);
        let low = self.high.div_ceil(2);
        if before >= low && before - bytes < low {
            wake(locked(&self.state).writer.take());
        }
    }

    /// The writer is gone.
    pub(super) fn end(&self) {
        locked(&self.state).ended = true;
        self.publish();
    }

    /// The reader is gone.
    pub(super) fn abandon(&self) {
        let mut state = locked(&self.state);
        state.abandoned = true;
        state.batch = Batch::default();
    }

    /// Loses what was flushed and ends at once: a reset.
    pub(super) fn reset(&self) {
        let mut state = locked(&self.state);
        state.batch = Batch::default();
        state.ended = true;
        state.silent = false;
        drop(state);
        self.publish();
    }

    /// Holds everything back, or lets it go on.
    pub(super) fn set_silent(&self, silent: bool) {
        locked(&self.state).silent = silent;
        self.publish();
    }

    /// Tells the reader what it may know by now, and wakes whatever of it waits.
    fn publish(&self) {
        let mut state = locked(&self.state);
        if state.silent {
            return;
        }
        self.over.store(state.ended, Ordering::Release);
        let reader = state.reader.take();
        let opposite = state.opposite.as_ref().and_then(std::sync::Weak::upgrade);
        drop(state);
        wake(reader);
        wake(opposite.and_then(|o| locked(&o.state).writer.take()));
    }
}

impl State {
    fn append(&mut self, out: &mut Batch) {
        if self.batch.is_empty() {
            self.batch.clear();
            return std::mem::swap(&mut self.batch, out);
        }
        let by = self.batch.bytes.len() as u32;
        self.batch.heads.extend(out.heads.iter().map(|(head, at)| (*head, at.start + by..at.end + by)));
        self.batch.bytes.extend_from_slice(&out.bytes);
        out.clear();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
