//! A shard for tests: one future that polls a listener and its connections, and a client to talk to it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part, and may unwrap")]

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::{
    Url,
    error::{Kind, Result},
    net::{Bound, Conn, Farewell, Framing, Inbound, Listener, Network, RequestHead, Scratch, Segments, Verdict},
};
use due_network::{tcp::Tcp, ws::Ws};
use tokio::sync::watch;

/// What every network must do alike.
pub fn networks() -> Vec<(Box<dyn Network>, &'static str)> {
    vec![(Box::new(Tcp), "tcp://127.0.0.1:0"), (Box::new(Ws), "ws://127.0.0.1:0")]
}

pub fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Whom a [`Shard`] lets in.
pub type Check = fn(&RequestHead) -> Verdict;

/// What has happened on a shard so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub accepted: usize,
    pub open: usize,
    pub ends: usize,
    pub errors: Vec<Kind>,
    pub accept_errors: usize,
    pub messages: Vec<Vec<u8>>,
    pub heads: Vec<RequestHead>,
}

/// An echo server on a task. Dropping it ends the task.
pub struct Echo {
    pub url: Url,
    log: watch::Receiver<Log>,
    listener: Arc<Mutex<Box<dyn Listener>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Echo {
    pub async fn start(network: &dyn Network, at: &str) -> Self {
        Self::checked(network, at, |_| Verdict::Accept).await
    }

    pub async fn checked(network: &dyn Network, at: &str, check: Check) -> Self {
        let Bound { url, mut listeners } = network.bind(&Url::parse(at).unwrap(), 1).await.unwrap();
        let listener = Arc::new(Mutex::new(listeners.pop().unwrap()));
        let mut shard = Shard::new(check);
        let log = shard.log.subscribe();
        let polled = listener.clone();
        let task = tokio::spawn(poll_fn(move |cx| {
            shard.turn(cx, &mut polled.lock().unwrap());
            Poll::Pending
        }));
        Self { url, log, listener, task }
    }

    /// Waits until the log is so, and returns it.
    pub async fn until(&mut self, what: impl FnMut(&Log) -> bool) -> Log {
        self.log.wait_for(what).await.unwrap().clone()
    }

    pub fn listener(&self) -> MutexGuard<'_, Box<dyn Listener>> {
        self.listener.lock().unwrap()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A shard on a thread with a runtime of its own, until the sender of `stop` is dropped.
pub fn thread(mut listener: Box<dyn Listener>, mut stop: watch::Receiver<()>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut shard = Shard::new(|_| Verdict::Accept);
        let drive = poll_fn(move |cx| {
            shard.turn(cx, &mut listener);
            Poll::<()>::Pending
        });
        runtime.block_on(async {
            tokio::select! { () = drive => {} _ = stop.changed() => {} }
        });
    })
}

struct Shard {
    conns: BTreeMap<usize, Slot>,
    next: usize,
    log: watch::Sender<Log>,
    check: Check,
    scratch: Scratch,
}

struct Slot {
    conn: Box<dyn Conn>,
    out: Segments,
    closing: bool,
}

impl Shard {
    fn new(check: Check) -> Self {
        let log = watch::Sender::new(Log::default());
        Self { conns: BTreeMap::new(), next: 0, log, check, scratch: Scratch::new() }
    }

    fn turn(&mut self, cx: &mut Context<'_>, listener: &mut Box<dyn Listener>) {
        while let Poll::Ready(accepted) = listener.poll_accept(cx) {
            match accepted {
                Ok(conn) => {
                    self.conns.insert(self.next, Slot { conn, out: Segments::default(), closing: false });
                    self.next += 1;
                    self.log.send_modify(|log| (log.accepted, log.open) = (log.accepted + 1, log.open + 1));
                }
                Err(_) => self.log.send_modify(|log| log.accept_errors += 1),
            }
        }
        let _ = listener.poll_flush(cx);
        let (log, scratch, check) = (&self.log, &mut self.scratch, self.check);
        self.conns.retain(|_, slot| {
            let keep = slot.turn(cx, scratch, log, check);
            if !keep {
                log.send_modify(|log| log.open -= 1);
            }
            keep
        });
    }
}

impl Slot {
    /// Is the connection still there?
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, log: &watch::Sender<Log>, check: Check) -> bool {
        while !self.closing {
            match self.conn.poll_read(cx, scratch, &mut self.out) {
                Poll::Pending => break,
                Poll::Ready(Ok(Inbound::Data { .. })) => self.echo(scratch, log),
                Poll::Ready(Ok(Inbound::Head)) => {
                    let head = self.conn.head().unwrap().clone();
                    self.conn.admit(check(&head), &mut self.out);
                    log.send_modify(|log| log.heads.push(head));
                }
                Poll::Ready(Ok(Inbound::End)) => {
                    log.send_modify(|log| log.ends += 1);
                    self.close(Farewell::Normal);
                }
                Poll::Ready(Err(e)) => {
                    log.send_modify(|log| log.errors.push(e.kind()));
                    self.close(Farewell::Protocol);
                }
            }
        }
        match self.conn.poll_write(cx, &mut self.out) {
            Poll::Ready(Err(_)) => false,
            Poll::Ready(Ok(())) if self.closing => self.conn.poll_shutdown(cx).is_pending(),
            _ => true,
        }
    }

    fn close(&mut self, why: Farewell) {
        self.conn.finish(why, &mut self.out);
        self.closing = true;
    }

    fn echo(&mut self, scratch: &Scratch, log: &watch::Sender<Log>) {
        match self.conn.framing() {
            Framing::Stream => self.out.append(scratch.stream()),
            Framing::Messages => {
                for message in scratch.messages() {
                    put(self.conn.as_mut(), message, &mut self.out);
                }
                let seen = scratch.messages().filter(|m| m.len() < 100).map(<[u8]>::to_vec);
                log.send_modify(|log| log.messages.extend(seen));
            }
        }
    }
}

/// Appends one message.
pub fn put(conn: &mut dyn Conn, message: &[u8], out: &mut Segments) {
    out.append_with(|out| {
        conn.begin(message.len(), out);
        let from = out.len();
        out.extend_from_slice(message);
        conn.end(from, out);
    });
}

/// One end of a connection, to be awaited.
pub struct Peer {
    pub conn: Box<dyn Conn>,
    pub out: Segments,
    scratch: Scratch,
}

impl Peer {
    pub fn new(conn: Box<dyn Conn>) -> Self {
        Self { conn, out: Segments::default(), scratch: Scratch::new() }
    }

    pub async fn connect(network: &dyn Network, url: &Url) -> Self {
        Self::new(network.connect(url).await.unwrap())
    }

    /// Both ends of a new connection, admitted.
    pub async fn pair(network: &dyn Network, url: &Url, listener: &mut Box<dyn Listener>) -> (Self, Self) {
        let serve = async {
            let mut server = Self::new(accept(listener).await);
            if server.conn.opening() {
                assert_eq!(server.read().await.unwrap(), Inbound::Head);
                server.conn.admit(Verdict::Accept, &mut server.out);
                server.flush().await.unwrap();
            }
            server
        };
        tokio::join!(Self::connect(network, url), serve)
    }

    /// Appends a message (ws) or bytes (tcp).
    pub fn put(&mut self, message: &[u8]) {
        put(self.conn.as_mut(), message, &mut self.out);
    }

    /// The same by reference.
    pub fn share(&mut self, body: &Bytes) {
        let conn = &mut self.conn;
        self.out.append_with(|out| conn.begin(body.len(), out));
        self.out.share(body);
    }

    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.conn.poll_write(cx, &mut self.out)).await
    }

    pub async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.put(message);
        self.flush().await
    }

    pub async fn read(&mut self) -> Result<Inbound> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Reads once.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound>> {
        self.conn.poll_read(cx, &mut self.scratch, &mut self.out)
    }

    /// All payload up to `len` bytes, while what is still to write is written.
    pub async fn receive(&mut self, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            let inbound = poll_fn(|cx| {
                let _ = self.conn.poll_write(cx, &mut self.out).map(Result::unwrap);
                self.conn.poll_read(cx, &mut self.scratch, &mut self.out)
            })
            .await
            .unwrap();
            assert!(matches!(inbound, Inbound::Data { .. }), "{inbound:?} after {} bytes", all.len());
            all.extend(self.payload());
        }
        all
    }

    /// What the last read brought.
    pub fn payload(&self) -> Vec<u8> {
        match self.conn.framing() {
            Framing::Stream => self.scratch.stream().to_vec(),
            Framing::Messages => self.scratch.messages().flatten().copied().collect(),
        }
    }

    /// Reads until the peer ends, and returns what came before.
    pub async fn drain(&mut self) -> (Vec<u8>, Result<()>) {
        let mut all = Vec::new();
        loop {
            match self.read().await {
                Ok(Inbound::Data { .. }) => all.extend(self.payload()),
                Ok(_) => return (all, Ok(())),
                Err(e) => return (all, Err(e)),
            }
        }
    }

    /// Says goodbye, writes everything and waits for the peer to end.
    pub async fn close(mut self, why: Farewell) {
        self.conn.finish(why, &mut self.out);
        if self.flush().await.is_ok() {
            poll_fn(|cx| self.conn.poll_shutdown(cx)).await;
        }
    }
}

pub async fn accept(listener: &mut Box<dyn Listener>) -> Box<dyn Conn> {
    poll_fn(|cx| listener.poll_accept(cx)).await.unwrap()
}

/// Bytes that are different everywhere.
pub fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
