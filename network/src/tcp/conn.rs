//! A TCP connection as a shard polls it.

use std::{
    io::{self, IoSlice, Read as _},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use due_core::{
    error::{Error, Kind, Origin, Result},
    net::{Conn, Framing, Inbound, Scratch, Segments},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// A stream of bytes. What reads and writes touch stands side by side.
#[repr(C)]
pub(crate) struct TcpConn {
    stream: TcpStream,
    taken: u64,
    received: u64,
    shut: bool,
    peer: SocketAddr,
}

/// What one read brought.
pub(crate) struct Read {
    /// Bytes; 0 is the end.
    pub(crate) len: usize,
    /// There may be more at once; if not, the waker is registered.
    pub(crate) more: bool,
}

/// A write to a peer that is gone is an error and no signal, as the standard library has it.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const NO_SIGNAL: i32 = 0;

/// Pieces of one vectored write.
const SLICES: usize = 64;
/// Reads of one turn while the peer's rest is dropped.
const DROPS: usize = 16;

impl TcpConn {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { stream, peer, taken: 0, received: 0, shut: false }
    }

    /// The socket itself, for a handshake before the connection is handed out.
    #[cfg(feature = "ws")]
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// One read into `space`, which is not empty.
    pub(crate) fn read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<Read>> {
        loop {
            match self.try_read(space) {
                Ok(0) => return Poll::Ready(Ok(Read { len: 0, more: false })),
                Ok(len) => {
                    self.received += len as u64;
                    // The runtime knows a drained socket: asking it costs no system call and leaves the waker behind, so
                    // the caller need not read in vain.
                    let more = len == space.len() || self.stream.poll_read_ready(cx).is_ready();
                    return Poll::Ready(Ok(Read { len, more }));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_read_ready(cx)).map_err(gone)?;
                }
                Err(e) => return Poll::Ready(Err(gone(e))),
            }
        }
    }

    fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut read = None;
        let tried = self.stream.try_io(Interest::READABLE, || {
            let len = (&*SockRef::from(&self.stream)).read(space)?;
            read = Some(len);
            // A read that did not fill the buffer has drained the socket: the runtime is told as if it had tried again.
            if len == 0 || len == space.len() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        match read {
            Some(len) => Ok(len),
            None => tried.map(|()| 0),
        }
    }

    /// What the socket takes at once. The runtime's own account of the socket stands elsewhere in memory: it is asked only
    /// when there is no room.
    fn write(&mut self, cx: &mut Context<'_>, out: &Segments) -> Poll<io::Result<usize>> {
        match self.try_write(out) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.write_later(cx, out),
            done => Poll::Ready(done),
        }
    }

    #[cold]
    fn write_later(&mut self, cx: &mut Context<'_>, out: &Segments) -> Poll<io::Result<usize>> {
        loop {
            // So the runtime learns that there is no room.
            match self.stream.try_io(Interest::WRITABLE, || self.try_write(out)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(self.stream.poll_write_ready(cx))?,
                done => return Poll::Ready(done),
            }
        }
    }

    fn try_write(&self, out: &Segments) -> io::Result<usize> {
        let socket = SockRef::from(&self.stream);
        if out.is_single() {
            return socket.send_with_flags(out.first(), NO_SIGNAL);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = out.slices(&mut slices);
        socket.send_vectored_with_flags(slices.get(..used).unwrap_or_default(), NO_SIGNAL)
    }
}

impl Conn for TcpConn {
    fn framing(&self) -> Framing {
        Framing::Stream
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, _: &mut Segments) -> Poll<Result<Inbound>> {
        scratch.clear();
        let read = ready!(self.read(cx, scratch.space()))?;
        if read.len == 0 {
            return Poll::Ready(Ok(Inbound::End));
        }
        scratch.set_filled(read.len);
        Poll::Ready(Ok(Inbound::Data { more: read.more }))
    }

    fn rests(&self) -> bool {
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Segments) -> Poll<Result<()>> {
        while !out.is_empty() {
            let n = ready!(self.write(cx, out)).map_err(gone)?;
            if n == 0 {
                return Poll::Ready(Err(gone(io::ErrorKind::WriteZero.into())));
            }
            out.advance(n);
            self.taken += n as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn is_broken(&mut self) -> bool {
        // A reset leaves its error in the socket; the end of the peer's stream leaves none.
        !matches!(self.stream.take_error(), Ok(None))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.shut {
            // An error means that the peer is gone, which the read finds out too.
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            self.shut = true;
        }
        let mut dropped = [0; 4096];
        for _ in 0..DROPS {
            let mut buf = ReadBuf::new(&mut dropped);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn gone(e: io::Error) -> Error {
    Error::new(Kind::Gone, "the connection broke").from_origin(Origin::Client).because(e)
}
