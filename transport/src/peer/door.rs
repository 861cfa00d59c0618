//! The accepting side: who may come in, and to which link session a connection belongs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use due_core::{Owner, transport::Acceptor};
use tokio::{io::AsyncWriteExt, task::AbortHandle, time::timeout};

use super::{
    end::End,
    greet::{self, LIMIT},
    port::{News, Port},
    socket::Socket,
};
use crate::{handshake::Hail, session, settings::Settings};

/// Link sessions of one address.
const SESSIONS: usize = 16 * 1024;

/// What all connections to one address have in common.
pub(crate) struct Door {
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

impl Open {
    /// Keeps `task` accepting for `door`.
    pub(super) fn new(task: AbortHandle, door: &Door) -> Self {
        Self { task, sessions: door.sessions.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sessions.listening.store(false, Ordering::Release);
        self.task.abort();
    }
}

impl Door {
    pub(super) fn new(settings: Arc<Settings>, own: Owner, acceptor: Arc<dyn Acceptor>) -> Self {
        let sessions = Arc::new(Sessions { ports: Mutex::default(), listening: AtomicBool::new(true) });
        Self { settings, own, acceptor, sessions }
    }

    /// Whatever goes wrong, the other side sees a closed connection and nothing else.
    /// `proven` is called when the other side is a member, before it learns that.
    pub(crate) async fn greet(self: Arc<Self>, mut stream: Socket, proven: impl FnOnce() + Send) {
        let done = timeout(LIMIT, async {
            stream.prepare().ok()?;
            let (hail, proof) = greet::answer(&mut stream, &self.settings.keys, &self.own).await.ok()?;
            proven();
            greet::write(&mut stream, &proof).await.ok()?;
            Some((hail, stream))
        });
        let Ok(Some((hail, stream))) = done.await else { return };
        if hail.resume { self.resume(&hail, stream).await } else { self.begin(hail, stream) }
    }

    fn begin(&self, hail: Hail, stream: Socket) {
        let Ok(stream) = stream.park() else { return };
        let key = key(&hail);
        let port = Arc::new(Port::default());
        {
            let mut ports = self.sessions.ports();
            if !self.sessions.listening.load(Ordering::Acquire) {
                return;
            }
            if ports.len() >= SESSIONS || ports.contains_key(&key) {
                tracing::warn!(from = %hail.from.owner, "a link is refused: there are too many, or it exists already");
                return;
            }
            ports.insert(key.clone(), Arc::downgrade(&port));
        }
        let place = Place { sessions: self.sessions.clone(), key };
        self.acceptor.accept(hail.from, Box::new(End::accepted(stream, &self.settings, port, place)));
    }

    async fn resume(&self, hail: &Hail, mut stream: Socket) {
        let key = key(hail);
        let port = self.sessions.ports().get(&key).and_then(Weak::upgrade);
        match port {
            Some(port) => {
                if let Ok(stream) = stream.park() {
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
