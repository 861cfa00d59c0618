use super::{promise::keeps, tree::Tree};
use crate::MsgPack;

/// Any bytes as a MessagePack body.
pub fn msgpack(bytes: &[u8]) {
    keeps::<Tree, _>(MsgPack, bytes);
    keeps::<Vec<Tree>, _>(MsgPack, bytes);
}
