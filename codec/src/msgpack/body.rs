use due_core::{Codec, CodecError};
use serde::{Serialize, de::DeserializeOwned};

use super::walk::walk;
use crate::{refusal::refusal, unit::unit};

/// Bodies as MessagePack: small and quick, with names of fields on the wire, so a struct may gain fields.
///
/// A key given twice is an error for a struct, the last one counts for a map. Ext types are refused: no two programs
/// agree on them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MsgPack;

impl<T: Serialize + DeserializeOwned + 'static> Codec<T> for MsgPack {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if unit::<T>().is_some() {
            return Ok(());
        }
        let mut named = rmp_serde::Serializer::new(out).with_struct_map();
        value.serialize(&mut named).map_err(|e| refusal("msgpack", e))
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        if let Some(nothing) = unit() {
            return Ok(nothing);
        }
        walk(bytes).map_err(|e| refusal("msgpack", e))?;
        rmp_serde::from_slice(bytes).map_err(|e| refusal("msgpack", e))
    }
}
