//! Routes as constants that clients and servers share: no number is written twice.

use std::{fmt, marker::PhantomData};

/// A route's number inside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub i32);

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a full outbox does with a push; part of its contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// Refused when full: the sender learns it.
    #[default]
    Must,
    /// Only the newest one of this route waits.
    Latest,
    /// Dropped when full, and counted.
    Droppable,
}

/// Who may use a route, and where it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Goes to the node the user is bound to. Implies `authorized`.
    pub stateful: bool,
    /// Only for sessions with a user.
    pub authorized: bool,
    /// Only for other servers, never for clients.
    pub internal: bool,
    /// For pushes: what a full outbox does.
    pub class: Class,
}

/// Number, name and flags of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteDef {
    /// The number.
    pub id: RouteId,
    /// The name for people, logs and pomelo-style clients.
    pub name: &'static str,
    /// Its rules.
    pub flags: Flags,
}

/// The number of a route that has only a name: FNV-1a with the sign bit set, so that it never meets a number given by
/// hand. Needs a listener with 4 route bytes or a dialect with names.
pub const fn id_of(name: &str) -> RouteId {
    let bytes = name.as_bytes();
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    RouteId((hash | 0x8000_0000) as i32)
}

const NO_FLAGS: Flags = Flags { stateful: false, authorized: false, internal: false, class: Class::Must };

macro_rules! constant {
    ($(#[$doc:meta])* $name:ident<$($t:ident),+>) => {
        $(#[$doc])*
        pub struct $name<$($t,)+ C> {
            def: RouteDef,
            types: PhantomData<fn() -> ($($t,)+ C)>,
        }

        impl<$($t,)+ C> Clone for $name<$($t,)+ C> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($t,)+ C> Copy for $name<$($t,)+ C> {}

        impl<$($t,)+ C> fmt::Debug for $name<$($t,)+ C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} {:?})"), self.def.id, self.def.name)
            }
        }

        impl<$($t,)+ C> $name<$($t,)+ C> {
            /// A route with a number of its own, 0 or more.
            pub const fn new(id: i32, name: &'static str) -> Self {
                assert!(id >= 0, "a route number is 0 or more");
                Self { def: RouteDef { id: RouteId(id), name, flags: NO_FLAGS }, types: PhantomData }
            }

            /// A route known by its name; the number is [`id_of`] the name.
            pub const fn named(name: &'static str) -> Self {
                Self { def: RouteDef { id: id_of(name), name, flags: NO_FLAGS }, types: PhantomData }
            }

            /// Number, name and flags.
            pub const fn def(&self) -> RouteDef {
                self.def
            }
        }
    };
}

macro_rules! rules {
    ($name:ident<$($t:ident),+>) => {
        impl<$($t,)+ C> $name<$($t,)+ C> {
            /// Goes to the node (or actor) the user is bound to; only for sessions with a user.
            #[must_use]
            pub const fn stateful(mut self) -> Self {
                self.def.flags.stateful = true;
                self.def.flags.authorized = true;
                self
            }

            /// Only for sessions with a user.
            #[must_use]
            pub const fn authorized(mut self) -> Self {
                self.def.flags.authorized = true;
                self
            }

            /// Only for other servers.
            #[must_use]
            pub const fn internal(mut self) -> Self {
                self.def.flags.internal = true;
                self
            }
        }
    };
}

constant! {
    /// A request with exactly one answer.
    Call<Q, P>
}
constant! {
    /// Client to server, without an answer.
    Notify<Q>
}
constant! {
    /// Server to client.
    Push<T>
}
constant! {
    /// A subject of the event bus.
    Topic<T>
}
rules!(Call<Q, P>);
rules!(Notify<Q>);

impl<T, C> Push<T, C> {
    /// When the outbox is full only the newest push of this route waits.
    #[must_use]
    pub const fn latest(mut self) -> Self {
        self.def.flags.class = Class::Latest;
        self
    }

    /// When the outbox is full the push is dropped and counted.
    #[must_use]
    pub const fn droppable(mut self) -> Self {
        self.def.flags.class = Class::Droppable;
        self
    }
}

/// What a route table takes: a [`Call`] or a [`Notify`].
pub trait Endpoint: Copy + Send + Sync + 'static {
    /// The request's type.
    type Req: 'static;
    /// The answer's type; `()` for a [`Notify`].
    type Resp: 'static;
    /// The codec of both.
    type C: Default + Copy + Send + Sync + 'static;
    /// Does the client expect an answer?
    const ANSWERS: bool;
    /// Number, name and flags.
    fn def(&self) -> RouteDef;
}

impl<Q: 'static, P: 'static, C: Default + Copy + Send + Sync + 'static> Endpoint for Call<Q, P, C> {
    type Req = Q;
    type Resp = P;
    type C = C;
    const ANSWERS: bool = true;
    fn def(&self) -> RouteDef {
        self.def
    }
}

impl<Q: 'static, C: Default + Copy + Send + Sync + 'static> Endpoint for Notify<Q, C> {
    type Req = Q;
    type Resp = ();
    type C = C;
    const ANSWERS: bool = false;
    fn def(&self) -> RouteDef {
        self.def
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Default)]
    struct NoCodec;

    #[test]
    fn a_name_gives_a_stable_negative_number() {
        assert_eq!(id_of("Room.Join"), id_of("Room.Join"));
        assert_ne!(id_of("Room.Join"), id_of("Room.Leave"));
        assert!(id_of("").0 < 0);
    }

    #[test]
    fn stateful_implies_authorized() {
        const PLAY: Call<u8, u8, NoCodec> = Call::new(2, "room.play").stateful();
        assert!(PLAY.def().flags.stateful && PLAY.def().flags.authorized && !PLAY.def().flags.internal);
    }
}
