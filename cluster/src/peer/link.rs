//! A link for orders and calls, driven by a task of its own: a process without shards has it too.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    hash::{BuildHasherDefault, Hasher},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use due_core::{
    Error, Kind, Result,
    error::Retry,
    transport::{Batch, FrameKind, Head, Link, LinkState, Part, Refused},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot},
    task::{coop::unconstrained, yield_now},
    time::{Instant, Sleep, timeout_at},
};

use crate::link::{decode_fault, end::FLAG_FAULT};

/// Orders of one process to another that may wait for their answers.
const MOST: usize = 1024;
/// A link that nobody uses for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
const FRAMES_A_TURN: usize = 4096;
/// So often at most a write waits for what others that are ready want to ask.
const GATHERINGS: usize = 16;

/// What an order asks, as it travels: its number and its body.
pub(crate) type Order = (i32, Vec<u8>);

/// The near end of a link to another process. Orders arrive in the order in which they were posted.
pub(crate) struct PeerLink {
    asks: mpsc::UnboundedSender<Ask>,
    room: Semaphore,
    last: AtomicU64,
    down: Arc<AtomicBool>,
}

enum Ask {
    Order(Posted),
    Cancel(u64),
    /// The other side is gone: nobody waits any longer for its connection to come back.
    End,
}

/// An order that is on its way.
struct Posted {
    corr: u64,
    order: Order,
    until: Instant,
    waiting: Waiting,
}

type Waiting = oneshot::Sender<Result<Vec<u8>>>;

impl PeerLink {
    pub(crate) fn start(link: Box<dyn Link>, service: &Handle) -> Arc<Self> {
        let (asks, asked) = mpsc::unbounded_channel();
        let down = Arc::<AtomicBool>::default();
        service.spawn(Driver::new(link, asked, down.clone()).run());
        Arc::new(Self { asks, room: Semaphore::new(MOST), last: AtomicU64::new(0), down })
    }

    /// Has it lost its connection? It may come back; what is sent meanwhile waits.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Ends it: who waits for an answer is told.
    pub(crate) fn end(&self) {
        let _ = self.asks.send(Ask::End);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.asks.is_closed()
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
    pub(crate) async fn ask(&self, order: Order, until: Instant) -> Result<Vec<u8>> {
        let _permit = self.room(until).await?;
        let corr = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (waiting, answer) = oneshot::channel();
        let mut asked = Asked { corr, asks: &self.asks, done: false };
        // A link that is over drops what it is sent, and the answer says so.
        let _ = self.asks.send(Ask::Order(Posted { corr, order, until, waiting }));
        let answer = answer.await;
        asked.done = true;
        answer.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the link to that process is over")))
    }
}

/// An order whose answer somebody waits for.
struct Asked<'a> {
    corr: u64,
    asks: &'a mpsc::UnboundedSender<Ask>,
    done: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.asks.send(Ask::Cancel(self.corr));
        }
    }
}

impl Posted {
    /// The time that is left, at least 1: 0 means none.
    fn ttl_ms(&self) -> u32 {
        let left = self.until.saturating_duration_since(Instant::now()).as_millis();
        left.clamp(1, u128::from(u32::MAX)) as u32
    }
}

/// The link and what waits for answers over it.
struct Driver {
    link: Box<dyn Link>,
    asked: mpsc::UnboundedReceiver<Ask>,
    /// What found the link full stays here, and all behind it.
    queue: VecDeque<Ask>,
    waiting: HashMap<u64, (Instant, Waiting), BuildHasherDefault<Counted>>,
    /// Nobody's time is over before this.
    overdue: Pin<Box<Sleep>>,
    /// What was asked when others that were ready got their turn last, and how often they did.
    gathered: (usize, usize),
    batch: Batch,
    idle: Pin<Box<Sleep>>,
    down: Arc<AtomicBool>,
}

/// Hashes numbers that are given out one after the other.
#[derive(Default)]
struct Counted(u64);

impl Hasher for Counted {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Driver {
    fn new(link: Box<dyn Link>, asked: mpsc::UnboundedReceiver<Ask>, down: Arc<AtomicBool>) -> Self {
        let sleep = || Box::pin(tokio::time::sleep(IDLE));
        let (queue, waiting, batch) = (VecDeque::new(), HashMap::default(), Batch::default());
        Self { link, asked, queue, waiting, overdue: sleep(), gathered: (0, 0), batch, idle: sleep(), down }
    }

    async fn run(mut self) {
        // With tokio's budget a turn would end after 128 orders.
        unconstrained(poll_fn(|cx| self.poll(cx))).await;
        // What was sent may have been done.
        for (_, (_, waiting)) in self.waiting.drain() {
            let lost = Error::new(Kind::Unavailable, "the link ended before the answer").retry_as(Retry::Unknown);
            let _ = waiting.send(Err(lost));
        }
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
        if !self.waiting.is_empty() || !self.queue.is_empty() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
        }
        self.idle.as_mut().poll(cx)
    }

    /// Something is asked: lets all others that are ready now ask too, so that one write takes it all.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        let (asked, before) = (self.asked.len(), std::mem::take(&mut self.gathered));
        if asked > before.0 && before.1 < GATHERINGS && pin!(yield_now()).poll(cx).is_pending() {
            self.gathered = (asked, before.1 + 1);
        }
        self.gathered.1 > 0
    }

    /// Ends what is not answered in time.
    fn end_overdue(&mut self, cx: &mut Context<'_>) {
        while self.overdue.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let late: Vec<u64> = self.waiting.iter().filter(|(_, (until, _))| *until <= now).map(|(c, _)| *c).collect();
            late.into_iter().for_each(|corr| self.end_late(corr));
            for at in (0..self.queue.len()).rev() {
                let late = matches!(self.queue.get(at), Some(Ask::Order(posted)) if posted.until <= now);
                if late && let Some(Ask::Order(posted)) = self.queue.remove(at) {
                    let _ = posted.waiting.send(Err(Kind::Timeout.into()));
                }
            }
            let queued = self.queue.iter().filter_map(|ask| match ask {
                Ask::Order(posted) => Some(posted.until),
                _ => None,
            });
            let next = self.waiting.values().map(|(until, _)| *until).chain(queued).min();
            self.overdue.as_mut().reset(next.unwrap_or(now + IDLE));
        }
    }

    fn end_late(&mut self, corr: u64) {
        if let Some((_, waiting)) = self.waiting.remove(&corr) {
            let _ = waiting.send(Err(Kind::Timeout.into()));
            // Where the link is full the other side learns it by its own clock.
            let _ = self.link.send(Head { kind: FrameKind::Cancel, corr, ..Head::default() }, Part::Copy(&[]));
        }
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
        let Some((_, waiting)) = self.waiting.remove(&head.corr) else { return };
        let answer = match head.flags & FLAG_FAULT {
            0 => Ok(body.to_vec()),
            _ => {
                let (code, text) = decode_fault(body);
                Err(Error::new(Kind::from_code(code).unwrap_or(Kind::Internal), text)
                    .from_origin(due_core::Origin::Remote))
            }
        };
        let _ = waiting.send(answer);
    }

    /// Sends what was asked for, as far as there is room; ready when nobody can ask any more, or at the end of the link.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let all_gone = self.hear(cx);
        while let Some(ask) = self.queue.pop_front() {
            match self.send(ask) {
                Ok(()) => {}
                Err(None) => return Poll::Ready(()),
                Err(Some(ask)) => {
                    self.queue.push_front(ask);
                    match self.link.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
        if all_gone && self.waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes in what is asked; says whether nobody can ask any more.
    fn hear(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.asked.poll_recv(cx) {
                Poll::Ready(Some(ask)) => self.enqueue(ask),
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
    }

    fn enqueue(&mut self, ask: Ask) {
        match &ask {
            Ask::Order(posted) if posted.until < self.overdue.deadline() => self.overdue.as_mut().reset(posted.until),
            // It was never sent. Its place is free again: only what waits stays here.
            Ask::Cancel(corr) => {
                let same = |ask: &Ask| matches!(ask, Ask::Order(posted) if posted.corr == *corr);
                if let Some(at) = self.queue.iter().rposition(same) {
                    self.queue.remove(at);
                    return;
                }
            }
            _ => {}
        }
        self.queue.push_back(ask);
    }

    /// Gives back what found the link full; nothing when the link is gone.
    fn send(&mut self, ask: Ask) -> Result<(), Option<Ask>> {
        let sent = match &ask {
            Ask::End => return Err(None),
            Ask::Order(posted) if posted.waiting.is_closed() => return Ok(()),
            Ask::Order(posted) => {
                let ttl_ms = posted.ttl_ms();
                let head = Head {
                    kind: FrameKind::Order,
                    route: posted.order.0,
                    corr: posted.corr,
                    ttl_ms,
                    ..Head::default()
                };
                self.link.send(head, Part::Copy(&posted.order.1))
            }
            Ask::Cancel(corr) if self.waiting.remove(corr).is_none() => return Ok(()),
            Ask::Cancel(corr) => {
                let head = Head { kind: FrameKind::Cancel, corr: *corr, ..Head::default() };
                self.link.send(head, Part::Copy(&[]))
            }
        };
        match (sent, ask) {
            (Err(Refused::Gone), _) => Err(None),
            (Err(Refused::TooLarge), Ask::Order(posted)) => {
                let _ = posted.waiting.send(Err(Error::new(Kind::TooLarge, "the order is larger than a link carries")));
                Ok(())
            }
            (Err(Refused::TooLarge | Refused::Full), Ask::Cancel(_) | Ask::End) => Ok(()),
            (Err(Refused::Full), ask) => Err(Some(ask)),
            (Ok(()), Ask::Order(Posted { corr, until, waiting, .. })) => {
                self.waiting.insert(corr, (until, waiting));
                Ok(())
            }
            (Ok(()), Ask::Cancel(_) | Ask::End) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

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

    fn asks(link: &Arc<PeerLink>, count: usize) -> tokio::task::JoinSet<Result<Vec<u8>>> {
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
