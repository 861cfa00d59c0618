//! Message bodies: a codec turns a value into bytes and back.

use std::{error::Error as StdError, fmt};

/// Shapes bodies of type `T`. The value is the type parameter, so serde and prost types need no erased trait, and a
/// codec that cannot carry a route's type is a compile error.
///
/// Every codec carries `()` as zero bytes and decodes it from any body. A decoder bounds depth and never allocates more
/// than a small multiple of the bytes it was given.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry `{T}`",
    label = "Json and MsgPack need serde's Serialize and Deserialize, Protobuf needs prost::Message"
)]
pub trait Codec<T>: Default + Copy + Send + Sync + 'static {
    /// The bytes are the application's own, and a node sends them as they are even where it encrypts bodies
    /// ([`crypto`](crate::crypto)). For codecs that leave bytes alone.
    const RAW: bool = false;

    /// Appends the bytes of `value` to `out`. After an error `out` may hold a part of them: the caller cuts it back.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads one value from all of `bytes`; bytes left over are an error where the format can tell.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// A body that a codec cannot write or read.
#[derive(Debug)]
pub struct CodecError {
    format: &'static str,
    source: Box<dyn StdError + Send + Sync>,
}

impl CodecError {
    /// An error of `format` ("json"), with the library's own text as cause.
    pub fn new(format: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { format, source: source.into() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} body: {}", self.format, self.source)
    }
}

impl StdError for CodecError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The text above already holds the cause; going on would print it twice.
        None
    }
}
