//! Links of due between servers: link, grpc, tarpc.
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(any(feature = "grpc", feature = "tarpc"))]
pub mod mesh;
