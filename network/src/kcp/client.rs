//! A client's connection: one socket and one session, which drives itself whenever it is polled.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker, ready},
};

use due_core::{
    Error, Kind, Result,
    net::{Conn, Framing, Inbound, Scratch, Segments},
};
use tokio::net::UdpSocket;

use super::{arq::Arq, clock::Clock, datagrams::Datagrams, fec, segment::Datagram, settings::Settings};

/// Datagrams received in one poll.
const AT_ONCE: usize = 256;
/// Longer datagrams are cut, and dropped for their length.
const LONGEST: usize = 2048;

pub(crate) struct ClientConn {
    socket: UdpSocket,
    peer: SocketAddr,
    arq: Arq,
    received: u64,
    largest: usize,
    clock: Clock,
    out: Datagrams,
    /// Datagrams of `out` that the socket took.
    sent: usize,
    /// The server's system said that nobody listens there.
    refused: bool,
    waiting: Arc<Waiting>,
    waker: Waker,
}

/// The tasks that wait to read and to write: whatever happens wakes both.
#[derive(Default)]
struct Waiting(Mutex<[Option<Waker>; 2]>);

impl Waiting {
    fn set(&self, place: usize, waker: &Waker) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = both.get_mut(place) {
            *slot = Some(waker.clone());
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let both = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        both.into_iter().flatten().for_each(Waker::wake);
    }
}

const READER: usize = 0;
const WRITER: usize = 1;

impl ClientConn {
    /// A session of its own conversation `conv` with `peer`, to which `socket` is connected.
    pub(crate) fn new(socket: UdpSocket, peer: SocketAddr, conv: u32, settings: &Settings) -> Self {
        let waiting = Arc::<Waiting>::default();
        Self {
            socket,
            peer,
            arq: Arq::new(conv, &settings.tuning(), 0),
            received: 0,
            largest: settings.largest(),
            clock: Clock::new(),
            out: Datagrams::new(settings.mtu()),
            sent: 0,
            refused: false,
            waker: waiting.clone().into(),
            waiting,
        }
    }

    /// Receives, lets time pass and sends; whatever comes later wakes who waits.
    fn drive(&mut self, waits: usize, waker: &Waker) {
        self.waiting.set(waits, waker);
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        self.receive(&mut cx);
        loop {
            self.flush(&mut cx);
            let due = self.arq.due();
            if self.sent_all() && due.is_some_and(|due| due <= self.clock.now()) {
                continue;
            }
            let due = due.filter(|_| self.sent_all());
            if self.clock.poll_reached(&mut cx, due).is_pending() {
                return;
            }
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>) {
        let now = self.clock.now();
        let mut buffer = [0; LONGEST];
        for _ in 0..AT_ONCE {
            if self.socket.poll_recv_ready(cx).is_pending() {
                return;
            }
            match self.socket.try_recv(&mut buffer) {
                Ok(len) => self.input(now, buffer.get(..len).unwrap_or_default()),
                Err(e) => self.note(&e),
            }
        }
        cx.waker().wake_by_ref();
    }

    fn input(&mut self, now: u64, bytes: &[u8]) {
        let bytes = fec::payload(bytes).filter(|bytes| bytes.len() <= self.largest);
        if let Some(datagram) = bytes.and_then(Datagram::parse) {
            self.arq.input(now, &datagram);
        }
    }

    fn note(&mut self, e: &io::Error) {
        self.refused |= e.kind() == io::ErrorKind::ConnectionRefused;
    }

    fn sent_all(&self) -> bool {
        self.sent == self.out.len()
    }

    /// Sends what is due, after what the socket did not take before.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let now = self.clock.now();
        self.send(cx);
        if self.sent_all() && self.arq.due().is_some_and(|due| due <= now) {
            self.out.clear();
            self.sent = 0;
            self.arq.flush(now, &mut self.out);
            self.send(cx);
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let mut failed = None;
        for datagram in self.out.iter().skip(self.sent) {
            match poll_send(&self.socket, cx, datagram) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => failed = Some(e),
            }
            self.sent += 1;
        }
        if let Some(e) = failed {
            self.note(&e);
        }
    }

    fn failure(&self) -> Option<Error> {
        if self.refused {
            let kind = if self.arq.answered() { Kind::Gone } else { Kind::Unavailable };
            return Some(Error::new(kind, "nobody listens at the address").context("server", self.peer));
        }
        self.arq
            .lost(self.clock.now())
            .then(|| Error::new(Kind::Gone, "the server does not answer").context("server", self.peer))
    }
}

fn poll_send(socket: &UdpSocket, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
    loop {
        match socket.try_send(datagram) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_send_ready(cx))?,
            result => return Poll::Ready(result.map(drop)),
        }
    }
}

impl Conn for ClientConn {
    fn framing(&self) -> Framing {
        Framing::Stream
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, _: &mut Segments) -> Poll<Result<Inbound>> {
        scratch.clear();
        self.drive(READER, cx.waker());
        if !self.arq.readable() {
            return self.failure().map_or(Poll::Pending, |e| Poll::Ready(Err(e)));
        }
        let read = self.arq.read(scratch.space());
        self.received += read as u64;
        scratch.set_filled(read);
        let more = self.arq.readable();
        self.flush(&mut Context::from_waker(&self.waker.clone()));
        Poll::Ready(Ok(Inbound::Data { more }))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Segments) -> Poll<Result<()>> {
        loop {
            let all = self.arq.write_all(self.clock.now(), out);
            self.drive(WRITER, cx.waker());
            if let Some(e) = self.failure() {
                return Poll::Ready(Err(e));
            }
            if all {
                return Poll::Ready(Ok(()));
            }
            if !self.arq.roomy() {
                return Poll::Pending;
            }
        }
    }

    fn taken(&self) -> u64 {
        self.arq.taken()
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.arq.discard();
        self.drive(WRITER, cx.waker());
        self.arq.discard();
        if self.arq.idle() || self.failure().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}
