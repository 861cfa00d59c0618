//! What a stranger may do before it proves that it is a member: next to nothing.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Connections without a proof at a time.
const HALF_OPEN: usize = 64;
/// So long each of them is safe from those that come after it.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time for the proof.
const PROOF: Duration = Duration::from_secs(5);
/// Bytes that a connection may send before the proof: headers and a handshake are a few hundred.
const STRANGER: usize = 16 * 1024;

/// Takes new connections in, few strangers at a time.
#[derive(Default)]
pub(crate) struct Gate {
    strangers: VecDeque<(Instant, Weak<Pass>)>,
}

impl Gate {
    /// Takes a connection in. When there are too many strangers the oldest goes, after it had its chance: strangers must
    /// not keep members out. Cancelled, the connection is closed.
    pub(crate) async fn admit(&mut self, stream: TcpStream) -> Gated {
        loop {
            self.strangers.retain(|(_, pass)| pass.upgrade().is_some_and(|pass| pass.is(STRANGE)));
            let Some((since, oldest)) = self.strangers.front() else { break };
            if self.strangers.len() < HALF_OPEN {
                break;
            }
            sleep_until(*since + PATIENCE).await;
            if let Some(oldest) = oldest.upgrade() {
                oldest.evict();
            }
        }
        let pass = Arc::<Pass>::default();
        self.strangers.push_back((Instant::now(), Arc::downgrade(&pass)));
        Gated { stream, pass, left: STRANGER, late: Some(Box::pin(sleep(PROOF))) }
    }
}

const STRANGE: u8 = 0;
const PROVEN: u8 = 1;
const EVICTED: u8 = 2;

/// What a connection may do.
#[derive(Default)]
pub(crate) struct Pass {
    state: AtomicU8,
    entered: AtomicBool,
    waker: AtomicWaker,
}

impl Pass {
    /// The connection begins a link: true once.
    pub(crate) fn enter(&self) -> bool {
        !self.entered.swap(true, Ordering::AcqRel)
    }

    /// The other side is a member: from now on the connection has no limits of a stranger.
    pub(crate) fn proven(&self) {
        let _ = self.state.compare_exchange(STRANGE, PROVEN, Ordering::AcqRel, Ordering::Acquire);
    }

    fn evict(&self) {
        let _ = self.state.compare_exchange(STRANGE, EVICTED, Ordering::AcqRel, Ordering::Acquire);
        self.waker.wake();
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Acquire) == state
    }
}

/// A connection that breaks when it sends too much or takes too long before the proof.
pub(crate) struct Gated {
    stream: TcpStream,
    pass: Arc<Pass>,
    /// Bytes that a stranger may still send.
    left: usize,
    /// There until the proof.
    late: Option<Pin<Box<Sleep>>>,
}

impl Gated {
    pub(crate) fn pass(&self) -> &Arc<Pass> {
        &self.pass
    }

    /// Is it still a stranger, and in its time?
    fn poll_stranger(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(late) = &mut self.late else { return Ok(false) };
        self.pass.waker.register(cx.waker());
        if self.pass.is(PROVEN) {
            self.late = None;
            return Ok(false);
        }
        if self.pass.is(EVICTED) || late.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no proof in time"));
        }
        Ok(true)
    }
}

impl AsyncRead for Gated {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.poll_stranger(cx)? {
            return Pin::new(&mut this.stream).poll_read(cx, into);
        }
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, into);
        let count = into.filled().len() - before;
        if count > this.left {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too much before the proof")));
        }
        this.left -= count;
        read
    }
}

impl AsyncWrite for Gated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
