//! One connection for requests that is kept: made anew in the background, with a limit of time on every request.

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
    target::{Push, Target, is_primary},
};

/// How often an idle connection is asked whether its end is still the primary.
const LOOK: Duration = Duration::from_secs(2);
/// First and longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a request does if it is made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Reads,
    /// It writes, and twice is as good as once.
    Repeatable,
    /// It writes, and must not be repeated.
    Once,
}

/// Requests to one server. Ends with its last handle.
pub(super) struct Line {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

struct Shared {
    target: Arc<Target>,
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
struct Link {
    connection: MultiplexedConnection,
    serial: u64,
}

impl Line {
    /// Connects, and fails if that is not possible now.
    pub(super) async fn open(target: Arc<Target>) -> Result<Self> {
        let shared = Arc::new(Shared { target, state: watch::Sender::new(State::Dialing) });
        let link = shared.dial(0).await?;
        shared.state.send_replace(State::Up(link));
        let keeper = tokio::spawn(keep(shared.clone())).abort_handle();
        Ok(Self { shared, keeper })
    }

    /// Where it leads.
    pub(super) fn target(&self) -> &Arc<Target> {
        &self.shared.target
    }

    /// Sends requests together and waits for their answers, until `by`. Without a connection it waits for the attempt
    /// under way, and no longer. What breaks half-way is tried once more where that is harmless.
    pub(super) async fn ask(&self, requests: &Pipeline, effect: Effect, by: Instant) -> Result<Vec<Value>> {
        let url = self.shared.target.url();
        let mut broken = false;
        loop {
            let link = match self.shared.link(by).await {
                Err(why) if broken && effect != Effect::Reads => return Err(fault::unheard(url, &why)),
                Err(why) => return Err(fault::down(url, &why)),
                Ok(link) => link,
            };
            let serial = link.serial;
            let sent = timeout_at(by, send(link.connection, requests)).await;
            let why = match sent {
                Ok(Ok(values)) => return self.heard(values, serial),
                Ok(Err(error)) if !error.is_io_error() => return Err(fault::connecting(url, error)),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            self.shared.broke(serial);
            let again = !broken && effect != Effect::Once && Instant::now() < by;
            match effect {
                _ if again => broken = true,
                Effect::Reads => return Err(fault::down(url, &why)),
                _ => return Err(fault::unheard(url, &why)),
            }
        }
    }

    fn heard(&self, values: Vec<Value>, serial: u64) -> Result<Vec<Value>> {
        for value in &values {
            let Value::ServerError(cause) = value else { continue };
            if fault::is_elsewhere(cause) {
                self.shared.broke(serial);
            }
            // The caller sends a script that the server does not know; another's numbers are its own matter too.
            if !["NOSCRIPT", "ERR", "WRONGTYPE"].contains(&cause.code()) {
                return Err(fault::refused(self.shared.target.url(), cause));
            }
        }
        Ok(values)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    async fn dial(self: &Arc<Self>, serial: u64) -> Result<Link> {
        let weak = Arc::downgrade(self);
        let push: Push = Arc::new(move |info: PushInfo| on_push(&weak, serial, &info));
        let connection = self.target.dial(push).await?;
        Ok(Link { connection, serial })
    }

    /// The connection, waiting for one that is being made.
    async fn link(&self, by: Instant) -> Result<Link, Arc<str>> {
        let mut state = self.state.subscribe();
        let settled = async {
            loop {
                match &*state.borrow_and_update() {
                    State::Up(link) => return Ok(link.clone()),
                    State::Down(why) => return Err(why.clone()),
                    State::Dialing => {}
                }
                if state.changed().await.is_err() {
                    return Err("it is closed".into());
                }
            }
        };
        timeout_at(by, settled).await.unwrap_or_else(|_| Err("the connection is still being made".into()))
    }

    /// The connection is of no use any more.
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

fn on_push(shared: &Weak<Shared>, serial: u64, info: &PushInfo) {
    if info.kind == PushKind::Disconnection
        && let Some(shared) = shared.upgrade()
    {
        shared.broke(serial);
    }
}

async fn send(mut connection: MultiplexedConnection, requests: &Pipeline) -> redis::RedisResult<Vec<Value>> {
    connection.send_packed_commands(requests, 0, requests.len()).await
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
                tracing::info!(url = %shared.target.url(), "redis is back");
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
        tracing::warn!(url = %shared.target.url(), error = ?error, "redis cannot be reached; trying on");
    }
    shared.state.send_replace(State::Down(format!("{error:?}").into()));
}
