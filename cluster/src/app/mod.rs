//! Applications: parts put together, started and stopped.

mod alone;
mod connect;
pub(crate) mod drain;
mod part;
mod running;
mod settings;
mod shards;
mod start;
mod topics;

#[doc(hidden)]
pub use alone::Alone;
pub use drain::Drained;
pub use part::{App, Part};
pub use running::{Running, signal};
pub use shards::Shards;
