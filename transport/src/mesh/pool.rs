//! Connections to the members of a target, one each, kept up.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use due_core::{
    Error, Kind, Result, Url,
    id::Owner,
    registry::{Instance, InstanceKind, Registry, State, View, Watch},
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::{
    SERVICES,
    pick::{Candidate, pick},
    target::{Place, Target},
};

/// Resolves when a connection is over.
pub(crate) type Closed = oneshot::Receiver<()>;

/// How one connection is made.
pub(crate) trait Connect: Send + Sync + 'static {
    /// A connection; clones are the same one.
    type Conn: Clone + Send + Sync + 'static;
    /// The scheme of the endpoints it can reach.
    const SCHEME: &'static str;

    /// Connects to `host:port`, within 5 s.
    fn connect(&self, host: &str, insecure: bool) -> impl Future<Output = Result<(Self::Conn, Closed)>> + Send;
}

/// First and longest pause between two tries to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A member, by whom and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    owner: Option<Owner>,
    host: String,
}

/// The members of a target. Clones are the same pool; it ends with the last of them.
pub(crate) struct Pool<C: Connect> {
    shared: Arc<Shared<C>>,
    _follows: Arc<Abort>,
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), _follows: self._follows.clone() }
    }
}

/// A connection that was picked, and whose it is.
#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only grpc can tell that a call was not sent"))]
pub(crate) struct Lease<T> {
    pub(crate) key: Key,
    pub(crate) conn: T,
}

#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only grpc can tell that a call was not sent"))]
impl<T> Lease<T> {
    /// The address it reaches.
    pub(crate) fn host(&self) -> &str {
        &self.key.host
    }
}

struct Shared<C: Connect> {
    target: Target,
    connect: C,
    members: Mutex<HashMap<Key, Member<C::Conn>>>,
    /// Somebody became usable.
    changed: Notify,
}

struct Member<T> {
    candidate: Candidate,
    conn: Option<T>,
    /// Why there is no connection.
    why: Option<String>,
    _keeps: Abort,
}

/// Stops a task when dropped.
struct Abort(JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<C: Connect> Pool<C> {
    /// Opens the pool of `target`; its tasks run on the caller's runtime. `registry` is asked for `discovery://` only.
    pub(crate) async fn open(registry: Option<&dyn Registry>, target: &str, connect: C) -> Result<Self> {
        let target = Target::parse(target)?;
        let watch = match (&target.place, registry) {
            (Place::At(_), _) => None,
            (Place::Named(_), Some(registry)) => Some(registry.watch(InstanceKind::Mesh).await?),
            (Place::Named(_), None) => {
                return Err(Error::config(format!("{} needs a registry: only direct:// does without", target.url)));
            }
        };
        let (members, changed) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { target, connect, members, changed });
        let follows = match watch {
            Some(watch) => {
                shared.show(&watch.view());
                tokio::spawn(follow(Arc::downgrade(&shared), watch))
            }
            None => {
                shared.fixed();
                tokio::spawn(std::future::ready(()))
            }
        };
        Ok(Self { shared, _follows: Arc::new(Abort(follows)) })
    }

    /// Picks a connection that was not `tried`. Waits for one until `until`. Errors: `Unavailable`, naming the target
    /// and what is wrong with its members.
    pub(crate) async fn pick(&self, tried: &mut Vec<Key>, until: Instant) -> Result<Lease<C::Conn>> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, or a change in between is missed.
            changed.as_mut().enable();
            if let Some(found) = self.shared.pick(tried) {
                return Ok(found);
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return Err(self.shared.nobody());
            }
            tried.clear();
        }
    }

    /// When a call that begins now must have found somebody.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.shared.target.keys.wait
    }

    /// Members that can be called now.
    pub(crate) fn connected(&self) -> usize {
        self.shared.lock().values().filter(|m| m.conn.is_some()).count()
    }
}

impl<C: Connect> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Member<C::Conn>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, tried: &[Key]) -> Option<Lease<C::Conn>> {
        let mut members = self.lock();
        let up = members.iter_mut().filter_map(|(key, m)| Some(((key, m.conn.as_ref()?), &mut m.candidate)));
        let (key, conn) = pick(up, |(key, _)| !tried.contains(key))?;
        Some(Lease { key: key.clone(), conn: conn.clone() })
    }

    fn nobody(&self) -> Error {
        let members = self.lock();
        let mut error = Error::new(Kind::Unavailable, "nobody to call").context("target", &self.target.url);
        for (key, member) in members.iter().take(4) {
            let why = member.why.as_deref().unwrap_or("takes no calls now");
            error = error.context("member", format_args!("{}: {why}", key.host));
        }
        error.context("members", members.len())
    }

    /// Takes over what the registry shows; connections to members that stay are kept.
    fn show(self: &Arc<Self>, view: &View) {
        let wanted: HashMap<Key, (State, u32)> =
            view.members.iter().filter_map(|m| Some((self.key(m)?, (m.state, m.weight)))).collect();
        let mut members = self.lock();
        members.retain(|key, _| wanted.contains_key(key));
        for (key, (state, weight)) in wanted {
            match members.get_mut(&key) {
                Some(member) => (member.candidate.state, member.candidate.weight) = (state, weight),
                None => {
                    let member = self.keep(key.clone(), Candidate::new(state, weight));
                    members.insert(key, member);
                }
            }
        }
        drop(members);
        self.changed.notify_waiters();
    }

    /// Is it one of ours, and where?
    fn key(&self, member: &Instance) -> Option<Key> {
        let Place::Named(name) = &self.target.place else { return None };
        let serves = || member.labels.get(SERVICES).is_some_and(|all| all.split(',').any(|s| s == name));
        if member.name != *name && !serves() {
            return None;
        }
        let endpoints = member.endpoints.iter().filter_map(|e| Url::parse(e).ok());
        let host = endpoints.into_iter().find(|e| e.scheme() == C::SCHEME)?.host().to_owned();
        Some(Key { owner: Some(member.owner()), host })
    }

    fn fixed(self: &Arc<Self>) {
        let Place::At(hosts) = &self.target.place else { return };
        let mut members = self.lock();
        for host in hosts {
            let key = Key { owner: None, host: host.clone() };
            members.insert(key.clone(), self.keep(key, Candidate::new(State::Work, 1)));
        }
    }

    fn keep(self: &Arc<Self>, key: Key, candidate: Candidate) -> Member<C::Conn> {
        let keeps = Abort(tokio::spawn(keep(Arc::downgrade(self), key)));
        Member { candidate, conn: None, why: Some("not connected yet".to_owned()), _keeps: keeps }
    }

    fn set(&self, key: &Key, conn: Option<C::Conn>, why: Option<String>) {
        if let Some(member) = self.lock().get_mut(key) {
            (member.conn, member.why) = (conn, why);
        }
        self.changed.notify_waiters();
    }
}

/// Follows the registry until the pool is gone.
async fn follow<C: Connect>(pool: Weak<Shared<C>>, mut watch: Watch) {
    loop {
        let view = watch.changed().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.show(&view);
    }
}

/// Keeps the connection to one member up until the member or the pool is gone.
async fn keep<C: Connect>(pool: Weak<Shared<C>>, key: Key) {
    let mut pause = PAUSE.0;
    loop {
        let Some(shared) = pool.upgrade() else { return };
        let made = shared.connect.connect(&key.host, shared.target.keys.insecure).await;
        let closed = match made {
            Ok((conn, closed)) => {
                shared.set(&key, Some(conn), None);
                Some(closed)
            }
            Err(e) => {
                shared.set(&key, None, Some(e.to_string()));
                tracing::debug!(target = %shared.target.url, host = key.host, error = %e, "a member cannot be reached");
                None
            }
        };
        drop(shared);
        if let Some(closed) = closed {
            let _ = closed.await;
            pause = PAUSE.0;
            let Some(shared) = pool.upgrade() else { return };
            shared.set(&key, None, Some("the connection broke".to_owned()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}
