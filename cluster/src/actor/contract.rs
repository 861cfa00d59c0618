//! What a type promises to be an actor.

use std::{fmt, future::Future};

use super::Cx;
use crate::fault::Fault;

/// State with a mailbox: one message at a time gets `&mut self`, in the order in which they came.
///
/// A handler that awaits holds the actor: order comes before throughput. What may run meanwhile belongs into
/// [`Cx::background`]. Two awaits of one handler are never parted by another message.
///
/// ```
/// use due_cluster::{Fault, actor::{Actor, Cx}, handler::{Msg, Routes}};
/// use due_codec::Json;
/// use due_core::{Call, Uid};
///
/// const ENTER: Call<u64, usize, Json> = Call::new(1, "room.enter").authorized();
///
/// #[derive(Default)]
/// struct Room { seats: Vec<Uid> }
///
/// impl Actor for Room {
///     const KIND: &'static str = "room";
///     type Key = u64;
/// }
///
/// impl Room {
///     async fn enter(&mut self, uid: Uid, _cx: Cx<Room>) -> Result<usize, Fault> {
///         self.seats.push(uid);
///         Ok(self.seats.len())
///     }
/// }
///
/// let routes: Routes = Routes::new().actor_by(ENTER, |room| *room, Room::enter);
/// # let _ = routes;
/// ```
pub trait Actor: Sized + Send + 'static {
    /// The name of the kind, 1 to 128 bytes and unique in the cluster.
    const KIND: &'static str;

    /// Which one of the kind. Two keys are the same if they print the same; 1 to 128 bytes.
    type Key: Clone + Send + Sync + fmt::Display + 'static;

    /// What a panic of a handler, timer or background result does, beside failing that one message.
    const ON_PANIC: OnPanic = OnPanic::Resume;

    /// Messages that may wait; one more is answered with `Overloaded`. Timers and background results do not count.
    const MAILBOX: usize = 1024;

    /// Bytes of the bodies that may wait. A message larger than that is taken by an empty mailbox.
    const MAILBOX_BYTES: usize = 1024 * 1024;

    /// The key that prints as `text`. A message from another node may open an actor by it; without one (`None`, the
    /// default) only a route that tells the key ([`Routes::actor_by`](crate::handler::Routes::actor_by)) and senders on
    /// the same node can.
    fn read_key(text: &str) -> Option<Self::Key> {
        let _ = text;
        None
    }

    /// Runs before the first message. An error ends the actor, and is the answer to all that wait for it.
    fn started(&mut self, cx: &Cx<Self>) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = cx;
        async { Ok(()) }
    }

    /// Runs after the last message, while the actor still has its name. Not after a panic that ends it.
    fn stopped(&mut self, cx: &Cx<Self>) -> impl Future<Output = ()> + Send {
        let _ = cx;
        async {}
    }
}

/// What happens to an actor whose code panicked. The message that did it is answered with an internal error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnPanic {
    /// It goes on with the state as the panic left it.
    #[default]
    Resume,
    /// It is opened anew in the same place: a new state, no timers, no background work; mailbox, address and attached
    /// sessions stay. Without an opener (`Node::actors`) it stops.
    Restart,
    /// It ends; what waits is answered with `Unavailable`.
    Stop,
}

/// Names a timer of an actor, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(pub(crate) u64);
