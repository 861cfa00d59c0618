//! Extractors: what a handler may take as arguments.

use std::time::Duration;

use bytes::Bytes;
use due_core::{Code, Codec, RouteDef, Uid};
use tokio::time::Instant;

use super::{
    args::{Has, NoBody},
    request::Request,
};
use crate::{cluster::Cluster, fault::Fault, session::Session};

/// What an extractor asks of the routes it stands in; known before the first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A session with a user: the route is authorized by itself.
    pub user: bool,
    /// A live session: refused in handlers of the event bus.
    pub session: bool,
    /// Somebody who waits for an answer.
    pub reply: bool,
}

impl Needs {
    /// Nothing.
    pub const NOTHING: Needs = Needs { user: false, session: false, reply: false };
    /// A live session.
    pub const SESSION: Needs = Needs { session: true, ..Needs::NOTHING };
    /// A session with a user.
    pub const USER: Needs = Needs { user: true, session: true, reply: false };
    /// Somebody who waits.
    pub const REPLY: Needs = Needs { reply: true, ..Needs::NOTHING };

    /// What either asks.
    #[must_use]
    pub const fn and(self, other: Needs) -> Needs {
        Needs {
            user: self.user || other.user,
            session: self.session || other.session,
            reply: self.reply || other.reply,
        }
    }
}

/// Makes one argument of a handler out of a request. `S` is the routes' state, `C` the route's codec.
///
/// It is sync on purpose: nothing waits and nothing is boxed before the handler runs. An error is the answer, the
/// handler is not called. Arguments are made from left to right.
///
/// ```
/// use due_cluster::{Fault, handler::{Extract, NoBody, Request}};
///
/// struct Language(String);
///
/// impl<S, C> Extract<S, C> for Language {
///     type Body = NoBody;
///     fn extract(rq: &Request<'_>, _state: &S) -> Result<Self, Fault> {
///         Ok(Self(if rq.seq == 0 { "en".into() } else { "de".into() }))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "not an argument that a handler of this route can take",
    note = "handler arguments are Msg<T> (at most one, of a type the route's codec carries), Uid, Option<Uid>, Session, Cluster, State<T>, Bytes, Deadline, Seq, RouteDef, Reply<T>, or your own `impl Extract`"
)]
pub trait Extract<S, C>: Sized {
    /// [`NoBody`], or [`Has`] for an extractor that decodes the body.
    type Body;
    /// What it asks of its routes.
    const NEEDS: Needs = Needs::NOTHING;

    /// Makes the argument. The fault is the answer to the client.
    fn extract(rq: &Request<'_>, state: &S) -> Result<Self, Fault>;
}

/// The body, decoded by the route's codec; bytes that do not decode are answered with [`Code::BAD_REQUEST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Msg<T>(pub T);

impl<S, C: Codec<T>, T> Extract<S, C> for Msg<T> {
    type Body = Has<T>;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        match C::default().decode(rq.body.bytes()) {
            Ok(value) => Ok(Msg(value)),
            Err(e) => Err(Fault::new(Code::BAD_REQUEST, Code::BAD_REQUEST.text()).because(e)),
        }
    }
}

/// The routes' state, or a part of it by [`FromRef`].
#[derive(Clone, Copy, Debug, Default)]
pub struct State<T>(pub T);

/// Makes a part of a state out of a reference to the whole; usually a cheap clone.
#[diagnostic::on_unimplemented(
    message = "these routes have no state `{Self}`",
    label = "a handler takes State<{Self}>, the state here is `{S}`",
    note = "give the state with `.with_state(..)` before the routes are used, or implement `FromRef<{S}> for {Self}`"
)]
pub trait FromRef<S> {
    /// The part.
    fn from_ref(state: &S) -> Self;
}

impl<S: Clone> FromRef<S> for S {
    fn from_ref(state: &S) -> Self {
        state.clone()
    }
}

impl<S, C, T: FromRef<S>> Extract<S, C> for State<T> {
    type Body = NoBody;

    fn extract(_: &Request<'_>, state: &S) -> Result<Self, Fault> {
        Ok(State(T::from_ref(state)))
    }
}

impl<S, C> Extract<S, C> for Session {
    type Body = NoBody;
    const NEEDS: Needs = Needs::SESSION;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(rq.session.clone())
    }
}

impl<S, C> Extract<S, C> for Cluster {
    type Body = NoBody;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(rq.cluster.clone())
    }
}

/// Authorizes the route by itself; a session without a user is answered with [`Code::UNAUTHORIZED`].
impl<S, C> Extract<S, C> for Uid {
    type Body = NoBody;
    const NEEDS: Needs = Needs::USER;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        rq.uid.cloned().ok_or_else(|| Code::UNAUTHORIZED.into())
    }
}

impl<S, C> Extract<S, C> for Option<Uid> {
    type Body = NoBody;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(rq.uid.cloned())
    }
}

/// The body as it came, to keep or to hand on.
impl<S, C> Extract<S, C> for Bytes {
    type Body = NoBody;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(rq.body.share())
    }
}

/// The route that was asked for; in a fallback it has a number and no name.
impl<S, C> Extract<S, C> for RouteDef {
    type Body = NoBody;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(rq.route)
    }
}

/// When the caller stops waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The time left; zero when it is over.
    pub fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl<S, C> Extract<S, C> for Deadline {
    type Body = NoBody;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(Deadline(rq.deadline))
    }
}

/// The client's sequence number; 0 where the dialect has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub i32);

impl<S, C> Extract<S, C> for Seq {
    type Body = NoBody;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        Ok(Seq(rq.seq))
    }
}
