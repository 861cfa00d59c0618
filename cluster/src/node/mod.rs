//! Nodes: sessions, their mailboxes, and the handlers they run.

mod afar;
mod answer;
pub(crate) mod bound;
pub(crate) mod call;
pub(crate) mod caller;
pub(crate) mod contact;
mod frames;
pub(crate) mod heal;
pub(crate) mod part;
mod run;
pub(crate) mod shard;
pub(crate) mod speakers;
mod visit;
pub(crate) mod wake;

pub use part::{Node, Order};
