//! A link as one task uses it.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use due_core::transport::{Batch, Head, Link, Part, Refused};
use tokio::sync::mpsc;

/// A frame to send.
pub(super) type Out = (Head, Vec<u8>);

/// Frames taken at once.
const FRAMES: usize = 256;

/// A link and the frames that wait for room on it.
pub(super) struct Line {
    link: Box<dyn Link>,
    batch: Batch,
    waiting: VecDeque<Out>,
}

impl Line {
    pub(super) fn new(link: Box<dyn Link>) -> Self {
        Self { link, batch: Batch::default(), waiting: VecDeque::new() }
    }

    /// Sends frames before all others that come later.
    pub(super) fn queue(&mut self, frames: impl Iterator<Item = Out>) {
        self.waiting.extend(frames);
    }

    /// Sends what `jobs` brings, made into a frame by `frame`, until frames have come; `None` when the link is over or
    /// `jobs` is closed. While the link is full no job is taken.
    pub(super) async fn next<J>(
        &mut self,
        jobs: &mut mpsc::Receiver<J>,
        mut frame: impl FnMut(J) -> Option<Out>,
    ) -> Option<&Batch> {
        self.batch.clear();
        poll_fn(|cx| self.poll(cx, jobs, &mut frame)).await?;
        Some(&self.batch)
    }

    fn poll<J>(
        &mut self,
        cx: &mut Context<'_>,
        jobs: &mut mpsc::Receiver<J>,
        frame: &mut impl FnMut(J) -> Option<Out>,
    ) -> Poll<Option<()>> {
        loop {
            match self.poll_send(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => break,
            }
            match jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => self.waiting.extend(frame(job)),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = self.link.poll_flush(cx) {
            return Poll::Ready(None);
        }
        match self.link.poll_recv(cx, &mut self.batch, FRAMES) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Some(())),
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when nothing waits for room any more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        while let Some((head, body)) = self.waiting.front() {
            match self.link.send(*head, Part::Copy(body)) {
                // One that no link takes would stop all behind it; who waits for it runs into its limit.
                Ok(()) | Err(Refused::TooLarge) => drop(self.waiting.pop_front()),
                Err(Refused::Gone) => return Poll::Ready(Err(Refused::Gone)),
                Err(Refused::Full) => match self.link.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}
