//! Gates: client connections, checks, routing, outboxes. A gate never looks into a body.

mod accept;
pub(crate) mod at_once;
pub(crate) mod awaited;
mod barrier;
mod binding;
pub(crate) mod blocks;
pub(crate) mod budget;
mod channels;
mod claims;
pub(crate) mod client;
pub(crate) mod fan;
pub(crate) mod heal;
mod inbound;
mod input;
mod kick;
pub(crate) mod lost;
pub(crate) mod members;
pub(crate) mod orders;
pub(crate) mod outbound;
mod part;
mod settings;
pub(crate) mod shard;
mod short;
mod sweep;
pub(crate) mod users;
mod way;

pub use members::Dispatch;
pub use part::{Admission, Arrival, Duplicate, Gate, Refusal};
pub use settings::{ListenerSettings, Mechanism, Untold};
