//! The handle of a client.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use due_core::{Call, Class, Codec, Notify, Push, Result};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Answer, Builder, CallError, Closed, Events, PushStream, RawStream, State,
    hub::Peer,
    line::Line,
    sealed::{Seal, encoded},
};

/// A client of one server: cheap to clone, usable from any thread.
///
/// Clones are the same client, with one connection at a time. It ends when [`Client::close`] is called or the last handle
/// and stream are dropped; both let calls in flight finish. All queues are bounded: what does not fit is
/// [`CallError::Full`] at once, and [`Client::ready`] waits for room.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

struct Handle(Arc<Peer>, Seal);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.line().let_go();
        self.0.queue();
    }
}

/// Counters of one client since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Answers for which nobody waited: late, or of calls that never were.
    pub late: u64,
    /// Pushes of routes without a stream, while there was no stream for unclaimed ones.
    pub unclaimed: u64,
    /// Connections after the first.
    pub reconnects: u64,
}

impl Client {
    pub(crate) fn new(peer: Arc<Peer>, seal: Seal) -> Self {
        Self { handle: Arc::new(Handle(peer, seal)) }
    }

    /// Connects with the settings of the URL; see the crate's page for its keys. [`Client::builder`] has the rest.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Sets up a client of this address.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn seal(&self) -> Seal {
        self.handle.1.clone()
    }

    pub(crate) fn line(&self) -> MutexGuard<'_, Line> {
        self.handle.0.line()
    }

    /// Connects and, unless it speaks the old format, waits for the welcome. `Ok` at once if it was connected before.
    ///
    /// Errors: `Unavailable` if nobody answers, what the server's kick says if it refuses the hello, `Config` for what the
    /// network cannot read in the URL; it may then be opened again. `Gone` once the client is closed. Dropping the future
    /// lets the attempt go on.
    pub async fn open(&self) -> Result<()> {
        self.line().open(Instant::now());
        self.handle.0.queue();
        poll_fn(|cx| self.line().poll_opened(cx)).await
    }

    /// Sends a request now and gives its answer as a future. See [`Answer`] for order and cancellation.
    pub fn call<Q, P, C>(&self, call: Call<Q, P, C>, request: &Q) -> Answer<P, C>
    where
        C: Codec<Q> + Codec<P>,
    {
        let limit = self.line().set.timeout;
        self.call_timeout(call, request, limit)
    }

    /// The same with a time limit of its own, kept to 10 ms. [`CallError::Timeout`] after it.
    pub fn call_timeout<Q, P, C>(&self, call: Call<Q, P, C>, request: &Q, limit: Duration) -> Answer<P, C>
    where
        C: Codec<Q> + Codec<P>,
    {
        let (route, seal) = (call.def().id, &self.handle.1);
        let sent = encoded::<Q, C>(seal, route, request).and_then(|body| {
            let now = Instant::now();
            let due = now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400));
            self.line().call(route.0, &body, due)
        });
        if sent.is_ok() {
            self.handle.0.queue();
        }
        Answer::new(sent, route, seal.clone())
    }

    /// Sends a message that has no answer. `Ok` means queued: it is lost if the connection breaks before it arrives.
    pub fn notify<Q, C: Codec<Q>>(&self, notify: Notify<Q, C>, message: &Q) -> Result<(), CallError> {
        let route = notify.def().id;
        let body = encoded::<Q, C>(&self.handle.1, route, message)?;
        self.line().notify(route.0, &body)?;
        self.handle.0.queue();
        Ok(())
    }

    /// The pushes of a route from now on. Several streams of one route each get all of them. A push that is
    /// [`Push::latest`] keeps the newest only.
    pub fn pushes<T, C: Codec<T>>(&self, push: Push<T, C>) -> PushStream<T, C> {
        let def = push.def();
        let queue = self.line().claim(def.id.0, def.flags.class == Class::Latest);
        PushStream::new(queue, self.clone(), def.id)
    }

    /// The pushes of all routes that have no stream, from now on.
    pub fn unclaimed(&self) -> RawStream {
        let queue = self.line().claim_rest();
        RawStream::new(queue, self.clone())
    }

    /// What happens to the connection from now on; begins with [`Event::Connected`](crate::Event::Connected) if it is up.
    pub fn events(&self) -> Events {
        let queue = self.line().watch();
        Events::new(queue, self.clone())
    }

    /// Waits until calls go out: connected, half of the outbox free, one more call possible. While it reconnects this
    /// waits for the next connection. The error tells why there is none to come. Cancel safe.
    pub async fn ready(&self) -> Result<(), Closed> {
        poll_fn(|cx| self.line().poll_ready(cx)).await
    }

    /// Takes no new calls, lets those in flight end, sends what is queued, says goodbye, and waits until the connection
    /// is gone: no longer than the limit of the last call and 2 s. Dropping the future changes nothing.
    pub async fn close(&self) {
        self.line().leave(Closed::Local);
        self.handle.0.queue();
        self.closed().await;
    }

    /// Waits until the client is closed for good and tells why. A lost connection that is to be replaced does not count.
    /// Cancel safe.
    pub async fn closed(&self) -> Closed {
        poll_fn(|cx| self.line().poll_closed(cx)).await
    }

    /// Where the client stands now.
    pub fn state(&self) -> State {
        self.line().state()
    }

    /// Its counters.
    pub fn stat(&self) -> Stat {
        self.line().stat()
    }

    /// What the hello of the next connection carries, such as a fresh token.
    pub fn set_payload(&self, payload: impl Into<Value>) {
        self.line().payload = payload.into();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line();
        f.debug_struct("Client").field("url", &line.set.url).field("state", &line.state()).finish_non_exhaustive()
    }
}
