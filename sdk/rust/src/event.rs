//! What happens to a connection, told to the application.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;

use crate::{Client, Closed, queue::Queue};

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Built, or failed to open.
    Unopened,
    /// On its way to the first connection.
    Connecting,
    /// Calls go out.
    Connected,
    /// No new calls; answers still come.
    Leaving,
    /// The connection was lost; a new one is under way.
    Reconnecting,
    /// For good.
    Closed,
}

/// A change of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first connection is up.
    Connected,
    /// The connection ended. If another follows, [`Event::Reconnected`] tells, else the stream of events ends.
    Disconnected(Closed),
    /// Another connection is up. The server sees a new session: log in and subscribe again.
    Reconnected,
    /// The server asks to leave: no new call is sent, those in flight get their answers, then the connection ends.
    GoAway {
        /// Why, as a number.
        reason: u32,
        /// When to connect again.
        retry_after: Duration,
    },
    /// The server reports a fault that belongs to no call in flight, such as messages lost.
    Fault {
        /// The route it is about.
        route: i32,
        /// What went wrong, as a number.
        code: u32,
        /// The same for people.
        text: String,
    },
}

/// The events of one client in order. Holds 64; the oldest give way.
///
/// Ends when the client is closed for good. Keeps the connection open like a handle.
pub struct Events {
    queue: Arc<Queue<Event>>,
    client: Client,
}

impl Events {
    pub(crate) fn new(queue: Arc<Queue<Event>>, client: Client) -> Self {
        Self { queue, client }
    }

    /// The next event; `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.queue.poll_next(cx)).await
    }

    /// Events that gave way to newer ones.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll_next(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.client.line().forget_events(&self.queue);
    }
}
