//! Bodies as they are.

use bytes::Bytes;
use due_core::{Codec, CodecError};

/// A codec that leaves bodies alone: for tools that know routes by number only.
///
/// ```
/// use bytes::Bytes;
/// use due_core::Call;
/// use due_sdk::Raw;
/// let any_route: Call<Bytes, Bytes, Raw> = Call::new(7, "seven");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec<Bytes> for Raw {
    const RAW: bool = true;

    fn encode(&self, value: &Bytes, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}

impl Codec<()> for Raw {
    fn encode(&self, (): &(), _: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(&self, _: &[u8]) -> Result<(), CodecError> {
        Ok(())
    }
}
