//! Protocol Buffers bodies by prost.

use due_core::{Codec, CodecError};
use prost::Message;

use crate::{refusal::refusal, unit::unit};

/// Bodies as Protocol Buffers messages of prost.
///
/// The format marks no end and no missing field: an empty body is a message of defaults, and of a field given twice the
/// last counts. Nesting stops at 100 levels, in skipped fields too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Protobuf;

impl<T: Message + Default + 'static> Codec<T> for Protobuf {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.encode(out).map_err(|e| refusal("protobuf", e))
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        match unit() {
            Some(nothing) => Ok(nothing),
            None => T::decode(bytes).map_err(|e| refusal("protobuf", e)),
        }
    }
}
