//! Applications: parts put together, started and stopped.

mod connect;
mod part;
mod running;
mod shards;
mod start;
mod topics;

pub use part::{App, Part};
pub use running::{Running, signal};
pub use shards::Shards;
