//! Accepting that never stops.

use std::{
    future::Future,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use due_core::error::{Error, Kind, Result};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};

/// A listening socket that retries by itself.
///
/// A fault of one client (it left while it was queued) is returned and the next client is taken at once; a lack of
/// the process (descriptors, memory) is returned and retried after 50 ms, doubling to 1 s. One descriptor is held in
/// reserve: without a free one it is given up for a moment to take clients and send them away, so that they try another
/// gate instead of waiting here.
pub(crate) struct Accept {
    socket: Option<TcpListener>,
    reserve: Option<Socket>,
    pause: Option<Pin<Box<Sleep>>>,
    wait: Duration,
    manner: Manner,
    /// After [`Accept::finish`]: clients that the system may still have queued.
    closing: Option<u32>,
}

/// How to accept.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Most clients that the system queues.
    pub(crate) backlog: u32,
    /// Sent to a client for which there is no descriptor left.
    pub(crate) refusal: &'static [u8],
}

/// A new client.
pub(crate) type Client = (TcpStream, SocketAddr);

impl Accept {
    const FIRST_WAIT: Duration = Duration::from_millis(50);
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    /// Clients sent away before each wait.
    const SENT_AWAY: usize = 16;

    /// Registers the socket with the runtime that calls.
    pub(crate) fn new(socket: std::net::TcpListener, manner: Manner) -> io::Result<Self> {
        let socket = Some(TcpListener::from_std(socket)?);
        Ok(Self { socket, reserve: reserve(), pause: None, wait: Self::FIRST_WAIT, manner, closing: None })
    }

    /// The next client; `None` for ever after [`Accept::finish`] took the last one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Client>>> {
        if self.closing.is_some() {
            return Poll::Ready(self.take_queued());
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let Some(socket) = &self.socket else { return Poll::Ready(None) };
        match ready!(socket.poll_accept(cx)) {
            Ok(client) => {
                self.wait = Self::FIRST_WAIT;
                Poll::Ready(Some(Ok(client)))
            }
            Err(e) => Poll::Ready(Some(Err(self.failed(e, cx)))),
        }
    }

    /// From now on only clients that the system has queued already, then the socket closes.
    pub(crate) fn finish(&mut self) {
        // One more than the backlog, as Linux counts, and the failing try. A bound, or a storm of clients keeps the socket open for ever.
        self.closing.get_or_insert(self.manner.backlog.saturating_add(2));
    }

    /// Closes the socket at once.
    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.reserve = None;
    }

    /// Asks the system directly: the runtime may not have heard yet of a client that is queued.
    fn take_queued(&mut self) -> Option<Result<Client>> {
        loop {
            self.closing = Some(self.closing?.saturating_sub(1));
            if self.closing == Some(0) {
                self.close();
            }
            let socket = self.socket.as_ref()?;
            match SockRef::from(socket).accept() {
                Ok((client, address)) => {
                    let Some(address) = address.as_socket() else { continue };
                    return Some(adopt(client).map(|stream| (stream, address)).map_err(fault));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if of_one_client(&e) => return Some(Err(fault(e))),
                Err(e) => {
                    self.close();
                    return (e.kind() != io::ErrorKind::WouldBlock).then(|| Err(fault(e)));
                }
            }
        }
    }

    fn failed(&mut self, e: io::Error, cx: &mut Context<'_>) -> Error {
        if !of_one_client(&e) {
            if out_of_descriptors(&e) {
                self.send_away(cx);
            }
            self.pause = Some(Box::pin(sleep(self.wait)));
            self.wait = (self.wait * 2).min(Self::LONGEST_WAIT);
        }
        fault(e)
    }

    fn send_away(&mut self, cx: &mut Context<'_>) {
        let Some(socket) = &self.socket else { return };
        self.reserve = None;
        for _ in 0..Self::SENT_AWAY {
            let Poll::Ready(Ok((client, _))) = socket.poll_accept(cx) else { break };
            // Nobody is left to tell when this fails.
            let _ = answer(client, self.manner.refusal);
        }
        self.reserve = reserve();
    }
}

fn adopt(client: Socket) -> io::Result<TcpStream> {
    client.set_nonblocking(true)?;
    TcpStream::from_std(client.into())
}

/// What the client has sent is read first: closing over unread bytes would reset the answer away.
fn answer(client: TcpStream, refusal: &[u8]) -> io::Result<()> {
    let mut client = client.into_std()?;
    let _ = client.read(&mut [0; 4096]);
    client.write_all(refusal)?;
    client.shutdown(Shutdown::Write)
}

/// A socket that is bound to nothing: the cheapest descriptor that every system has.
fn reserve() -> Option<Socket> {
    Socket::new(Domain::IPV4, Type::DGRAM, None).ok()
}

fn of_one_client(e: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        e.kind(),
        ConnectionAborted
            | ConnectionReset
            | ConnectionRefused
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
            | Interrupted
    )
}

/// ENFILE and EMFILE, the same numbers on every Unix, and WSAEMFILE.
fn out_of_descriptors(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(23 | 24 | 10024))
}

fn fault(e: io::Error) -> Error {
    let kind = if out_of_descriptors(&e) { Kind::Overloaded } else { Kind::Unavailable };
    Error::new(kind, "cannot accept a client").because(e)
}
