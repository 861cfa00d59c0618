//! Links inside one process: `memory://anything`.
//!
//! Frames are moved by swapping batches: nothing is allocated for a frame once the buffers have grown, and a flush wakes
//! the other side at most once. An address without a host, or one that ends in `:0`, stands for a free one.
//!
//! [`Faults`] plays what a network does to links: cuts, silence, refusals.

mod faults;
mod flow;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use async_trait::async_trait;

use self::flow::{Direction, cost};
use super::{Acceptor, Batch, Dialer, Head, Link, Listening, Part, Refused, Transport};
use crate::{
    error::{Error, Kind, Result, Retry},
    id::Owner,
    sync::locked,
    url::Url,
};

pub use faults::Faults;

/// The high-water mark of a link unless told otherwise: bytes in each direction.
pub const HIGH_WATER: usize = 4 * 1024 * 1024;

/// The hub where the instances of one process meet; clones are the same hub.
#[derive(Clone)]
pub struct Memory {
    hub: Arc<Mutex<Hub>>,
    faults: Faults,
    high: usize,
}

#[derive(Default)]
struct Hub {
    listening: HashMap<String, Place>,
    last: u64,
}

#[derive(Clone)]
struct Place {
    number: u64,
    owner: Owner,
    acceptor: Arc<dyn Acceptor>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_high_water(HIGH_WATER)
    }
}

impl Memory {
    /// A hub whose links hold at most about `high` bytes in each direction; a link has room again at half of it.
    pub fn with_high_water(high: usize) -> Self {
        Self { hub: Arc::default(), faults: Faults::default(), high }
    }

    /// The handle to disturb the links of this hub.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

#[async_trait]
impl Transport for Memory {
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening> {
        let mut hub = locked(&self.hub);
        let url = hub.free(url);
        let name = name(&url);
        if hub.listening.contains_key(&name) {
            return Err(Error::config(format!("{url} is in use: listen at another name")));
        }
        hub.last += 1;
        let number = hub.last;
        hub.listening.insert(name.clone(), Place { number, owner: own, acceptor });
        Ok(Listening { url, guard: Box::new(Guard { hub: self.hub.clone(), name, number }) })
    }

    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>> {
        let unavailable = |why: &'static str| Error::new(Kind::Unavailable, why).context("url", url).context("to", to);
        let nobody = || unavailable("nobody listens").because(io::Error::from(io::ErrorKind::ConnectionRefused));
        let place = locked(&self.hub).listening.get(&name(url)).cloned().ok_or_else(nobody)?;
        if place.owner != *to {
            return Err(unavailable("somebody else listens").retry_as(Retry::Never).context("found", place.owner));
        }
        let (there, back) = (Direction::new(self.high), Direction::new(self.high));
        if !self.faults.admit(&from.owner.id, &to.id, &there, &back) {
            return Err(unavailable("the connection was refused"));
        }
        place.acceptor.accept(from, Box::new(End::new(back.clone(), there.clone())));
        Ok(Box::new(End::new(there, back)))
    }
}

fn name(url: &Url) -> String {
    format!("{}{}", url.host(), url.path())
}

impl Hub {
    /// Makes up a host where the address asks for a free one.
    fn free(&self, url: &Url) -> Url {
        let base = match url.host() {
            "" => "link",
            host => match host.strip_suffix(":0") {
                Some(base) => base,
                None => return url.clone(),
            },
        };
        let free =
            (1u32..).map(|n| url.with_host(format!("{base}:{n}"))).find(|u| !self.listening.contains_key(&name(u)));
        free.unwrap_or_else(|| url.clone())
    }
}

/// Stops accepting when dropped.
struct Guard {
    hub: Arc<Mutex<Hub>>,
    name: String,
    number: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut hub = locked(&self.hub);
        if hub.listening.get(&self.name).is_some_and(|p| p.number == self.number) {
            hub.listening.remove(&self.name);
        }
    }
}

/// One end of a link.
struct End {
    outward: Arc<Direction>,
    inward: Arc<Direction>,
    /// Sent, not flushed.
    out: Batch,
    out_cost: usize,
    /// Was something refused since there was room?
    full: bool,
    /// Taken over from the other side, not yet received.
    inbox: Batch,
    /// Frames of `inbox` that were received.
    read: usize,
}

impl End {
    fn new(outward: Arc<Direction>, inward: Arc<Direction>) -> Self {
        let (out, inbox) = (Batch::default(), Batch::default());
        Self { outward, inward, out, out_cost: 0, full: false, inbox, read: 0 }
    }

    /// Bytes on their way to the other side's user.
    fn held(&self) -> usize {
        self.out_cost + self.outward.held()
    }

    /// Moves at most `max` frames of the inbox into `into`: all of them by a swap where it can.
    fn deliver(&mut self, into: &mut Batch, max: usize) -> usize {
        let waiting = self.inbox.len() - self.read;
        let count = waiting.min(max);
        if self.read == 0 && count == waiting && into.is_empty() {
            std::mem::swap(into, &mut self.inbox);
            self.inward.release(into.bytes.len() + cost(0) * count);
        } else {
            self.copy(into, count);
        }
        if self.read == self.inbox.len() {
            self.inbox.clear();
            self.read = 0;
        }
        count
    }

    fn copy(&mut self, into: &mut Batch, count: usize) {
        let mut released = 0;
        for at in self.read..self.read + count {
            let Some((head, body)) = self.inbox.get(at) else { break };
            released += cost(body.len());
            into.push(head, body);
        }
        self.read += count;
        self.inward.release(released);
    }
}

impl Link for End {
    fn send(&mut self, head: Head, body: Part<'_>) -> Result<(), Refused> {
        if self.inward.is_over() {
            return Err(Refused::Gone);
        }
        let limit = if head.lane == 0 { self.outward.high * 2 } else { self.outward.high };
        if self.held() >= limit {
            self.full = true;
            return Err(Refused::Full);
        }
        let body = body.bytes();
        self.out_cost += cost(body.len());
        self.out.push(head, body);
        Ok(())
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.inward.is_over() {
            return Poll::Ready(Err(Error::new(Kind::Gone, "the other side closed the link")));
        }
        self.outward.hand_over(&mut self.out, std::mem::take(&mut self.out_cost));
        Poll::Ready(Ok(()))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let enough = |end: &Self| end.held() < if end.full { end.outward.high.div_ceil(2) } else { end.outward.high };
        // Registered before the second look: the other side may have made room in between.
        for attempt in 0..2 {
            if self.inward.is_over() {
                return Poll::Ready(Err(Refused::Gone));
            }
            if enough(self) {
                self.full = false;
                return Poll::Ready(Ok(()));
            }
            if attempt == 0 {
                self.full = true;
                self.outward.register_writer(cx);
            }
        }
        Poll::Pending
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Batch, max: usize) -> Poll<Result<usize>> {
        if self.inbox.is_empty() {
            match self.inward.poll_take(cx, &mut self.inbox) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(0)),
                Poll::Pending => return Poll::Pending,
            }
        } else if self.inward.is_silent(cx) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.deliver(into, max.max(1))))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.outward.end();
        self.inward.abandon();
    }
}
