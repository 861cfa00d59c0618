//! The one connection of a bus: requests and what subscribers get. Made anew in the background, subscriptions first.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use due_core::{Error, Result};
use redis::{Pipeline, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    fault,
    hub::Hub,
    target::{Push, Target, is_primary},
};

/// How often the other end is asked whether it is still the primary; a silent one is given up after as long again.
const LOOK: Duration = Duration::from_secs(2);
/// First and longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Requests to one server. Ends with its last handle.
pub(super) struct Line {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

struct Shared {
    target: Target,
    hub: Arc<Hub>,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    /// A connection is being made; no attempt has failed yet.
    Dialing,
    Up(Link),
    /// The last attempt failed for this reason.
    Down(Arc<str>),
}

#[derive(Clone)]
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) serial: u64,
}

impl Line {
    /// Connects, and fails if that is not possible now.
    pub(super) async fn open(target: Target, hub: Arc<Hub>) -> Result<Self> {
        let shared = Arc::new(Shared { target, hub, state: watch::Sender::new(State::Dialing) });
        let link = shared.dial(0).await?;
        shared.state.send_replace(State::Up(link));
        let keeper = tokio::spawn(keep(shared.clone())).abort_handle();
        Ok(Self { shared, keeper })
    }

    /// The address as it may be shown.
    pub(super) fn url(&self) -> &due_core::Url {
        self.shared.target.url()
    }

    /// Fails with `BusDown` while there is no connection.
    pub(super) fn check_up(&self) -> Result<()> {
        match &*self.shared.state.borrow() {
            State::Up(_) => Ok(()),
            State::Dialing => Err(fault::down(self.shared.target.url(), "a connection is being made")),
            State::Down(why) => Err(fault::down(self.shared.target.url(), why)),
        }
    }

    /// Sends requests together and waits for their answers, until `by`: `BusDown` if they were not sent, `Timeout` if
    /// they may have arrived.
    pub(super) async fn ask(&self, requests: &Pipeline, by: Instant) -> Result<Vec<Value>> {
        let url = self.shared.target.url();
        let Link { mut connection, serial } = self.link(by).await?;
        let sent = timeout_at(by, connection.send_packed_commands(requests, 0, requests.len())).await;
        let why = match sent {
            Ok(Ok(values)) => {
                let moved = values.iter().any(|v| matches!(v, Value::ServerError(e) if fault::is_elsewhere(e)));
                if moved {
                    self.broke(serial);
                }
                return Ok(values);
            }
            Ok(Err(error)) if !error.is_io_error() => return Err(fault::connecting(url, error)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        self.broke(serial);
        Err(fault::unheard(url, &why))
    }

    /// The one answer to one request.
    pub(super) async fn ask_one(&self, request: redis::Cmd, by: Instant) -> Result<Value> {
        let mut pipe = Pipeline::new();
        pipe.add_command(request);
        match self.ask(&pipe, by).await?.pop() {
            Some(Value::ServerError(cause)) => Err(self.refused(&cause)),
            Some(answer) => Ok(answer),
            None => Err(fault::odd("request")),
        }
    }

    pub(super) fn refused(&self, cause: &redis::ServerError) -> Error {
        fault::refused(self.shared.target.url(), cause)
    }

    /// The connection, waiting for one that is being made.
    pub(super) async fn link(&self, by: Instant) -> Result<Link> {
        let mut state = self.shared.state.subscribe();
        let settled = async {
            match state.wait_for(|state| !matches!(state, State::Dialing)).await.map(|state| state.clone()) {
                Ok(State::Up(link)) => Ok(link),
                Ok(State::Down(why)) => Err(why),
                _ => Err("it is closed".into()),
            }
        };
        let link = timeout_at(by, settled).await.unwrap_or_else(|_| Err("the connection is still being made".into()));
        link.map_err(|why| fault::down(self.shared.target.url(), &why))
    }

    /// Returns when there is a connection.
    pub(super) async fn up(&self) {
        let mut state = self.shared.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Up(_))).await;
    }

    /// Which connection it is; rises with each one.
    pub(super) fn serial(&self) -> Option<u64> {
        match &*self.shared.state.borrow() {
            State::Up(link) => Some(link.serial),
            _ => None,
        }
    }

    /// The connection is of no use any more.
    pub(super) fn broke(&self, serial: u64) {
        self.shared.broke(serial);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.keeper.abort();
        self.shared.hub.close();
    }
}

impl Shared {
    async fn dial(self: &Arc<Self>, serial: u64) -> Result<Link> {
        self.hub.begin(serial);
        let weak = Arc::downgrade(self);
        let push: Push = Arc::new(move |info: PushInfo| on_push(&weak, serial, info));
        let mut connection = self.target.dial(push).await?;
        match timeout(LOOK, self.hub.subscribe_all(&mut connection)).await {
            Ok(Ok(())) => Ok(Link { connection, serial }),
            Ok(Err(error)) => Err(fault::connecting(self.target.url(), error)),
            Err(_) => Err(fault::down(self.target.url(), "subscriptions are not confirmed")),
        }
    }

    fn broke(&self, serial: u64) {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Up(link) if link.serial == serial);
            if is_it {
                *state = State::Dialing;
            }
            is_it
        });
    }
}

fn on_push(shared: &Weak<Shared>, serial: u64, info: PushInfo) {
    let Some(shared) = shared.upgrade() else { return };
    match info.kind {
        PushKind::Disconnection => shared.broke(serial),
        _ => shared.hub.on_push(serial, info),
    }
}

/// Makes connections for as long as there is a line.
async fn keep(shared: Arc<Shared>) {
    let mut pause = PAUSE.0;
    for serial in 1.. {
        until_broken(&shared).await;
        match shared.dial(serial).await {
            Ok(link) => {
                pause = PAUSE.0;
                shared.state.send_replace(State::Up(link));
                tracing::info!(url = %shared.target.url(), "the event bus is back");
            }
            Err(error) => {
                note(&shared, &error);
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// Returns when a new connection is needed.
async fn until_broken(shared: &Arc<Shared>) {
    let mut state = shared.state.subscribe();
    loop {
        let State::Up(link) = state.borrow_and_update().clone() else { return };
        tokio::select! {
            _ = state.changed() => continue,
            () = sleep(LOOK) => {}
        }
        let (mut connection, serial) = (link.connection, link.serial);
        let seen = timeout(LOOK, is_primary(&mut connection)).await;
        if !matches!(seen, Ok(Ok(true))) {
            tracing::warn!(url = %shared.target.url(), "redis does not answer as a primary; connecting anew");
            shared.broke(serial);
        }
    }
}

fn note(shared: &Shared, error: &Error) {
    let was_down = matches!(*shared.state.borrow(), State::Down(_));
    if !was_down {
        tracing::warn!(url = %shared.target.url(), error = ?error, "the event bus cannot be reached; trying on");
    }
    shared.state.send_replace(State::Down(format!("{error:?}").into()));
}
