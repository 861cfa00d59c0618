//! How a client is set up.

use std::{fmt, sync::Arc, time::Duration};

use due_core::{Drivers, Encryptor, Error, Result};
use serde_json::Value;

use crate::{Backoff, Client, EventLoop, line::Line, settings::Settings};

/// Sets up clients of one address. Its clones and all clients built from it share the settings, so thousands of them
/// cost little. What is set here stands over what the URL says; a wrong value is an error of [`Builder::build`].
#[derive(Clone)]
#[must_use = "end with `connect` or `build`"]
pub struct Builder {
    /// Or what is wrong with the URL.
    set: std::result::Result<Arc<Settings>, String>,
    payload: Value,
    on: Option<EventLoop>,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        let set = Settings::of(url).map(Arc::new).map_err(|e| e.text().to_owned());
        Self { set, payload: Value::Null, on: None }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Ok(set) = &mut self.set {
            change(Arc::make_mut(set));
        }
        self
    }

    /// Finds the network among these, for `memory://` and networks of one's own. Default: those compiled in.
    pub fn drivers(self, drivers: Drivers) -> Self {
        self.with(|set| set.drivers = drivers)
    }

    /// Says hello (the default wherever the format has a seq), or speaks the old format of due v2, in which the server
    /// can report no errors. Key `hello`.
    pub fn hello(self, on: bool) -> Self {
        self.with(|set| set.hello = Some(on))
    }

    /// What the hello carries for the application, such as a login token. [`Client::set_payload`] renews it.
    pub fn payload(mut self, payload: impl Into<Value>) -> Self {
        self.payload = payload.into();
        self
    }

    /// How often to send a heartbeat: 10 ms to a day, zero for never. The client ends a connection on which nothing came
    /// for two of these. Default 10 s. Key `heartbeat`.
    pub fn heartbeat(self, every: Duration) -> Self {
        self.with(|set| set.heartbeat = every)
    }

    /// How long a call waits for its answer, and a hello for its welcome: 10 ms to a day. Default 5 s. Key `timeout`.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|set| set.timeout = limit)
    }

    /// Connects again after a lost connection, for ever, unless [`Closed::may_return`](crate::Closed::may_return) or the
    /// network says that it cannot help. The server sees a new session each time. Off by default. Key `reconnect=on`.
    pub fn reconnect(self, backoff: Backoff) -> Self {
        self.with(|set| set.reconnect = Some(backoff))
    }

    /// Bytes that may wait to be sent: 1 B to 1 GiB; a single message may be larger. Default 1 MiB. Key `outbox`.
    pub fn outbox(self, bytes: usize) -> Self {
        self.with(|set| set.outbox = bytes)
    }

    /// Calls that may wait for their answers: 1 to 1,048,576, and no more than the width of seq has numbers.
    /// Default 1,024. Key `in-flight`.
    pub fn in_flight(self, calls: usize) -> Self {
        self.with(|set| set.in_flight = calls)
    }

    /// Messages that each stream of pushes holds: 1 to 1,048,576. Default 256. Key `pushes`.
    pub fn push_queue(self, messages: usize) -> Self {
        self.with(|set| set.pushes = messages)
    }

    /// Encrypts bodies as a node with an `encryptor` expects: those of calls and notifies are encrypted, those of answers
    /// and pushes decrypted. Bytes of the codec [`Raw`](crate::Raw) and of [`Client::unclaimed`] come as they are: nodes do
    /// not encrypt what their applications send so. Errors of the server and the hello are not encrypted.
    ///
    /// A body that cannot be decrypted is the error of an answer or push that does not decode. [`Builder::build`] fails
    /// with `Config` if `by` can only encrypt or only decrypt.
    pub fn encryptor(self, by: Arc<dyn Encryptor>) -> Self {
        self.with(|set| set.encryptor = Some(by))
    }

    /// Drives the clients on this event loop. Default: each on one of its own.
    pub fn on(mut self, event_loop: &EventLoop) -> Self {
        self.on = Some(event_loop.clone());
        self
    }

    /// A client that is not connected yet: take its streams, so that no push is missed, then [`Client::open`] it.
    /// A `Config` error names the setting that is wrong.
    pub fn build(self) -> Result<Client> {
        let set = self.set.map_err(Error::config)?;
        set.check()?;
        let event_loop = self.on.map_or_else(EventLoop::start, Ok)?;
        let seal = set.encryptor.clone();
        Ok(Client::new(event_loop.hub().add(Line::new(set, self.payload))?, seal))
    }

    /// Builds a client and opens it. Errors are those of [`Builder::build`] and [`Client::open`].
    pub async fn connect(self) -> Result<Client> {
        let client = self.build()?;
        client.open().await?;
        Ok(client)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Builder");
        match &self.set {
            Ok(set) => shown.field("url", &set.url).field("dialect", &set.dialect).finish_non_exhaustive(),
            Err(e) => shown.field("error", e).finish(),
        }
    }
}
