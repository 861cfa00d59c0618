//! Links of due between servers: link, grpc, tarpc.
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "handshake")]
#[allow(dead_code, reason = "the transports follow")]
mod handshake;
#[cfg(any(feature = "grpc", feature = "tarpc"))]
pub mod mesh;
#[cfg(feature = "handshake")]
#[allow(dead_code, reason = "the transports follow")]
mod session;
#[cfg(feature = "handshake")]
#[allow(dead_code, reason = "the transports follow")]
mod settings;
#[cfg(feature = "tarpc")]
pub mod tarpc;
