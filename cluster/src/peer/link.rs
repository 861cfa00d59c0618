//! A link for orders and calls, driven by a task of its own: a process without shards has it too.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::Pin,
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
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, Sleep, timeout_at},
};

use crate::link::{decode_fault, end::FLAG_FAULT};

/// Orders of one process to another that may wait for their answers.
const MOST: usize = 1024;
/// A link that nobody uses for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
const FRAMES_A_TURN: usize = 4096;

/// What an order asks, as it travels: its number and its body.
pub(crate) type Order = (i32, Vec<u8>);

/// The near end of a link to another process. Orders arrive in the order in which they were posted.
pub(crate) struct PeerLink {
    asks: mpsc::UnboundedSender<Ask>,
    room: Arc<Semaphore>,
    last: AtomicU64,
    down: Arc<AtomicBool>,
}

enum Ask {
    Order {
        corr: u64,
        order: Order,
        ttl_ms: u32,
        waiting: Waiting,
    },
    Cancel(u64),
    /// The other side is gone: nobody waits any longer for its connection to come back.
    End,
}

type Waiting = oneshot::Sender<Result<Vec<u8>>>;

impl PeerLink {
    pub(crate) fn start(link: Box<dyn Link>, service: &Handle) -> Arc<Self> {
        let (asks, asked) = mpsc::unbounded_channel();
        let down = Arc::<AtomicBool>::default();
        service.spawn(Driver::new(link, asked, down.clone()).run());
        Arc::new(Self { asks, room: Arc::new(Semaphore::new(MOST)), last: AtomicU64::new(0), down })
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
    pub(crate) async fn room(&self, until: Instant) -> Result<OwnedSemaphorePermit> {
        match timeout_at(until, self.room.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(Kind::Overloaded, "too many orders wait for that process")),
        }
    }

    /// Sends an order; the answer comes by what this returns. Dropped before that, the other side is told.
    pub(crate) fn post(&self, order: Order, until: Instant, permit: OwnedSemaphorePermit) -> Asked {
        let corr = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (waiting, answer) = oneshot::channel();
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let ttl_ms = left.clamp(1, u128::from(u32::MAX)) as u32;
        // A link that is over drops what it is sent, and the answer says so.
        let _ = self.asks.send(Ask::Order { corr, order, ttl_ms, waiting });
        Asked { answer, corr, asks: self.asks.clone(), until, _permit: permit, done: false }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&self, order: Order, until: Instant) -> Result<Vec<u8>> {
        let permit = self.room(until).await?;
        self.post(order, until, permit).answer().await
    }
}

/// An order that was sent.
pub(crate) struct Asked {
    answer: oneshot::Receiver<Result<Vec<u8>>>,
    corr: u64,
    asks: mpsc::UnboundedSender<Ask>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
    done: bool,
}

impl Asked {
    pub(crate) async fn answer(mut self) -> Result<Vec<u8>> {
        let answer = match timeout_at(self.until, &mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => return Err(Kind::Timeout.into()),
        };
        self.done = true;
        answer.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the link to that process is over")))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.asks.send(Ask::Cancel(self.corr));
        }
    }
}

/// The link and what waits for answers over it.
struct Driver {
    link: Box<dyn Link>,
    asked: mpsc::UnboundedReceiver<Ask>,
    waiting: HashMap<u64, Waiting>,
    /// An order or a cancellation that found the link full.
    held: Option<Ask>,
    batch: Batch,
    idle: Pin<Box<Sleep>>,
    down: Arc<AtomicBool>,
}

impl Driver {
    fn new(link: Box<dyn Link>, asked: mpsc::UnboundedReceiver<Ask>, down: Arc<AtomicBool>) -> Self {
        let idle = Box::pin(tokio::time::sleep(IDLE));
        Self { link, asked, waiting: HashMap::new(), held: None, batch: Batch::default(), idle, down }
    }

    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        // What was sent may have been done.
        for (_, waiting) in self.waiting.drain() {
            let lost = Error::new(Kind::Unavailable, "the link ended before the answer").retry_as(Retry::Unknown);
            let _ = waiting.send(Err(lost));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let over = self.read(cx).is_ready() || self.write(cx).is_ready();
        self.down.store(matches!(self.link.state(), LinkState::Down(_)), Ordering::Release);
        if over || matches!(self.link.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(());
        }
        if !self.waiting.is_empty() || self.held.is_some() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
        }
        self.idle.as_mut().poll(cx)
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
        let Some(waiting) = self.waiting.remove(&head.corr) else { return };
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
        loop {
            let ask = match self.held.take() {
                Some(ask) => ask,
                None => match self.asked.poll_recv(cx) {
                    Poll::Ready(Some(ask)) => ask,
                    Poll::Ready(None) => return if self.waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending },
                    Poll::Pending => return Poll::Pending,
                },
            };
            match self.send(ask) {
                Ok(()) => {}
                Err(None) => return Poll::Ready(()),
                Err(Some(ask)) => {
                    self.held = Some(ask);
                    match self.link.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }

    /// Gives back what found the link full; nothing when the link is gone.
    fn send(&mut self, ask: Ask) -> Result<(), Option<Ask>> {
        let sent = match &ask {
            Ask::End => return Err(None),
            Ask::Order { waiting, .. } if waiting.is_closed() => return Ok(()),
            Ask::Order { corr, order, ttl_ms, .. } => {
                let kind = FrameKind::Order;
                let head = Head { kind, route: order.0, corr: *corr, ttl_ms: *ttl_ms, ..Head::default() };
                self.link.send(head, Part::Copy(&order.1))
            }
            Ask::Cancel(corr) if self.waiting.remove(corr).is_none() => return Ok(()),
            Ask::Cancel(corr) => {
                let head = Head { kind: FrameKind::Cancel, corr: *corr, ..Head::default() };
                self.link.send(head, Part::Copy(&[]))
            }
        };
        match (sent, ask) {
            (Err(Refused::Gone), _) => Err(None),
            (Err(Refused::TooLarge), Ask::Order { waiting, .. }) => {
                let _ = waiting.send(Err(Error::new(Kind::TooLarge, "the order is larger than a link carries")));
                Ok(())
            }
            (Err(Refused::TooLarge | Refused::Full), Ask::Cancel(_) | Ask::End) => Ok(()),
            (Err(Refused::Full), ask) => Err(Some(ask)),
            (Ok(()), Ask::Order { corr, waiting, .. }) => {
                self.waiting.insert(corr, waiting);
                Ok(())
            }
            (Ok(()), Ask::Cancel(_) | Ask::End) => Ok(()),
        }
    }
}
