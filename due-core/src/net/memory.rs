//! Client connections inside one process: `memory://name`.
//!
//! Two bounded byte queues make a connection, so a peer that does not read is as visible as on a socket. Nothing here
//! looks at a clock or spawns, so it works under paused time and on any number of threads.
//!
//! Query keys: `buffer`, the bytes that may wait in each direction (1 B to 64 MiB, default 256 KiB). A name that ends in
//! `:0` stands for a free one.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use serde::Deserialize;

use super::{Bound, Conn, Framing, Inbound, Listener, Network, Scratch, Segments};
use crate::{
    error::{Error, Kind, Result},
    sync::locked,
    units::serde_size,
    url::Url,
};

/// Connections that one listener may hold before they are accepted.
const BACKLOG: usize = 16 * 1024;
/// An emptied queue keeps no more room than this.
const KEEP: usize = 16 * 1024;
const LARGEST_BUFFER: usize = 64 * 1024 * 1024;

/// The hub where listeners and clients of one process meet; clones are the same hub.
#[derive(Clone, Default)]
pub struct Memory(Arc<Hub>);

#[derive(Default)]
struct Hub {
    bound: Mutex<HashMap<String, Arc<Address>>>,
    last_port: AtomicU16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    #[serde(with = "serde_size")]
    buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { buffer: 256 * 1024 }
    }
}

impl Settings {
    fn of(url: &Url) -> Result<Self> {
        let settings: Self = url.query()?;
        if !(1..=LARGEST_BUFFER).contains(&settings.buffer) {
            return Err(Error::config(format!(
                "buffer={} in {url}: give 1 to {LARGEST_BUFFER} bytes",
                settings.buffer
            )));
        }
        Ok(settings)
    }
}

/// What a name stands for: the queue of each shard and whose turn is next.
struct Address {
    buffer: usize,
    peer: SocketAddr,
    shards: Mutex<Shards>,
}

#[derive(Default)]
struct Shards {
    queues: Vec<Queue>,
    next: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<End>,
    waker: Option<Waker>,
    closed: bool,
}

#[async_trait]
impl Network for Memory {
    async fn bind(&self, url: &Url, shards: usize) -> Result<Bound> {
        let settings = Settings::of(url)?;
        let queues = (0..shards.max(1)).map(|_| Queue::default()).collect();
        let address = Arc::new(Address {
            buffer: settings.buffer,
            peer: self.0.port(),
            shards: Mutex::new(Shards { queues, next: 0 }),
        });
        let mut bound = locked(&self.0.bound);
        let url = free(&bound, url);
        let name = name(&url);
        if bound.get(&name).is_some_and(|a| a.is_open()) {
            return Err(Error::config(format!("{url} is in use: bind another name")));
        }
        bound.insert(name.clone(), address.clone());
        let listener = |shard| {
            Box::new(Acceptor { hub: self.0.clone(), name: name.clone(), address: address.clone(), shard })
                as Box<dyn Listener>
        };
        Ok(Bound { url, listeners: (0..shards.max(1)).map(listener).collect() })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Conn>> {
        let own = Settings::of(url)?;
        let refused = || Error::new(Kind::Unavailable, "nobody listens").context("url", url);
        let address = locked(&self.0.bound).get(&name(url)).cloned().ok_or_else(refused)?;
        let buffer = if url.value("buffer").is_some() { own.buffer } else { address.buffer };
        let (up, down) = (Pipe::new(buffer), Pipe::new(buffer));
        let server = End { peer: self.0.port(), inward: up.clone(), outward: down.clone() };
        let client = End { peer: address.peer, inward: down, outward: up };
        if address.deal(server) { Ok(Box::new(client)) } else { Err(refused()) }
    }
}

fn name(url: &Url) -> String {
    format!("{}{}", url.host(), url.path())
}

impl Hub {
    fn port(&self) -> SocketAddr {
        let n = self.last_port.fetch_add(1, Ordering::Relaxed);
        (Ipv4Addr::LOCALHOST, n.max(1)).into()
    }
}

/// Replaces the port 0 by a number that nobody has.
fn free(bound: &HashMap<String, Arc<Address>>, url: &Url) -> Url {
    let Some(host) = url.host().strip_suffix(":0") else { return url.clone() };
    let free = (1u32..).map(|n| url.with_host(format!("{host}:{n}"))).find(|u| !bound.contains_key(&name(u)));
    free.unwrap_or_else(|| url.clone())
}

impl Address {
    fn is_open(&self) -> bool {
        locked(&self.shards).queues.iter().any(|q| !q.closed)
    }

    /// Gives the connection to the next shard that still accepts and has room.
    fn deal(&self, end: End) -> bool {
        let mut shards = locked(&self.shards);
        let shards = &mut *shards;
        let count = shards.queues.len();
        for step in 0..count {
            let at = (shards.next + step) % count;
            let Some(queue) = shards.queues.get_mut(at).filter(|q| !q.closed && q.waiting.len() < BACKLOG) else {
                continue;
            };
            queue.waiting.push_back(end);
            shards.next = at + 1;
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
            return true;
        }
        false
    }
}

/// One shard's end of a name.
struct Acceptor {
    hub: Arc<Hub>,
    name: String,
    address: Arc<Address>,
    shard: usize,
}

impl Listener for Acceptor {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Conn>>> {
        let mut shards = locked(&self.address.shards);
        let Some(queue) = shards.queues.get_mut(self.shard) else { return Poll::Pending };
        match queue.waiting.pop_front() {
            Some(end) => Poll::Ready(Ok(Box::new(end))),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn close(&mut self) {
        if let Some(queue) = locked(&self.address.shards).queues.get_mut(self.shard) {
            queue.closed = true;
        }
        let mut bound = locked(&self.hub.bound);
        if bound.get(&self.name).is_some_and(|a| Arc::ptr_eq(a, &self.address)) && !self.address.is_open() {
            bound.remove(&self.name);
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.close();
        // Taken out first: a connection that ends wakes its peer, which must not happen under the lock.
        let waiting = locked(&self.address.shards).queues.get_mut(self.shard).map(|q| std::mem::take(&mut q.waiting));
        drop(waiting);
    }
}

/// One direction of a connection.
struct Pipe {
    room: usize,
    state: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    bytes: VecDeque<u8>,
    taken: u64,
    /// The writer sends no more.
    ended: bool,
    /// The reader is gone.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, state: Mutex::default() })
    }

    /// Copies as much as there is room for. `Pending` has registered the writer.
    fn poll_push(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let mut flow = locked(&self.state);
        if flow.broken || flow.ended {
            return Poll::Ready(Err(Error::new(Kind::Gone, "the peer closed the connection")));
        }
        let n = bytes.len().min(self.room - flow.bytes.len());
        if n == 0 {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        flow.bytes.extend(bytes.get(..n).unwrap_or_default());
        let waker = flow.reader.take();
        drop(flow);
        wake(waker);
        Poll::Ready(Ok(n))
    }

    /// Moves bytes into `into` and says how many; 0 at the end.
    fn poll_pull(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<usize> {
        let mut flow = locked(&self.state);
        if flow.bytes.is_empty() {
            if flow.ended {
                return Poll::Ready(0);
            }
            flow.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = flow.pull(into);
        let waker = flow.writer.take();
        drop(flow);
        wake(waker);
        Poll::Ready(n)
    }

    /// No more bytes follow.
    fn end(&self) {
        let mut flow = locked(&self.state);
        flow.ended = true;
        let waker = flow.reader.take();
        drop(flow);
        wake(waker);
    }

    /// Nobody reads any more.
    fn break_off(&self) {
        let mut flow = locked(&self.state);
        flow.broken = true;
        flow.bytes = VecDeque::new();
        let waker = flow.writer.take();
        drop(flow);
        wake(waker);
    }
}

impl Flow {
    fn pull(&mut self, into: &mut [u8]) -> usize {
        let n = into.len().min(self.bytes.len());
        let (first, second) = self.bytes.as_slices();
        let (left, right) = into.split_at_mut(n.min(first.len()));
        let right = right.get_mut(..n - left.len()).unwrap_or_default();
        left.copy_from_slice(first.get(..left.len()).unwrap_or_default());
        right.copy_from_slice(second.get(..right.len()).unwrap_or_default());
        self.bytes.drain(..n);
        self.taken += n as u64;
        if self.bytes.is_empty() && self.bytes.capacity() > KEEP {
            self.bytes = VecDeque::new();
        }
        n
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One end of a connection; dropping it ends both directions.
struct End {
    peer: SocketAddr,
    inward: Arc<Pipe>,
    outward: Arc<Pipe>,
}

impl Conn for End {
    fn framing(&self) -> Framing {
        Framing::Stream
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, _out: &mut Segments) -> Poll<Result<Inbound>> {
        scratch.clear();
        self.inward.poll_pull(cx, scratch.space()).map(|n| {
            scratch.set_filled(n);
            Ok(if n == 0 { Inbound::End } else { Inbound::Data { more: n == Scratch::SIZE } })
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Segments) -> Poll<Result<()>> {
        while !out.is_empty() {
            match self.outward.poll_push(cx, out.first()) {
                Poll::Ready(Ok(n)) => out.advance(n),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn taken(&self) -> u64 {
        locked(&self.outward.state).taken
    }

    fn received(&self) -> u64 {
        locked(&self.inward.state).taken
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.outward.end();
        let mut dropped = [0; 4096];
        loop {
            match self.inward.poll_pull(cx, &mut dropped) {
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(_) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.outward.end();
        self.inward.break_off();
    }
}
