//! Tuples of extractors, and the type-level check that at most one of them takes the body.

use std::marker::PhantomData;

use super::{extract::Extract, extract::Needs, request::Request};
use crate::fault::Fault;

/// Marks an extractor that leaves the body alone.
pub struct NoBody;

/// Marks an extractor that decodes the body as `T`.
pub struct Has<T>(PhantomData<T>);

/// Adds the body marks of two arguments; two bodies have no sum.
#[diagnostic::on_unimplemented(
    message = "a handler takes at most one `Msg<T>`",
    label = "this handler takes a second body"
)]
pub trait Then<Other> {
    /// The sum.
    type Out;
}

impl<Other> Then<Other> for NoBody {
    type Out = Other;
}

impl<T> Then<NoBody> for Has<T> {
    type Out = Has<T>;
}

/// Adds the body marks of all arguments.
pub trait Merge {
    /// The sum.
    type Out;
}

impl Merge for () {
    type Out = NoBody;
}

impl<A> Merge for (A,) {
    type Out = A;
}

macro_rules! merge {
    ($($head:ident)+, $last:ident) => {
        impl<$($head,)+ $last> Merge for ($($head,)+ $last)
        where
            ($($head,)+): Merge,
            <($($head,)+) as Merge>::Out: Then<$last>,
        {
            type Out = <<($($head,)+) as Merge>::Out as Then<$last>>::Out;
        }
    };
}

merge!(A, B);
merge!(A B, D);
merge!(A B D, E);
merge!(A B D E, F);
merge!(A B D E F, G);
merge!(A B D E F G, H);
merge!(A B D E F G H, I);

/// Does the body a handler takes fit the request type of its route?
#[diagnostic::on_unimplemented(
    message = "this handler's `Msg` is not the request type of the route: expected `Msg<{Req}>`",
    label = "another type than the route's request"
)]
pub trait Accepts<Req> {}

impl<Req> Accepts<Req> for NoBody {}
impl<T> Accepts<T> for Has<T> {}

/// All arguments of a handler.
#[diagnostic::on_unimplemented(
    message = "an argument of this handler is not an extractor for this route",
    label = "arguments {Self}",
    note = "handler arguments are Msg<T> (at most one, of a type the route's codec carries), Uid, Option<Uid>, Session, Cluster, State<T>, Bytes, Deadline, Seq, RouteDef, Reply<T>, or your own `impl Extract`"
)]
pub trait Args<S, C>: Sized {
    /// The body they take together.
    type Body;
    /// What they ask together.
    const NEEDS: Needs;

    /// Makes them from left to right; the first fault ends it.
    fn args(rq: &Request<'_>, state: &S) -> Result<Self, Fault>;
}

macro_rules! args {
    ($($t:ident)*) => {
        impl<S, C, $($t: Extract<S, C>),*> Args<S, C> for ($($t,)*)
        where
            ($($t::Body,)*): Merge,
        {
            type Body = <($($t::Body,)*) as Merge>::Out;
            const NEEDS: Needs = Needs::NOTHING$(.and($t::NEEDS))*;

            #[allow(unused_variables, clippy::unused_unit)]
            fn args(rq: &Request<'_>, state: &S) -> Result<Self, Fault> {
                Ok(($($t::extract(rq, state)?,)*))
            }
        }
    };
}

args!();
args!(T1);
args!(T1 T2);
args!(T1 T2 T3);
args!(T1 T2 T3 T4);
args!(T1 T2 T3 T4 T5);
args!(T1 T2 T3 T4 T5 T6);
args!(T1 T2 T3 T4 T5 T6 T7);
args!(T1 T2 T3 T4 T5 T6 T7 T8);
