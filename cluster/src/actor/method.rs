//! Methods as handlers: `async fn(&mut self, extractors..) -> answer`, or the same without async.

use std::future::Future;

use tokio::sync::oneshot;

use super::{mailbox::Waiting, refused::Refused};

/// Takes what a method returned to whoever waits for it.
pub struct Done<R>(pub(crate) oneshot::Sender<Result<R, Refused>>);

impl<R> Done<R> {
    fn send(self, out: R) {
        // Nobody waits any more: the request's deadline has passed.
        let _ = self.0.send(Ok(out));
    }
}

/// A method of `A` with at most seven arguments beside `&mut self`. What is wrong with one is said by the bounds of
/// [`Routes::actor`](crate::handler::Routes::actor), one by one.
#[diagnostic::on_unimplemented(
    message = "this is not a method of an actor",
    label = "expected `async fn(&mut self, extractors..) -> answer`, or the same without async",
    note = "the first parameter is `&mut self`, at most seven extractors follow; the future of an async one must be Send (no std MutexGuard or Rc across an await)"
)]
pub trait Method<M, A>: Send + Sync + 'static {
    /// Its arguments after `&mut self`, a tuple.
    type Args: Send + 'static;
    /// What it returns in the end.
    type Out: Send + 'static;

    /// Runs it as far as it goes without waiting; gives the rest.
    fn call<'a>(&self, actor: &'a mut A, args: Self::Args, done: Done<Self::Out>) -> Option<Waiting<'a>>;
}

/// Marks an async method.
pub struct Own<T>(std::marker::PhantomData<T>);
/// Marks a plain method.
pub struct OwnPlain<T>(std::marker::PhantomData<T>);

/// An async method for one borrow of the actor. The future may hold the borrow, and it is `Send`: on stable Rust it
/// takes a trait of its own to say both for every borrow.
pub trait AsyncMethod<'a, A: 'a, T>: Send + Sync + 'static {
    /// The method's future.
    type Fut: Future<Output = Self::Out> + Send + 'a;
    /// What it returns in the end.
    type Out;

    /// Makes the future.
    fn begin(&self, actor: &'a mut A, args: T) -> Self::Fut;
}

macro_rules! method {
    ($($t:ident)*) => {
        #[allow(non_snake_case)]
        impl<'a, A: 'a, F, Fut, R, $($t),*> AsyncMethod<'a, A, ($($t,)*)> for F
        where
            F: Fn(&'a mut A, $($t),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'a,
        {
            type Fut = Fut;
            type Out = R;

            fn begin(&self, actor: &'a mut A, ($($t,)*): ($($t,)*)) -> Fut {
                self(actor, $($t),*)
            }
        }

        impl<A: 'static, F, R, $($t),*> Method<Own<(R, $($t,)*)>, A> for F
        where
            F: for<'a> AsyncMethod<'a, A, ($($t,)*), Out = R>,
            R: Send + 'static,
            $($t: Send + 'static,)*
        {
            type Args = ($($t,)*);
            type Out = R;

            fn call<'a>(&self, actor: &'a mut A, args: Self::Args, done: Done<R>) -> Option<Waiting<'a>> {
                let future = self.begin(actor, args);
                Some(Box::pin(async move { done.send(future.await) }))
            }
        }

        #[allow(non_snake_case)]
        impl<A, F, R, $($t),*> Method<OwnPlain<(R, $($t,)*)>, A> for F
        where
            F: Fn(&mut A, $($t),*) -> R + Send + Sync + 'static,
            R: Send + 'static,
            $($t: Send + 'static,)*
        {
            type Args = ($($t,)*);
            type Out = R;

            fn call<'a>(&self, actor: &'a mut A, ($($t,)*): Self::Args, done: Done<R>) -> Option<Waiting<'a>> {
                done.send(self(actor, $($t),*));
                None
            }
        }
    };
}

method!();
method!(T1);
method!(T1 T2);
method!(T1 T2 T3);
method!(T1 T2 T3 T4);
method!(T1 T2 T3 T4 T5);
method!(T1 T2 T3 T4 T5 T6);
method!(T1 T2 T3 T4 T5 T6 T7);
