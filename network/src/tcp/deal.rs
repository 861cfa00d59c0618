//! One acceptor for all shards.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use due_core::error::{Error, Kind, Result};

use super::accept::{Accept, Client};

/// Starts the acceptor on the runtime that calls, and gives each of `shards` its end. The acceptor ends when all ends
/// are dropped, or closed and what the system had queued is dealt.
pub(crate) fn deal(accept: Accept, shards: usize) -> Vec<Dealt> {
    let queues = (0..shards).map(|_| Mutex::default()).collect();
    let table = Arc::new(Table { accept: Mutex::new(accept), queues, dealer: Mutex::new(None) });
    tokio::spawn(Dealer { table: table.clone(), next: 0, held: None });
    (0..shards).map(|shard| Dealt { table: table.clone(), shard }).collect()
}

/// One shard's end.
pub(crate) struct Dealt {
    table: Arc<Table>,
    shard: usize,
}

type Item = Result<(TcpStream, SocketAddr)>;

struct Table {
    accept: Mutex<Accept>,
    queues: Vec<Mutex<Queue>>,
    /// Wakes the acceptor: a queue has room again, or an end was closed.
    dealer: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    shard: Option<Waker>,
    end: End,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd)]
enum End {
    #[default]
    Open,
    Closed,
    Dropped,
}

/// Clients that wait for one shard; more of them wait in the system's queue.
const ROOM: usize = 128;

impl Dealt {
    /// The next client of this shard.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let Some(queue) = self.table.queues.get(self.shard) else { return Poll::Pending };
        let mut queue = lock(queue);
        let was_full = queue.items.len() == ROOM;
        let Some(item) = queue.items.pop_front() else {
            remember(&mut queue.shard, cx);
            return Poll::Pending;
        };
        drop(queue);
        if was_full {
            self.table.wake_dealer();
        }
        Poll::Ready(item)
    }

    /// This shard takes what is queued for it and no more; after the last shard the address closes.
    pub(crate) fn close(&mut self) {
        self.end(End::Closed);
        if self.table.all_from(End::Closed) {
            lock(&self.table.accept).finish();
            self.table.wake_dealer();
        }
    }

    fn end(&self, end: End) {
        let Some(queue) = self.table.queues.get(self.shard) else { return };
        let mut queue = lock(queue);
        queue.end = end;
        if end == End::Dropped {
            queue.items.clear();
        }
    }
}

impl Drop for Dealt {
    fn drop(&mut self) {
        self.end(End::Dropped);
        if self.table.all_from(End::Dropped) {
            // Here and not in the acceptor's next turn: the address is free when the last listener is gone.
            lock(&self.table.accept).close();
        } else if self.table.all_from(End::Closed) {
            lock(&self.table.accept).finish();
        }
        self.table.wake_dealer();
    }
}

impl Table {
    /// Has every shard come to `end` at least?
    fn all_from(&self, end: End) -> bool {
        self.queues.iter().all(|queue| lock(queue).end >= end)
    }

    fn wake_dealer(&self) {
        let dealer = lock(&self.dealer).take();
        if let Some(dealer) = dealer {
            dealer.wake();
        }
    }

    /// Queues for the first shard from `start` on that has room, or gives the item back. Closed shards take part only in
    /// the end, when all are closed.
    fn place(&self, item: Item, start: usize) -> Result<usize, Item> {
        let worst = if self.all_from(End::Closed) { End::Closed } else { End::Open };
        for (shard, queue) in self.queues.iter().enumerate().cycle().skip(start).take(self.queues.len()) {
            let mut queue = lock(queue);
            if queue.end > worst || queue.items.len() >= ROOM {
                continue;
            }
            queue.items.push_back(item);
            let waker = queue.shard.take();
            drop(queue);
            if let Some(waker) = waker {
                waker.wake();
            }
            return Ok(shard);
        }
        Err(item)
    }
}

/// The acceptor.
struct Dealer {
    table: Arc<Table>,
    next: usize,
    /// Finds no room at the moment.
    held: Option<Item>,
}

impl Future for Dealer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let table = self.table.clone();
        // Before anything is looked at, so that no change goes unseen.
        remember(&mut lock(&table.dealer), cx);
        loop {
            let item = match self.held.take() {
                Some(item) => item,
                None => match ready!(lock(&table.accept).poll(cx)) {
                    Some(accepted) => accepted.and_then(|client| portable(client).map_err(lost)),
                    None => return Poll::Ready(()),
                },
            };
            match table.place(item, self.next) {
                Ok(shard) => self.next = (shard + 1) % table.queues.len(),
                Err(_) if table.all_from(End::Dropped) => return Poll::Ready(()),
                Err(item) => {
                    self.held = Some(item);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Off this runtime: the shard registers the socket with its own.
fn portable((stream, address): Client) -> io::Result<(TcpStream, SocketAddr)> {
    Ok((stream.into_std()?, address))
}

fn lost(e: io::Error) -> Error {
    Error::new(Kind::Unavailable, "cannot hand a client over").because(e)
}

/// Clones the waker only if it is another one.
fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// A poisoned lock is taken too: the data is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
