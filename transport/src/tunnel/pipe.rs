//! A bounded pipe between a shard and a task.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a pipe holds.
const ROOM: usize = 256 * 1024;

#[derive(Default)]
struct Pipe(Mutex<State>);

#[derive(Default)]
struct State {
    bytes: BytesMut,
    /// The writer is gone: nothing follows.
    ended: bool,
    /// The reader is gone: nobody will read.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The end that bytes come out of.
pub(crate) struct Reader(Arc<Pipe>);

/// The end that bytes go into.
pub(crate) struct Writer(Arc<Pipe>);

/// The shard's ends of two pipes: a socket whose wire are the calls of a task.
pub(crate) struct Tunnel {
    reader: Reader,
    writer: Writer,
}

/// A tunnel, and for the task what its user writes and what its user reads.
pub(crate) fn tunnel() -> (Tunnel, Reader, Writer) {
    let (out, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
    let tunnel = Tunnel { reader: Reader(back.clone()), writer: Writer(out.clone()) };
    (tunnel, Reader(out), Writer(back))
}

impl Reader {
    /// Waits for bytes and takes at most `max` of them; `None` at the end. Cancel safe.
    pub(crate) async fn take(&mut self, max: usize) -> Option<Bytes> {
        poll_fn(|cx| {
            self.poll(cx, |bytes| {
                let count = bytes.len().min(max);
                bytes.split_to(count).freeze()
            })
        })
        .await
    }

    fn poll<T>(&self, cx: &Context<'_>, take: impl FnOnce(&mut BytesMut) -> T) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if !state.bytes.is_empty() {
            let taken = take(&mut state.bytes);
            let writer = state.writer.take();
            drop(state);
            wake(writer);
            return Poll::Ready(Some(taken));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.abandoned, state.bytes) = (true, BytesMut::new());
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}

impl Writer {
    /// Writes all of `bytes`, waiting for room; `false` if nobody will read them. Cancelled, a part may be written.
    pub(crate) async fn put(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let wrote = poll_fn(|cx| self.poll(cx, &[IoSlice::new(bytes)])).await;
            let Ok(count) = wrote else { return false };
            bytes = bytes.get(count..).unwrap_or_default();
        }
        true
    }

    /// Waits until nobody will read any more. Cancel safe.
    pub(crate) async fn abandoned(&mut self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.abandoned {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn poll(&self, cx: &Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.abandoned {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = ROOM.saturating_sub(state.bytes.len());
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut left = room;
        for slice in slices {
            let fits = slice.get(..left.min(slice.len())).unwrap_or_default();
            state.bytes.extend_from_slice(fits);
            left -= fits.len();
        }
        let reader = if left < room { state.reader.take() } else { None };
        drop(state);
        wake(reader);
        Poll::Ready(Ok(room - left))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let copied = self.reader.poll(cx, |bytes| {
            let count = bytes.len().min(into.remaining());
            into.put_slice(&bytes.split_to(count));
        });
        // At the end nothing was put, which says so.
        copied.map(|_| Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.poll(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer.poll(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.0.lock().ended = true;
        wake(self.writer.0.lock().reader.take());
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways_and_end() {
        let (mut tunnel, mut out, mut back) = tunnel();
        tunnel.write_all(b"there").await.unwrap();
        assert_eq!(out.take(2).await.as_deref(), Some(&b"th"[..]));
        assert_eq!(out.take(9).await.as_deref(), Some(&b"ere"[..]));
        assert!(back.put(b"back").await);
        drop(back);
        let mut got = Vec::new();
        tunnel.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"back");
        tunnel.write_all(b"last").await.unwrap();
        drop(tunnel);
        assert_eq!(out.take(9).await.as_deref(), Some(&b"last"[..]));
        assert_eq!(out.take(9).await, None);
    }

    #[tokio::test]
    async fn a_full_pipe_waits_for_its_reader() {
        let (mut tunnel, mut out, _back) = tunnel();
        let written = tokio::spawn(async move {
            tunnel.write_all(&[7; ROOM + 1]).await.unwrap();
        });
        let mut seen = 0;
        while let Some(bytes) = out.take(usize::MAX).await {
            assert!(bytes.len() <= ROOM);
            seen += bytes.len();
        }
        written.await.unwrap();
        assert_eq!(seen, ROOM + 1);
    }

    #[tokio::test]
    async fn who_writes_learns_that_nobody_reads() {
        let (mut tunnel, out, mut back) = tunnel();
        drop(out);
        assert_eq!(tunnel.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let waiting = tokio::spawn(async move {
            back.abandoned().await;
            back.put(b"x").await
        });
        drop(tunnel);
        assert!(!waiting.await.unwrap());
    }
}
