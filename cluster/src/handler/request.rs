//! What a handler is called with, borrowed from the shard or owned.

use std::{cell::RefCell, fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use due_core::{Owner, RouteDef, Uid, transport::Trace};
use tokio::time::Instant;

use super::reply::{Promise, Shared};
use crate::{cluster::Cluster, session::Session};

/// One message on its way to a handler. Everything is borrowed from the shard, so looking at it costs nothing.
pub struct Request<'a> {
    /// The session that sent it. A message of the event bus has a session that is gone already.
    pub session: &'a Session,
    /// The way out.
    pub cluster: &'a Cluster,
    /// The route; for a fallback the number that nobody serves, with an empty name.
    pub route: RouteDef,
    /// The client's sequence number; 0 where the dialect has none.
    pub seq: i32,
    /// The bytes of the body.
    pub body: Body<'a>,
    /// The user of the session when the message was taken.
    pub uid: Option<&'a Uid>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The trace it belongs to.
    pub trace: Trace,
    /// Who sent it.
    pub origin: Origin<'a>,
    /// Where a late answer goes.
    pub late: Late<'a>,
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The client of the session.
    Client,
    /// Another server.
    Node(&'a Owner),
}

/// The bytes of a body.
#[derive(Clone, Copy)]
pub struct Body<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Borrowed { bytes: &'a [u8], arena: &'a RefCell<BytesMut> },
    Shared(&'a Bytes),
}

impl<'a> Body<'a> {
    /// Bytes that stand in a buffer of the shard; [`Body::share`] copies them into `arena`.
    pub fn new(bytes: &'a [u8], arena: &'a RefCell<BytesMut>) -> Self {
        Self(Source::Borrowed { bytes, arena })
    }

    /// Bytes that are shared already.
    pub fn shared(bytes: &'a Bytes) -> Self {
        Self(Source::Shared(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        match self.0 {
            Source::Borrowed { bytes, .. } => bytes,
            Source::Shared(bytes) => bytes,
        }
    }

    /// The bytes to keep. Borrowed ones are copied into the shard's arena: an allocation per arena block, not per call.
    pub fn share(&self) -> Bytes {
        match self.0 {
            Source::Borrowed { bytes: [], .. } => Bytes::new(),
            Source::Borrowed { bytes, arena } => {
                let mut arena = arena.borrow_mut();
                if arena.capacity() < bytes.len() {
                    arena.reserve(bytes.len().max(ARENA_BLOCK));
                }
                arena.extend_from_slice(bytes);
                arena.split().freeze()
            }
            Source::Shared(bytes) => bytes.clone(),
        }
    }
}

/// Bytes the arena gets at a time. A body that is kept keeps its whole block, so blocks are small.
const ARENA_BLOCK: usize = 16 * 1024;

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.bytes().len())
    }
}

/// Makes promises for the messages of one sender.
pub(crate) trait Promises {
    /// The answer to the message of this number.
    fn promise(&self, number: u64) -> Arc<dyn Promise>;
}

/// Where a late answer goes. The promise is made when a handler takes a [`Reply`](super::Reply), not before.
#[derive(Clone, Copy)]
pub struct Late<'a>(Maker<'a>);

#[derive(Clone, Copy)]
enum Maker<'a> {
    Node(&'a dyn Fn() -> Arc<dyn Promise>),
    Numbered(&'a dyn Promises, u64),
    Relay(&'a Arc<Shared>),
    Nobody,
}

impl<'a> Late<'a> {
    /// The node makes the promise.
    pub fn new(make: &'a dyn Fn() -> Arc<dyn Promise>) -> Self {
        Self(Maker::Node(make))
    }

    /// `of` makes it; `number` tells the message from all others of its.
    pub(crate) fn numbered(of: &'a dyn Promises, number: u64) -> Self {
        Self(Maker::Numbered(of, number))
    }

    /// Nobody waits: a handler that takes a reply is answered with `Unsupported` instead.
    pub fn nobody() -> Self {
        Self(Maker::Nobody)
    }

    pub(crate) fn leads_nowhere(&self) -> bool {
        matches!(self.0, Maker::Nobody)
    }

    pub(crate) fn promise(&self) -> Option<Arc<dyn Promise>> {
        match self.0 {
            Maker::Node(make) => Some(make()),
            Maker::Numbered(of, number) => Some(of.promise(number)),
            Maker::Relay(relay) => Some(relay.clone()),
            Maker::Nobody => None,
        }
    }
}

impl Request<'_> {
    /// A copy that may cross an await; a late answer stays possible only if `late` says so.
    pub(crate) fn to_owned(&self, late: bool) -> OwnedRequest {
        OwnedRequest {
            session: self.session.clone(),
            cluster: self.cluster.clone(),
            route: self.route,
            seq: self.seq,
            body: self.body.share(),
            uid: self.uid.cloned(),
            deadline: self.deadline,
            trace: self.trace,
            origin: match self.origin {
                Origin::Client => None,
                Origin::Node(owner) => Some(owner.clone()),
            },
            relay: if late { self.late.promise().map(|promise| Arc::new(Shared::new(promise))) } else { None },
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("route", &self.route.name)
            .field("seq", &self.seq)
            .field("body", &self.body)
            .field("uid", &self.uid)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A [`Request`] that owns its parts: what async middleware gets and hands on to [`Next::run`](super::Next::run).
#[derive(Clone)]
pub struct OwnedRequest {
    /// The session that sent it.
    pub session: Session,
    /// The way out.
    pub cluster: Cluster,
    /// The route.
    pub route: RouteDef,
    /// The client's sequence number.
    pub seq: i32,
    /// The body; a middleware may replace it.
    pub body: Bytes,
    /// The user of the session when the message was taken.
    pub uid: Option<Uid>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The trace it belongs to.
    pub trace: Trace,
    /// The server that sent it; `None` for the client of the session.
    pub origin: Option<Owner>,
    relay: Option<Arc<Shared>>,
}

impl OwnedRequest {
    /// A message that another node has handed over; `origin` unless it is a client's.
    pub(crate) fn of_node(
        to: (Session, Cluster),
        route: RouteDef,
        message: (Bytes, Option<Uid>, Instant),
        origin: Option<Owner>,
    ) -> Self {
        let ((session, cluster), (body, uid, deadline)) = (to, message);
        Self { session, cluster, route, seq: 0, body, uid, deadline, trace: Trace::default(), origin, relay: None }
    }

    /// The borrowed view that extractors and guards look at.
    pub fn view(&self) -> Request<'_> {
        Request {
            session: &self.session,
            cluster: &self.cluster,
            route: self.route,
            seq: self.seq,
            body: Body::shared(&self.body),
            uid: self.uid.as_ref(),
            deadline: self.deadline,
            trace: self.trace,
            origin: self.origin.as_ref().map_or(Origin::Client, Origin::Node),
            late: Late(self.relay.as_ref().map_or(Maker::Nobody, Maker::Relay)),
        }
    }

    /// Holds a late answer back until the middleware around the handler has ended too.
    pub(crate) fn relay(&self) -> Option<Arc<Shared>> {
        self.relay.clone()
    }
}

impl fmt::Debug for OwnedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrowed_body_is_copied_and_a_shared_one_is_not() {
        let arena = RefCell::new(BytesMut::with_capacity(64));
        let borrowed = Body::new(b"abc", &arena);
        let (one, two) = (borrowed.share(), borrowed.share());
        assert_eq!((&one[..], &two[..]), (&b"abc"[..], &b"abc"[..]));
        let shared = Body::shared(&one).share();
        assert_eq!(shared.as_ptr(), one.as_ptr());
        assert_ne!(two.as_ptr(), one.as_ptr());
    }

    #[test]
    fn bodies_of_one_arena_stand_side_by_side() {
        let arena = RefCell::default();
        let one = Body::new(b"abc", &arena).share();
        let two = Body::new(b"def", &arena).share();
        assert_eq!(two.as_ptr() as usize, one.as_ptr() as usize + 3);
    }

    #[test]
    fn a_block_is_used_again_when_nobody_keeps_its_bodies() {
        let arena = RefCell::default();
        let body = [7; 1000];
        let first = Body::new(&body, &arena).share().as_ptr();
        let places: Vec<_> = (0..100).map(|_| Body::new(&body, &arena).share().as_ptr()).collect();
        assert!(places.contains(&first));
    }

    #[test]
    fn a_body_larger_than_a_block_fits() {
        let arena = RefCell::default();
        let body = vec![7; 3 * ARENA_BLOCK];
        assert_eq!(Body::new(&body, &arena).share(), body);
    }

    #[test]
    fn an_empty_body_takes_nothing_from_the_arena() {
        let arena = RefCell::new(BytesMut::new());
        assert!(Body::new(b"", &arena).share().is_empty());
        assert_eq!(arena.borrow().capacity(), 0);
    }
}
