//! What the server sends unasked.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::{Codec, CodecError, RouteId};
use futures_util::Stream;

use crate::{
    Client,
    queue::Queue,
    sealed::{Seal, decoded},
};

/// The pushes of one route, in order. From [`Client::pushes`].
///
/// Bounded: while nobody reads, the oldest give way to the newest and [`PushStream::lost`] counts them. It lives through
/// reconnects, keeps the connection open like a handle, and ends when the client is closed for good.
#[must_use = "a stream that is dropped receives nothing"]
pub struct PushStream<T, C> {
    queue: Arc<Queue<Bytes>>,
    client: Client,
    route: RouteId,
    seal: Seal,
    types: PhantomData<fn() -> (T, C)>,
}

impl<T, C: Codec<T>> PushStream<T, C> {
    pub(crate) fn new(queue: Arc<Queue<Bytes>>, client: Client, route: RouteId) -> Self {
        let seal = client.seal();
        Self { queue, client, route, seal, types: PhantomData }
    }

    /// The next push, or the error of one that the codec cannot read or the encryptor not decrypt; `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<T, CodecError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CodecError>>> {
        self.queue.poll_next(cx).map(|body| body.map(|body| decoded::<T, C>(&self.seal, self.route, &body)))
    }
}

impl<T, C> PushStream<T, C> {
    /// Pushes that gave way because nobody read them in time.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }
}

impl<T, C: Codec<T>> Stream for PushStream<T, C> {
    type Item = Result<T, CodecError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<T, C> Drop for PushStream<T, C> {
    fn drop(&mut self) {
        self.client.line().forget_pushes(self.route.0, &self.queue);
    }
}

impl<T, C> fmt::Debug for PushStream<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushStream").field("route", &self.route).field("lost", &self.lost()).finish_non_exhaustive()
    }
}

/// A push that no [`PushStream`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPush {
    /// Its route's number.
    pub route: RouteId,
    /// The body, not looked into.
    pub body: Bytes,
}

/// The pushes of all routes without a [`PushStream`], in order; bounded like one. From [`Client::unclaimed`].
#[must_use = "a stream that is dropped receives nothing"]
pub struct RawStream {
    queue: Arc<Queue<RawPush>>,
    client: Client,
}

impl RawStream {
    pub(crate) fn new(queue: Arc<Queue<RawPush>>, client: Client) -> Self {
        Self { queue, client }
    }

    /// The next push; `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<RawPush> {
        std::future::poll_fn(|cx| self.queue.poll_next(cx)).await
    }

    /// Pushes that gave way because nobody read them in time.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }
}

impl Stream for RawStream {
    type Item = RawPush;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RawPush>> {
        self.queue.poll_next(cx)
    }
}

impl Drop for RawStream {
    fn drop(&mut self) {
        self.client.line().forget_unclaimed(&self.queue);
    }
}
