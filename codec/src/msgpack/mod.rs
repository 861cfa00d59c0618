//! MessagePack bodies by rmp-serde.

mod body;
mod walk;

pub use body::MsgPack;
