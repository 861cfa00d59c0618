//! A client of the cluster, by the constants that it shares with the servers.

mod answer;
mod driver;
mod shared;

use std::{sync::Arc, time::Duration};

use due_core::{Call, Codec, Drivers, Notify, Push, Result, RouteDef, Url, units};
use due_protocol::due::{Dialect, Hello};
use tokio::task::AbortHandle;

pub use answer::{Answer, CallError, Ended};
use driver::Driver;
use shared::Shared;

/// How long a client waits for anything.
const LIMIT: Duration = Duration::from_secs(60);
/// Heartbeats where the listener says nothing; half of what a gate expects.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// One client connection. It sends heartbeats and takes in what arrives in the background, also while the test does
/// something else. Dropped, its connection breaks.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    driver: AbortHandle,
    gate: String,
}

impl Client {
    /// Connects; with `hello` it waits for the welcome, or for the end of the connection.
    pub(super) async fn connect(
        drivers: &Drivers,
        gate: &str,
        listener: &Url,
        hello: Option<serde_json::Value>,
    ) -> Result<Self> {
        let (dialect, _) = Dialect::from_url(listener)?;
        let address = Url::parse(&format!("memory://{}{}", listener.host(), listener.path()))?;
        let conn = drivers.network.open(&address).await?.connect(&address).await?;
        let beat = match listener.value("heartbeat") {
            Some("off") => Duration::ZERO,
            Some(text) => units::duration(text)? / 2,
            None => HEARTBEAT,
        };
        let shared = Arc::new(Shared::new(dialect, conn.framing()));
        let said_hello = hello.is_some();
        if let Some(payload) = hello {
            shared.put_hello(&Hello::new(payload))?;
        }
        let driver = tokio::spawn(Driver::new(conn, shared.clone(), beat)).abort_handle();
        let client = Self { shared, driver, gate: gate.to_owned() };
        if said_hello {
            let _ = client.shared.until(LIMIT, |state| state.welcomed.then_some(())).await;
        }
        Ok(client)
    }

    /// The gate it is connected to.
    pub fn gate(&self) -> &str {
        &self.gate
    }

    /// Asks, and waits for the one answer, at most 60 s. Any number of calls may wait at once.
    pub async fn call<Q, P, C: Codec<Q> + Codec<P>>(&self, call: Call<Q, P, C>, request: &Q) -> Result<P, CallError> {
        self.send(call, request)?.await_within(LIMIT).await
    }

    /// Asks now; the answer can be awaited later. Requests are sent in the order of these calls.
    pub fn send<Q, P, C: Codec<Q> + Codec<P>>(
        &self,
        call: Call<Q, P, C>,
        request: &Q,
    ) -> Result<Answer<P, C>, CallError> {
        let body = encode::<Q, C>(request)?;
        let answer = self.shared.put_request(call.def(), &body)?;
        Ok(Answer::new(answer))
    }

    /// Sends without an answer. What the gate does not read yet waits here without limit.
    pub fn notify<Q, C: Codec<Q>>(&self, notify: Notify<Q, C>, message: &Q) -> Result<(), CallError> {
        let body = encode::<Q, C>(message)?;
        self.shared.put_notify(notify.def(), &body)
    }

    /// Sends a notify with a sequence number, as a hello client may; the answer is empty.
    pub async fn confirmed<Q, C: Codec<Q> + Codec<()>>(
        &self,
        notify: Notify<Q, C>,
        message: &Q,
    ) -> Result<(), CallError> {
        let body = encode::<Q, C>(message)?;
        let answer = self.shared.put_request(notify.def(), &body)?;
        Answer::<(), C>::new(answer).await_within(LIMIT).await
    }

    /// The next push of this route, in the order they came, also one that came before; waits at most 60 s.
    pub async fn next<T, C: Codec<T>>(&self, push: Push<T, C>) -> Result<T, CallError> {
        let body = self.shared.until(LIMIT, |state| state.push_of(push.def().id)).await?;
        decode::<T, C>(&body)
    }

    /// The pushes of this route that have come and were not taken yet.
    pub fn arrived<T, C: Codec<T>>(&self, push: Push<T, C>) -> Result<Vec<T>, CallError> {
        let RouteDef { id, .. } = push.def();
        self.shared.all_of(id).iter().map(|body| decode::<T, C>(body)).collect()
    }

    /// Waits for the end of the connection, at most 60 s, and says how it ended. `None`: it lives.
    pub async fn closed(&self) -> Option<Ended> {
        self.shared.end_within(LIMIT).await
    }

    /// How the connection ended; `None` as long as it lives.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// Reads the connection or stops doing so; what arrives meanwhile waits in the network. A client that does not read
    /// sends heartbeats all the same.
    pub fn read(&self, on: bool) {
        self.shared.read(on);
    }

    /// Breaks the connection, as a client does that vanishes.
    pub fn hang_up(&self) {
        self.driver.abort();
        self.shared.end(Ended::Closed);
    }

    /// Answers to requests that were answered before or never made: 0, or the server broke its word.
    pub fn strays(&self) -> u64 {
        self.shared.strays()
    }

    /// Code and text of each error that belongs to no request: notifies that were refused or lost.
    pub fn notices(&self) -> Vec<(u32, String)> {
        self.shared.notices()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn encode<T, C: Codec<T>>(value: &T) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    C::default().encode(value, &mut body).map_err(|e| CallError::Codec(e.to_string()))?;
    Ok(body)
}

fn decode<T, C: Codec<T>>(body: &[u8]) -> Result<T, CallError> {
    C::default().decode(body).map_err(|e| CallError::Codec(e.to_string()))
}
