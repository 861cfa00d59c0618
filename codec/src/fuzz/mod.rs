//! Entry points for fuzzers: each takes any bytes, and panics only when a promise of its codec is broken.

mod promise;

#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(any(feature = "json", feature = "msgpack"))]
mod tree;

#[cfg(feature = "json")]
pub use json::json;
#[cfg(feature = "msgpack")]
pub use msgpack::msgpack;
#[cfg(feature = "protobuf")]
pub use protobuf::protobuf;
