//! Message bodies of due: [`Json`], [`MsgPack`], [`Protobuf`].
//!
//! Each codec is a zero-size type that implements [`due_core::Codec`] for the values its format can carry; a route
//! names one as its type parameter. One feature each: `json`, `msgpack`, `protobuf`.
//!
//! | codec | carries | nesting | left-over bytes | unknown fields |
//! |---|---|---|---|---|
//! | `Json` | `serde` types | 127 levels | refused, white space aside | skipped |
//! | `MsgPack` | `serde` types, structs as maps by field name | 64 levels, no ext types | refused | skipped |
//! | `Protobuf` | `prost::Message` | 100 levels | the format cannot tell | skipped |
//!
//! `()` is zero bytes in all three and decodes from any body.
//!
//! Bytes come from strangers: every decoder bounds its depth, trusts no length it has not compared with the bytes at
//! hand, never panics, and quotes at most 256 bytes of a wrong body in its error. What a value takes in memory follows
//! from its type: a list costs its element's size for each element, and an element may be as short as one byte.

#[cfg(any(feature = "json", feature = "msgpack", feature = "protobuf"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(any(feature = "json", feature = "msgpack", feature = "protobuf"))]
mod refusal;
#[cfg(any(feature = "json", feature = "msgpack", feature = "protobuf"))]
mod unit;

#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MsgPack;
#[cfg(feature = "protobuf")]
pub use protobuf::Protobuf;
