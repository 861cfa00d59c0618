//! Functions as handlers.

use std::sync::Arc;

use super::respond::Deferred;

/// A function of at most eight arguments. What is wrong with one is said by the bounds of
/// [`Routes::route`](super::Routes::route), one by one.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a function of at most eight arguments")]
pub trait Handler<M>: Send + Sync + 'static {
    /// Its arguments, a tuple.
    type Args;
    /// What it returns; a future if it is async.
    type Out;

    /// Calls it.
    fn call(&self, args: Self::Args) -> Self::Out;
}

macro_rules! handler {
    ($($t:ident)*) => {
        #[allow(non_snake_case)]
        impl<F, R, $($t),*> Handler<($($t,)*)> for F
        where
            F: Fn($($t),*) -> R + Send + Sync + 'static,
        {
            type Args = ($($t,)*);
            type Out = R;

            fn call(&self, ($($t,)*): Self::Args) -> R {
                self($($t),*)
            }
        }
    };
}

handler!();
handler!(T1);
handler!(T1 T2);
handler!(T1 T2 T3);
handler!(T1 T2 T3 T4);
handler!(T1 T2 T3 T4 T5);
handler!(T1 T2 T3 T4 T5 T6);
handler!(T1 T2 T3 T4 T5 T6 T7);
handler!(T1 T2 T3 T4 T5 T6 T7 T8);

/// Runs a plain handler on the blocking pool, with the order of its session kept: `.route(HASH, blocking(hash))`.
///
/// For functions that compute or block for milliseconds; elsewhere they would hold up all sessions of their shard. The
/// arguments are made on the shard, before the pool takes over. A job that runs cannot be cancelled: at its deadline the
/// client is answered, and the job's end is dropped.
pub fn blocking<H>(handler: H) -> Blocking<H> {
    Blocking(Arc::new(handler))
}

/// A handler for the blocking pool; see [`blocking`].
pub struct Blocking<H>(Arc<H>);

/// Marks a [`Blocking`] handler of a function marked `M`.
pub struct Wrapped<M>(std::marker::PhantomData<M>);

impl<M, H> Handler<Wrapped<M>> for Blocking<H>
where
    H: Handler<M>,
    H::Args: Send + 'static,
    H::Out: 'static,
{
    type Args = H::Args;
    type Out = Deferred<H::Out>;

    fn call(&self, args: H::Args) -> Deferred<H::Out> {
        let handler = Arc::clone(&self.0);
        Deferred::new(move || handler.call(args))
    }
}
