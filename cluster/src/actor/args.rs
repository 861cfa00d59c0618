//! Arguments of an actor's methods: extractors as in every handler, and [`Cx`].

use super::{Actor, Cx};
use crate::{
    fault::Fault,
    handler::{Extract, Merge, Needs, NoBody, Request},
};

/// Marks an extractor of handlers.
pub struct Plain;
/// Marks the actor's own side.
pub struct OwnSide;

/// One argument of an actor's method; `K` tells an extractor from [`Cx`].
pub trait ActorArg<K, A: Actor, S, C>: Sized {
    /// As of [`Extract`].
    type Body;
    /// As of [`Extract`].
    const NEEDS: Needs;

    /// Makes the argument.
    fn arg(rq: &Request<'_>, state: &S, cx: &Cx<A>) -> Result<Self, Fault>;
}

impl<A: Actor, S, C, T: Extract<S, C>> ActorArg<Plain, A, S, C> for T {
    type Body = T::Body;
    const NEEDS: Needs = T::NEEDS;

    fn arg(rq: &Request<'_>, state: &S, _: &Cx<A>) -> Result<Self, Fault> {
        T::extract(rq, state)
    }
}

impl<A: Actor, S, C> ActorArg<OwnSide, A, S, C> for Cx<A> {
    type Body = NoBody;
    const NEEDS: Needs = Needs::NOTHING;

    fn arg(_: &Request<'_>, _: &S, cx: &Cx<A>) -> Result<Self, Fault> {
        Ok(cx.clone())
    }
}

/// All arguments of an actor's method after `&mut self`.
#[diagnostic::on_unimplemented(
    message = "an argument of this method is not an extractor for this route",
    label = "arguments {Self}",
    note = "after `&mut self` a method of `{A}` takes extractors as every handler does (Msg<T>, Uid, Session, State<T>, ..) and Cx<{A}>"
)]
pub trait ActorArgs<K, A: Actor, S, C>: Sized {
    /// The body they take together.
    type Body;
    /// What they ask together.
    const NEEDS: Needs;

    /// Makes them from left to right; the first fault ends it.
    fn args(rq: &Request<'_>, state: &S, cx: &Cx<A>) -> Result<Self, Fault>;
}

macro_rules! args {
    ($($t:ident $k:ident)*) => {
        impl<A: Actor, S, C, $($k, $t: ActorArg<$k, A, S, C>),*> ActorArgs<($($k,)*), A, S, C> for ($($t,)*)
        where
            ($($t::Body,)*): Merge,
        {
            type Body = <($($t::Body,)*) as Merge>::Out;
            const NEEDS: Needs = Needs::NOTHING$(.and($t::NEEDS))*;

            #[allow(unused_variables, clippy::unused_unit)]
            fn args(rq: &Request<'_>, state: &S, cx: &Cx<A>) -> Result<Self, Fault> {
                Ok(($($t::arg(rq, state, cx)?,)*))
            }
        }
    };
}

args!();
args!(T1 K1);
args!(T1 K1 T2 K2);
args!(T1 K1 T2 K2 T3 K3);
args!(T1 K1 T2 K2 T3 K3 T4 K4);
args!(T1 K1 T2 K2 T3 K3 T4 K4 T5 K5);
args!(T1 K1 T2 K2 T3 K3 T4 K4 T5 K5 T6 K6);
args!(T1 K1 T2 K2 T3 K3 T4 K4 T5 K5 T6 K6 T7 K7);
