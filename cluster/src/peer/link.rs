//! A link for orders and calls, driven by a task of its own: a process without shards has it too.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    transport::{Batch, FrameKind, Head, Link, LinkState, Part, Refused},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    task::{coop::unconstrained, yield_now},
    time::{Instant, Sleep, timeout_at},
};

use super::desk::{Ask, Asked, Bodies, Desk};
use crate::link::{decode_fault, end::FLAG_FAULT};

/// Orders of one process to another that may wait for their answers.
const MOST: usize = 1024;
/// A link that nobody uses for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
const FRAMES_A_TURN: usize = 4096;
/// So often at most a write waits for what others that are ready want to ask.
const GATHERINGS: usize = 16;
/// Answers that are handed over under one lock.
const TOGETHER: usize = 64;

/// What an order asks, as it travels: its number and its body.
pub(crate) type Order = (i32, Vec<u8>);

/// The near end of a link to another process. Orders arrive in the order in which they were posted.
pub(crate) struct PeerLink {
    desk: Arc<Desk>,
    room: Semaphore,
    down: Arc<AtomicBool>,
}

impl PeerLink {
    pub(crate) fn start(link: Box<dyn Link>, service: &Handle) -> Arc<Self> {
        let (desk, down) = (Arc::<Desk>::default(), Arc::<AtomicBool>::default());
        service.spawn(Driver::new(link, desk.clone(), down.clone()).run());
        Arc::new(Self { desk, room: Semaphore::new(MOST), down })
    }

    /// Has it lost its connection? It may come back; what is sent meanwhile waits.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Ends it: who waits for an answer is told.
    pub(crate) fn end(&self) {
        self.desk.end();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.desk.is_over()
    }

    /// A place among the orders that wait; without one in time nothing was sent.
    async fn room(&self, until: Instant) -> Result<SemaphorePermit<'_>> {
        if let Ok(permit) = self.room.try_acquire() {
            return Ok(permit);
        }
        match Box::pin(timeout_at(until, self.room.acquire())).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(Kind::Overloaded, "too many orders wait for that process")),
        }
    }

    /// Sends an order and waits for its answer. Dropped before that, the other side is told.
    pub(crate) async fn ask(&self, order: Order, until: Instant) -> Result<Bytes> {
        let (number, body) = order;
        self.ask_with(number, until, |out| out.extend_from_slice(&body)).await
    }

    /// The same for an order whose body `encode` appends. It is called once, where nothing else may be asked.
    pub(crate) async fn ask_with(
        &self,
        number: i32,
        until: Instant,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Bytes> {
        let _permit = self.room(until).await?;
        let (mut asking, mut encode) = (Asking { desk: &self.desk, corr: 0 }, Some(encode));
        poll_fn(|cx| {
            if let Some(encode) = encode.take() {
                asking.corr = self.desk.post((number, until), encode, cx)?;
                return Poll::Pending;
            }
            let polled = self.desk.poll_answer(asking.corr, cx);
            if polled.is_ready() {
                asking.corr = 0;
            }
            polled
        })
        .await
    }
}

impl Drop for PeerLink {
    fn drop(&mut self) {
        self.desk.leave();
    }
}

/// An order whose answer somebody waits for; 0: nobody does.
struct Asking<'a> {
    desk: &'a Desk,
    corr: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.corr != 0 {
            self.desk.cancel(self.corr);
        }
    }
}

/// An order that found the link full.
struct Held {
    corr: u64,
    number: i32,
    until: Instant,
    body: Vec<u8>,
}

/// The link and what waits for room on it.
struct Driver {
    link: Box<dyn Link>,
    desk: Arc<Desk>,
    asked: Asked,
    /// What found the link full stays here, and all behind it.
    queue: VecDeque<Held>,
    /// Answers on their way to those who wait.
    ends: Vec<(u64, Result<Bytes>)>,
    woken: Vec<Waker>,
    bodies: Bodies,
    /// Nobody's time is over before this.
    overdue: Pin<Box<Sleep>>,
    /// What was asked when others that were ready got their turn last, and how often they did.
    gathered: (usize, usize),
    batch: Batch,
    idle: Pin<Box<Sleep>>,
    down: Arc<AtomicBool>,
    /// The link is over, or is to be.
    ending: bool,
}

/// What became of a frame that was to be sent.
enum Sent {
    Yes,
    Full,
    Gone,
}

impl Driver {
    fn new(link: Box<dyn Link>, desk: Arc<Desk>, down: Arc<AtomicBool>) -> Self {
        let sleep = || Box::pin(tokio::time::sleep(IDLE));
        Self {
            link,
            desk,
            asked: Asked::default(),
            queue: VecDeque::new(),
            ends: Vec::new(),
            woken: Vec::new(),
            bodies: Bodies::default(),
            overdue: sleep(),
            gathered: (0, 0),
            batch: Batch::default(),
            idle: sleep(),
            down,
            ending: false,
        }
    }

    async fn run(mut self) {
        // With tokio's budget a turn would end after 128 orders.
        unconstrained(poll_fn(|cx| self.poll(cx))).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.read(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.gather(cx) {
            return Poll::Pending;
        }
        let over = self.write(cx).is_ready();
        self.down.store(matches!(self.link.state(), LinkState::Down(_)), Ordering::Release);
        if over || matches!(self.link.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(());
        }
        self.end_overdue(cx);
        if !self.desk.is_idle() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
        }
        self.idle.as_mut().poll(cx)
    }

    /// Something is asked: lets all others that are ready now ask too, so that one write takes it all.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        let (asked, before) = (self.desk.len(), std::mem::take(&mut self.gathered));
        if asked > before.0 && before.1 < GATHERINGS && pin!(yield_now()).poll(cx).is_pending() {
            self.gathered = (asked, before.1 + 1);
        }
        self.gathered.1 > 0
    }

    /// Ends what is not answered in time.
    fn end_overdue(&mut self, cx: &mut Context<'_>) {
        while self.overdue.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let (late, next) = self.desk.late(now);
            for corr in late {
                if !self.desk.fail(corr, Kind::Timeout.into()) {
                    continue;
                }
                match self.queue.iter().position(|held| held.corr == corr) {
                    Some(at) => drop(self.queue.remove(at)),
                    // Where the link is full the other side learns it by its own clock.
                    None => drop(self.cancel(corr)),
                }
            }
            self.overdue.as_mut().reset(next.unwrap_or(now + IDLE));
        }
    }

    fn cancel(&mut self, corr: u64) -> Result<(), Refused> {
        self.link.send(Head { kind: FrameKind::Cancel, corr, ..Head::default() }, Part::Copy(&[]))
    }

    /// Takes answers in; ready at the end of the link.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut batch = std::mem::take(&mut self.batch);
            let polled = self.link.poll_recv(cx, &mut batch, FRAMES_A_TURN);
            for i in 0..batch.len() {
                if let Some((head, body)) = batch.get(i) {
                    self.take(head, body);
                }
            }
            self.desk.answer(&mut self.ends, &mut self.woken);
            batch.clear();
            self.batch = batch;
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }

    fn take(&mut self, head: Head, body: &[u8]) {
        if head.kind != FrameKind::Answer {
            return;
        }
        let answer = match head.flags & FLAG_FAULT {
            0 => Ok(self.bodies.copy(body)),
            _ => {
                let (code, text) = decode_fault(body);
                Err(Error::new(Kind::from_code(code).unwrap_or(Kind::Internal), text)
                    .from_origin(due_core::Origin::Remote))
            }
        };
        self.ends.push((head.corr, answer));
        if self.ends.len() >= TOGETHER {
            self.desk.answer(&mut self.ends, &mut self.woken);
        }
    }

    /// Sends what was asked for, as far as there is room; ready when nobody can ask any more, or at the end of the link.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut asked = std::mem::take(&mut self.asked);
        let all_gone = self.desk.take(&mut asked, cx);
        let now = Instant::now();
        asked.list.drain(..).for_each(|ask| self.hear(ask, &asked.bytes, now));
        asked.bytes.clear();
        asked.bytes.shrink_to(256 * 1024);
        self.asked = asked;
        if self.ending {
            return Poll::Ready(());
        }
        while let Some(held) = self.queue.pop_front() {
            let order = (held.corr, held.number, held.until);
            match self.send(order, &held.body, now) {
                Sent::Yes => {}
                Sent::Gone => {
                    self.queue.push_front(held);
                    return Poll::Ready(());
                }
                Sent::Full => {
                    self.queue.push_front(held);
                    match self.link.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
        if all_gone && self.desk.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Carries out what was asked.
    fn hear(&mut self, ask: Ask, bytes: &[u8], now: Instant) {
        match ask {
            Ask::Nothing => {}
            Ask::End => self.ending = true,
            Ask::Cancel(corr) => match self.queue.iter().rposition(|held| held.corr == corr) {
                // It was never sent. Its place is free again: only what waits stays here.
                Some(at) => drop(self.queue.remove(at)),
                None => self.ending |= self.cancel(corr) == Err(Refused::Gone),
            },
            Ask::Order { corr, number, until, body } => {
                if until < self.overdue.deadline() {
                    self.overdue.as_mut().reset(until);
                }
                let body = bytes.get(body).unwrap_or_default();
                // What waits for room is not overtaken.
                let free = self.queue.is_empty() && !self.ending;
                let sent = if free { self.send((corr, number, until), body, now) } else { Sent::Full };
                self.ending |= matches!(sent, Sent::Gone);
                if !matches!(sent, Sent::Yes) {
                    self.queue.push_back(Held { corr, number, until, body: body.to_vec() });
                }
            }
        }
    }

    fn send(&mut self, order: (u64, i32, Instant), body: &[u8], now: Instant) -> Sent {
        let (corr, number, until) = order;
        let head = Head { kind: FrameKind::Order, route: number, corr, ttl_ms: ttl_ms(until, now), ..Head::default() };
        match self.link.send(head, Part::Copy(body)) {
            Ok(()) => Sent::Yes,
            Err(Refused::Full) => Sent::Full,
            Err(Refused::Gone) => Sent::Gone,
            Err(Refused::TooLarge) => {
                self.desk.fail(corr, Error::new(Kind::TooLarge, "the order is larger than a link carries"));
                Sent::Yes
            }
        }
    }
}

/// Who waits learns that it is over. What was sent may have been done.
impl Drop for Driver {
    fn drop(&mut self) {
        let unsent: Vec<u64> = self.queue.iter().map(|held| held.corr).collect();
        self.desk.close(&unsent);
    }
}

/// The time that is left, at least 1: 0 means none.
fn ttl_ms(until: Instant, now: Instant) -> u32 {
    let left = until.saturating_duration_since(now).as_millis();
    left.clamp(1, u128::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use due_core::error::Retry;

    use super::*;

    /// A link that keeps what is sent, takes as many frames as it has room for, and is answered by the test.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        room: usize,
        sent: Vec<Head>,
        answers: Vec<Head>,
        flushes: usize,
        reader: Option<std::task::Waker>,
        writer: Option<std::task::Waker>,
    }

    impl Kept {
        fn with_room(room: usize) -> Self {
            let kept = Self::default();
            kept.state(|state| state.room = room);
            kept
        }

        fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
            with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        fn answer_all(&self) {
            self.state(|state| {
                let orders = state.sent.drain(..).filter(|head| head.kind == FrameKind::Order);
                state.answers.extend(orders.map(|head| Head { kind: FrameKind::Answer, ..head }));
                state.reader.take().map(std::task::Waker::wake)
            });
        }

        fn make_room(&self, room: usize) {
            self.state(|state| {
                state.room += room;
                state.writer.take().map(std::task::Waker::wake)
            });
        }

        fn kinds(&self) -> Vec<FrameKind> {
            self.state(|state| state.sent.iter().map(|head| head.kind).collect())
        }

        /// Waits until `n` frames were sent.
        async fn sent(&self, n: usize) {
            while self.kinds().len() < n {
                yield_now().await;
            }
        }
    }

    impl Link for Kept {
        fn send(&mut self, head: Head, _: Part<'_>) -> Result<(), Refused> {
            self.state(|state| {
                state.room = state.room.checked_sub(1).ok_or(Refused::Full)?;
                state.sent.push(head);
                Ok(())
            })
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
            self.state(|state| state.flushes += usize::from(!state.sent.is_empty()));
            Poll::Ready(Ok(()))
        }

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
            self.state(|state| {
                state.writer = Some(cx.waker().clone());
                if state.room > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
        }

        fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Batch, _: usize) -> Poll<Result<usize>> {
            self.state(|state| {
                state.reader = Some(cx.waker().clone());
                let count = state.answers.len();
                state.answers.drain(..).for_each(|head| into.push(head, &[]));
                if count > 0 { Poll::Ready(Ok(count)) } else { Poll::Pending }
            })
        }

        fn state(&self) -> LinkState {
            LinkState::Up
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    fn asks(link: &Arc<PeerLink>, count: usize) -> tokio::task::JoinSet<Result<Bytes>> {
        let ask = |link: Arc<PeerLink>| async move { link.ask((1, Vec::new()), soon()).await };
        (0..count).map(|_| ask(link.clone())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_ask_at_once_leaves_in_one_write() {
        let kept = Kept::with_room(1_000);
        let link = PeerLink::start(Box::new(kept.clone()), &Handle::current());
        let asking = asks(&link, 500);
        kept.sent(500).await;
        yield_now().await;
        assert!(kept.state(|state| state.flushes) <= 2, "{}", kept.state(|state| state.flushes));
        kept.answer_all();
        assert!(asking.join_all().await.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_in_time_ends_and_the_other_side_is_told() {
        let kept = Kept::with_room(10);
        let link = PeerLink::start(Box::new(kept.clone()), &Handle::current());
        let begin = Instant::now();
        let ended = asks(&link, 1).join_all().await;
        assert_eq!(ended[0].as_ref().unwrap_err().kind(), Kind::Timeout);
        assert!((1_000..1_100).contains(&begin.elapsed().as_millis()));
        kept.sent(2).await;
        assert_eq!(kept.kinds(), [FrameKind::Order, FrameKind::Cancel]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_a_link_ends_what_was_sent_may_have_been_done_and_nothing_else() {
        let kept = Kept::with_room(1);
        let link = PeerLink::start(Box::new(kept.clone()), &Handle::current());
        let asking = asks(&link, 3);
        kept.sent(1).await;
        link.end();
        let ends: Vec<_> = asking.join_all().await.into_iter().map(|end| end.unwrap_err()).collect();
        assert!(ends.iter().all(|e| e.kind() == Kind::Unavailable), "{ends:?}");
        assert_eq!(ends.iter().filter(|e| e.retry() == Retry::Unknown).count(), 1, "{ends:?}");
        assert!(link.is_over());
        let late = link.ask((1, Vec::new()), soon()).await.unwrap_err();
        assert_eq!((late.kind(), late.retry()), (Kind::Unavailable, Retry::Safe));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_room_ends_in_time_or_with_its_caller_and_is_never_sent() {
        let kept = Kept::with_room(1);
        let link = PeerLink::start(Box::new(kept.clone()), &Handle::current());
        let first = tokio::spawn({
            let link = link.clone();
            async move { link.ask((1, Vec::new()), Instant::now() + IDLE).await }
        });
        kept.sent(1).await;
        let mut given_up = asks(&link, 3);
        yield_now().await;
        given_up.shutdown().await;
        let late = asks(&link, 2).join_all().await;
        assert!(late.iter().all(|end| end.as_ref().is_err_and(|e| e.kind() == Kind::Timeout)));
        kept.make_room(100);
        let last = asks(&link, 1);
        kept.sent(2).await;
        assert_eq!(kept.kinds(), [FrameKind::Order; 2]);
        kept.answer_all();
        assert!(first.await.unwrap().is_ok() && last.join_all().await[0].is_ok());
    }
}
