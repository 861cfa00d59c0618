//! Actors: one mailbox, one `&mut self` at a time.
//!
//! An [`Actor`] is state with a name, `kind/key`. Its routes are methods with the extractors of handlers
//! ([`Routes::actor_by`](crate::handler::Routes::actor_by) opens it by a key in the request,
//! [`Routes::actor`](crate::handler::Routes::actor) finds the one its user is
//! [attached](crate::Session::attach) to); [`Addr`] sends from inside the cluster; [`Cx`] has timers and background
//! work whose ends get `&mut self` again. A session's next message waits until the actor has handled the last one, so
//! order and backpressure are those of a plain handler; what the mailbox of an actor with many callers cannot take is
//! answered with `Overloaded`.
//!
//! An actor lives on the node that opened it and has its place in the locator: there are never two of one name. A message
//! for one that is not open goes to the node that has it, or to one that opens it (by state and weight). Its task
//! runs on the shard that its name falls to.
//!
//! | file | holds |
//! |---|---|
//! | `contract` | [`Actor`], [`OnPanic`], [`TimerId`] |
//! | `method`, `args`, `route` | methods as handlers, and routes that lead to them |
//! | `cx`, `addr`, `attach` | [`Cx`], [`Addr`], sessions attached to actors |
//! | `mailbox`, `timers` | what waits for an actor |
//! | `life` | its task, from the locator's slot to the end |
//! | `host`, `kinds` | the actors of a kind, the kinds of a node |
//! | `afar` | messages for actors of other processes |
//! | `reach` | what a [`Cluster`](crate::Cluster) offers: addresses, spawning, timers |

mod addr;
mod afar;
mod args;
mod attach;
mod contract;
mod cx;
mod host;
mod kinds;
mod life;
mod mailbox;
mod method;
mod reach;
mod refused;
mod route;
mod timers;

pub use addr::Addr;
pub(crate) use afar::end_of;
pub use args::{ActorArg, ActorArgs, OwnSide, Plain};
pub use attach::Attaching;
pub(crate) use attach::Attachment;
pub use contract::{Actor, OnPanic, TimerId};
pub use cx::Cx;
pub(crate) use host::Place;
pub(crate) use kinds::{DoorOf, Kinds, NodeActors};
pub(crate) use life::current_slot;
pub use mailbox::Waiting;
pub use method::{AsyncMethod, Done, Method, Own, OwnPlain};
pub(crate) use route::{ActorRoute, Target};
