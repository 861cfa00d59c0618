//! Nodes: sessions, their mailboxes, and the handlers they run.

mod afar;
mod answer;
pub(crate) mod bound;
pub(crate) mod call;
pub(crate) mod caller;
mod frames;
pub(crate) mod heal;
pub(crate) mod part;
mod run;
pub(crate) mod shard;
mod visit;
pub(crate) mod wake;

pub use part::{Node, Order};
