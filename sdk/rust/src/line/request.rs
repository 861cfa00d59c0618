//! What handles ask of a line, under its lock.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::{Error, Kind, Result};
use due_protocol::Head;
use tokio::{sync::oneshot, time::Instant};

use super::{
    calls::Bounds,
    life::{Line, Phase},
    wire::{Stage, Wire},
};
use crate::{CallError, Closed, Event, RawPush, Stat, State, answer::Outcome, queue::Queue};

impl Line {
    /// Queues a request; the answer comes to the receiver.
    pub(crate) fn call(
        &mut self,
        route: i32,
        body: &[u8],
        due: Instant,
    ) -> Result<oneshot::Receiver<Outcome>, CallError> {
        let bounds = Bounds { seq: self.set.largest_seq(), in_flight: self.set.in_flight };
        if bounds.seq == 0 {
            let text = "calls need seq-bytes of 1, 2 or 4 on both sides; with 0 there are notifies and pushes";
            return Err(CallError::Unfit(text.to_owned()));
        }
        self.check_room(body.len())?;
        let Some((seq, receiver)) = self.desk.calls.add(route, due, bounds) else { return Err(CallError::Full) };
        self.send(Head { route, seq }, body).inspect_err(|_| self.desk.calls.remove(seq))?;
        Ok(receiver)
    }

    /// Queues a notify.
    pub(crate) fn notify(&mut self, route: i32, body: &[u8]) -> Result<(), CallError> {
        self.check_room(body.len())?;
        self.send(Head { route, seq: 0 }, body)
    }

    /// The connection, while calls may go out.
    fn live_wire(&mut self) -> Result<&mut Wire, CallError> {
        match &mut self.phase {
            Phase::Open(wire) if wire.stage == Stage::Live => Ok(wire),
            Phase::Open(_) => Err(gone(self.why.as_ref().unwrap_or(&self.last))),
            _ => Err(gone(&self.last)),
        }
    }

    /// One message goes out whatever its size, more only within the bound.
    fn check_room(&mut self, body: usize) -> Result<(), CallError> {
        let bound = self.set.outbox;
        let unsent = self.live_wire()?.unsent();
        if unsent > 0 && unsent.saturating_add(body) > bound { Err(CallError::Full) } else { Ok(()) }
    }

    fn send(&mut self, head: Head, body: &[u8]) -> Result<(), CallError> {
        self.live_wire()?.put_request(head, body).map_err(|e| CallError::Unfit(e.to_string()))
    }

    /// Begins to connect, unless it has begun.
    pub(crate) fn open(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle) {
            self.failure = None;
            self.phase = Phase::Waiting(now);
        }
    }

    /// Did the first connection come about?
    pub(crate) fn poll_opened(&mut self, cx: &Context<'_>) -> Poll<Result<()>> {
        match &self.phase {
            Phase::Open(wire) if wire.live_since().is_some() => return Poll::Ready(Ok(())),
            Phase::Idle => {
                let unknown = || Error::new(Kind::Unavailable, "no connection").context("url", &self.set.url);
                return Poll::Ready(Err(self.failure.take().unwrap_or_else(unknown)));
            }
            Phase::Ended => return Poll::Ready(Err(self.last.clone().into())),
            _ if self.been => return Poll::Ready(Ok(())),
            _ => {}
        }
        self.desk.wait(cx);
        Poll::Pending
    }

    pub(crate) fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        if matches!(self.phase, Phase::Ended | Phase::Idle) {
            return Poll::Ready(Err(self.last.clone()));
        }
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        self.starved = true;
        self.desk.wait(cx);
        Poll::Pending
    }

    /// Is it connected, half of the outbox free, and one more call possible?
    pub(super) fn has_room(&self) -> bool {
        let Phase::Open(wire) = &self.phase else { return false };
        let calls = self.set.in_flight.min(self.set.largest_seq().max(1).unsigned_abs() as usize);
        wire.stage == Stage::Live
            && (wire.unsent() == 0 || wire.unsent() < self.set.outbox / 2)
            && self.desk.calls.waiting() < calls
    }

    pub(crate) fn poll_closed(&mut self, cx: &Context<'_>) -> Poll<Closed> {
        if let Phase::Ended = self.phase {
            return Poll::Ready(self.last.clone());
        }
        self.desk.wait(cx);
        Poll::Pending
    }

    pub(crate) fn state(&self) -> State {
        match &self.phase {
            Phase::Idle => State::Unopened,
            Phase::Ended => State::Closed,
            Phase::Open(wire) if wire.live_since().is_some() => match wire.stage {
                Stage::Live => State::Connected,
                _ => State::Leaving,
            },
            _ if self.been => State::Reconnecting,
            _ => State::Connecting,
        }
    }

    pub(crate) fn stat(&self) -> Stat {
        self.desk.stat
    }

    /// A stream of events; the first tells that the client is connected, if it is.
    pub(crate) fn watch(&mut self) -> Arc<Queue<Event>> {
        let queue = self.desk.watch();
        if self.state() == State::Connected {
            queue.push(Event::Connected);
        }
        queue
    }

    pub(crate) fn claim(&mut self, route: i32, latest: bool) -> Arc<Queue<Bytes>> {
        let queue = if latest { Queue::latest() } else { Queue::new(self.set.pushes) };
        self.desk.claim(route, queue)
    }

    pub(crate) fn claim_rest(&mut self) -> Arc<Queue<RawPush>> {
        self.desk.claim_rest(self.set.pushes)
    }

    pub(crate) fn forget_pushes(&mut self, route: i32, queue: &Arc<Queue<Bytes>>) {
        self.desk.forget_pushes(route, queue);
    }

    pub(crate) fn forget_unclaimed(&mut self, queue: &Arc<Queue<RawPush>>) {
        self.desk.forget_unclaimed(queue);
    }

    pub(crate) fn forget_events(&mut self, queue: &Arc<Queue<Event>>) {
        self.desk.forget_events(queue);
    }
}

fn gone(reason: &Closed) -> CallError {
    CallError::Gone { reason: reason.clone(), sent: false }
}
