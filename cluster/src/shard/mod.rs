//! A shard: one thread's worth of connections, sessions and handlers, run by one future.
//!
//! What belongs to a shard never leaves it. Others reach it through its [`inbox`]; sockets, links and handlers through
//! the [`ready`] list that their wakers fill.

pub(crate) mod driver;
pub(crate) mod inbox;
pub(crate) mod ready;
pub(crate) mod timers;
pub(crate) mod watchdog;
