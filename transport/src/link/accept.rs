//! The accepting side: who may come in, and to which link session a connection belongs.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due_core::{Owner, transport::Acceptor};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    end::End,
    greet::{self, LIMIT},
    port::{News, Port},
    socket,
};
use crate::{handshake::Hail, session, settings::Settings};

/// Connections that have not proven themselves.
const HALF_OPEN: usize = 64;
/// So long each of them is safe from those that come after it.
const PATIENCE: Duration = Duration::from_millis(500);
/// Link sessions of one address.
const SESSIONS: usize = 16 * 1024;
/// A pause after the system could not accept.
const PAUSE: Duration = Duration::from_millis(50);

/// What all connections to one address have in common.
pub(super) struct Door {
    settings: Arc<Settings>,
    own: Owner,
    acceptor: Arc<dyn Acceptor>,
    sessions: Arc<Sessions>,
}

/// The link sessions of one address that may get a new connection.
pub(super) struct Sessions {
    ports: Mutex<HashMap<Key, Weak<Port>>>,
    listening: AtomicBool,
}

/// The dialing instance, its shard and the nonce of the link session.
type Key = (Owner, u16, u128);

/// One link session in the list; dropping it takes it out.
pub(super) struct Place {
    sessions: Arc<Sessions>,
    key: Key,
}

impl Place {
    /// Can the dialer come back?
    pub(super) fn is_open(&self) -> bool {
        self.sessions.listening.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.ports().remove(&self.key);
    }
}

impl Sessions {
    fn ports(&self) -> MutexGuard<'_, HashMap<Key, Weak<Port>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps an address open.
pub(super) struct Open {
    task: AbortHandle,
    sessions: Arc<Sessions>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sessions.listening.store(false, Ordering::Release);
        self.task.abort();
    }
}

/// Starts to accept on the runtime that calls.
pub(super) fn start(listener: TcpListener, door: Door) -> Open {
    let sessions = door.sessions.clone();
    let task = tokio::spawn(run(listener, Arc::new(door))).abort_handle();
    Open { task, sessions }
}

async fn run(listener: TcpListener, door: Arc<Door>) {
    let mut greeting = JoinSet::new();
    let mut half_open: VecDeque<(Instant, AbortHandle)> = VecDeque::new();
    loop {
        while greeting.try_join_next().is_some() {}
        half_open.retain(|(_, task)| !task.is_finished());
        if let Some((since, _)) = half_open.front()
            && half_open.len() >= HALF_OPEN
        {
            // Strangers must not keep members out: the oldest goes, after it had its chance.
            if since.elapsed() < PATIENCE {
                let _ = timeout(PAUSE, greeting.join_next()).await;
            } else if let Some((_, oldest)) = half_open.pop_front() {
                oldest.abort();
            }
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let task = greeting.spawn(door.clone().greet(stream));
                half_open.push_back((Instant::now(), task));
            }
            Err(e) => {
                tracing::warn!(error = %e, "a link cannot be accepted; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Door {
    pub(super) fn new(settings: Arc<Settings>, own: Owner, acceptor: Arc<dyn Acceptor>) -> Self {
        let sessions = Arc::new(Sessions { ports: Mutex::default(), listening: AtomicBool::new(true) });
        Self { settings, own, acceptor, sessions }
    }

    /// Whatever goes wrong, the other side sees a closed connection and nothing else.
    async fn greet(self: Arc<Self>, mut stream: TcpStream) {
        let done = timeout(LIMIT, async {
            socket::prepare(&stream).ok()?;
            let (hail, proof) = greet::answer(&mut stream, &self.settings.keys, &self.own).await.ok()?;
            greet::write(&mut stream, &proof).await.ok()?;
            Some((hail, stream))
        });
        let Ok(Some((hail, stream))) = done.await else { return };
        if hail.resume { self.resume(&hail, stream).await } else { self.begin(hail, stream) }
    }

    fn begin(&self, hail: Hail, stream: TcpStream) {
        let Ok(stream) = stream.into_std() else { return };
        let key = key(&hail);
        let port = Arc::new(Port::default());
        {
            let mut ports = self.sessions.ports();
            if ports.len() >= SESSIONS || ports.contains_key(&key) {
                tracing::warn!(from = %hail.from.owner, "a link is refused: there are too many, or it exists already");
                return;
            }
            ports.insert(key.clone(), Arc::downgrade(&port));
        }
        let place = Place { sessions: self.sessions.clone(), key };
        self.acceptor.accept(hail.from, Box::new(End::accepted(stream, &self.settings, port, place)));
    }

    async fn resume(&self, hail: &Hail, mut stream: TcpStream) {
        let key = key(hail);
        let port = self.sessions.ports().get(&key).and_then(Weak::upgrade);
        match port {
            Some(port) => {
                if let Ok(stream) = stream.into_std() {
                    port.put(News::Connected(stream));
                }
            }
            None => {
                // The dialer is a member and waits for what is gone: it is told.
                let _ = stream.write_all(&session::farewell()).await;
                let _ = stream.shutdown().await;
            }
        }
    }
}

fn key(hail: &Hail) -> Key {
    (hail.from.owner.clone(), hail.from.shard, hail.nonce)
}
