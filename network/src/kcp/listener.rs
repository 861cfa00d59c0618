//! One shard's end of a bound address: drives the socket and the timers of all its sessions.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use due_core::{
    Error, Kind, Result,
    net::{Conn, Listener},
};

use super::{clock::Clock, conn::ServerConn, endpoint::Endpoint, port::Port, settings::Settings};

/// Batches received in one turn, so that connections get theirs.
const BATCHES: usize = 8;
/// First and longest pause after the socket failed, in ms.
const PAUSE: u64 = 50;
const LONGEST_PAUSE: u64 = 1000;

pub(crate) struct KcpListener {
    endpoint: Shared,
    socket: Socket,
    clock: Clock,
    /// How long the next pause is, and when this one ends.
    pause: u64,
    paused_until: u64,
    /// The waker of the last `poll_accept`: timers that a flush sets must wake that one.
    waker: Option<Waker>,
    closing: bool,
}

/// The sessions of a shard, used by its listener and its connections, which never run at the same time.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Endpoint>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Endpoint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Socket {
    /// Not yet on the runtime of its shard.
    Bound(std::net::UdpSocket),
    Open(Box<Port>),
    /// The system deals nothing to this shard.
    None,
}

impl KcpListener {
    pub(crate) fn new(socket: Option<std::net::UdpSocket>, settings: &Settings) -> Self {
        Self {
            endpoint: Shared(Arc::new(Mutex::new(Endpoint::new(settings)))),
            socket: socket.map_or(Socket::None, Socket::Bound),
            clock: Clock::new(),
            pause: PAUSE,
            paused_until: 0,
            waker: None,
            closing: false,
        }
    }

    fn accepted(&mut self) -> Option<Box<dyn Conn>> {
        let (key, peer) = self.endpoint.lock().accept()?;
        Some(Box::new(ServerConn::new(self.endpoint.clone(), key, peer)))
    }

    fn port(&mut self) -> io::Result<Option<&mut Port>> {
        if let Socket::Bound(socket) = &self.socket {
            self.socket = Socket::Open(Box::new(Port::new(socket.try_clone()?)?));
        }
        Ok(match &mut self.socket {
            Socket::Open(port) => Some(port),
            _ => None,
        })
    }

    /// Receives what has come, at most so much; true if the socket is empty.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let (now, shared) = (self.clock.now(), self.endpoint.clone());
        let Some(port) = self.port()? else { return Ok(true) };
        let mut endpoint = shared.lock();
        for _ in 0..BATCHES {
            let batch = port.poll_recv(cx, |from, local, bytes| endpoint.datagram(now, from, local, bytes));
            match batch {
                Poll::Ready(result) => result?,
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }

    fn failed(&mut self, e: io::Error) -> Error {
        self.paused_until = self.clock.now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Error::new(Kind::Unavailable, "the kcp socket does not receive").because(e)
    }

    /// Does all that is to be done before connections are accepted.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.clock.now() < self.paused_until {
            return Ok(());
        }
        let empty = self.receive(cx).map_err(|e| self.failed(e))?;
        self.pause = PAUSE;
        if !empty {
            cx.waker().wake_by_ref();
        } else if self.closing {
            self.endpoint.lock().close();
        }
        Ok(())
    }

    /// Lets sessions whose time has come be flushed at the end of this turn, and waits for the next ones.
    fn tick(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = self.clock.now();
            let mut endpoint = self.endpoint.lock();
            endpoint.expire(now);
            let paused = Some(self.paused_until).filter(|&until| until > now);
            let next = endpoint.timer().into_iter().chain(paused).min();
            if self.clock.poll_reached(cx, next).is_pending() {
                return;
            }
            if paused.is_some_and(|until| self.clock.now() >= until) {
                cx.waker().wake_by_ref();
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Socket::Open(port) = &mut self.socket else { return Poll::Ready(()) };
        let mut endpoint = self.endpoint.lock();
        while port.poll_unstick(cx).is_ready() {
            if !endpoint.is_dirty() {
                return Poll::Ready(());
            }
            endpoint.flush(self.clock.now(), |to, from, datagrams| port.send(to, from, datagrams));
        }
        Poll::Pending
    }
}

impl Listener for KcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Conn>>> {
        if let Some(conn) = self.accepted() {
            return Poll::Ready(Ok(conn));
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        let driven = self.drive(cx);
        self.tick(cx);
        // A socket that was full may have room again; what is due now leaves at the end of the turn.
        if let Socket::Open(port) = &mut self.socket {
            let _ = port.poll_unstick(cx);
        }
        if let Err(e) = driven {
            return Poll::Ready(Err(e));
        }
        self.accepted().map_or(Poll::Pending, |conn| Poll::Ready(Ok(conn)))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
        let flushed = self.flush(&mut cx);
        self.tick(&mut cx);
        if flushed.is_ready() && self.endpoint.lock().is_dirty() {
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn close(&mut self) {
        self.closing = true;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl Drop for KcpListener {
    fn drop(&mut self) {
        self.endpoint.lock().shut();
    }
}
