//! One connection, whatever it is made of.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
};

use super::tcp;
#[cfg(any(feature = "grpc", feature = "tarpc"))]
use crate::tunnel::Tunnel;

/// A connection in use on the runtime where it is.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(any(feature = "grpc", feature = "tarpc"))]
    Tunnel(Tunnel),
}

/// A connection on its way from one runtime to another.
pub(crate) enum Parked {
    Tcp(std::net::TcpStream),
    #[cfg(any(feature = "grpc", feature = "tarpc"))]
    Tunnel(Tunnel),
}

impl Parked {
    /// Takes it into use here; none if this is no runtime that could.
    pub(super) fn register(self) -> Option<Socket> {
        match self {
            // Without a runtime the registration would panic.
            Self::Tcp(stream) => {
                Handle::try_current().ok().and_then(|_| TcpStream::from_std(stream).ok()).map(Socket::Tcp)
            }
            #[cfg(any(feature = "grpc", feature = "tarpc"))]
            Self::Tunnel(tunnel) => Some(Socket::Tunnel(tunnel)),
        }
    }
}

impl Socket {
    /// Makes it ready for another runtime.
    pub(super) fn park(self) -> io::Result<Parked> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Parked::Tcp),
            #[cfg(any(feature = "grpc", feature = "tarpc"))]
            Self::Tunnel(tunnel) => Ok(Parked::Tunnel(tunnel)),
        }
    }

    /// Sets the options of a link, where it has any.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => tcp::prepare(stream),
            #[cfg(any(feature = "grpc", feature = "tarpc"))]
            Self::Tunnel(_) => Ok(()),
        }
    }

    /// Writes what goes at once, without waiting.
    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            #[cfg(any(feature = "grpc", feature = "tarpc"))]
            Self::Tunnel(tunnel) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                match Pin::new(tunnel).poll_write_vectored(&mut cx, slices) {
                    Poll::Ready(written) => written,
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }
}

/// Calls a method of whichever connection it is.
macro_rules! each {
    ($socket:ident, $inner:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Tcp($inner) => $call,
            #[cfg(any(feature = "grpc", feature = "tarpc"))]
            Socket::Tunnel($inner) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_read(cx, into))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
