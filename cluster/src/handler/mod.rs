//! Handlers: what an application writes.
//!
//! A handler is a plain or async function. Its arguments are [extractors](Extract) in any order, at most one of them
//! [`Msg<T>`]; its result is the answer of the route ([`IntoReply`]). [`Routes`] binds functions to route constants and
//! checks types, body and codec at compile time. [`guard`] and [`from_fn`] are layers around routes, [`blocking`] moves
//! a plain function to the blocking pool, [`Reply`] answers after the handler has returned.
//!
//! The node holds the finished [`Table`] and, on each shard, one [`RouteHandler`] of every entry. A handler that is
//! ready at its first poll costs no allocation: its future lives in a pinned slot that the route keeps.
//!
//! | file | holds |
//! |---|---|
//! | `request` | [`Request`], [`OwnedRequest`] |
//! | `extract`, `args` | extractors and their sum |
//! | `function`, `respond`, `reply` | functions, what they return, late answers |
//! | `layer`, `chain` | layers and the way through them |
//! | `routes`, `mount`, `table` | from constants to the finished table |
//! | `erased` | what the node runs |
//! | `sealed` | bodies that are encrypted |

mod args;
mod chain;
mod erased;
mod extract;
mod function;
mod layer;
mod mount;
mod raw;
mod reply;
mod request;
mod respond;
mod routes;
mod sealed;
mod table;
#[cfg(test)]
mod tests;

pub use args::{Accepts, Args, Has, Merge, NoBody, Then};
pub use erased::{Answer, Job, RouteHandler, Running, Start};
pub use extract::{Deadline, Extract, FromRef, Msg, Needs, Seq, State};
pub use function::{Blocking, Handler, Wrapped, blocking};
pub use layer::{FromFn, Guard, Layer, Next, Outcome, Pledge, Response, Step, from_fn, guard};
pub use mount::{Bound, Build, Make};
pub use raw::Raw;
pub use reply::{IntoReply, Later, Promise, Replied, Reply, Unanswered};
pub(crate) use request::Promises;
pub use request::{Body, Late, Origin, OwnedRequest, Request};
pub use respond::{Async, Blocks, Deferred, Ending, Plain, Respond, Task};
pub use routes::{Event, Role, Routes};
pub use table::{Mount, Table};
