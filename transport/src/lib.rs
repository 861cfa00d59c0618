//! Links of due between servers: link, grpc, tarpc.
//!
//! | feature | scheme | what it is |
//! |---|---|---|
//! | `link` | `link://` | frames over one TCP connection, made for it |
//! | `grpc` | `grpc://` | the same in one bidirectional stream of gRPC, for networks that pass nothing else |
//! | `tarpc` | `tarpc://` | the same in calls of tarpc, over two connections |
//!
//! Each implements [`due_core::transport::Transport`]; [`install`] adds those that are compiled in to a
//! [`due_core::Drivers`]. What a link promises, and the keys of its URL, are the same for all of them: see
//! [`link`](https://docs.rs/due-transport/latest/due_transport/link/).
//!
//! With `peer` the named processes serve registry, locator, event bus and live settings to each other: see `peers`.
//!
//! With `grpc` and `tarpc` come calls by name between users' own services.
//!
//! ```
//! let mut drivers = due_core::Drivers::memory();
//! due_transport::install(&mut drivers);
//! ```
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "handshake")]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "handshake")]
mod handshake;
mod install;
#[cfg(feature = "link")]
pub mod link;
#[cfg(any(feature = "grpc", feature = "tarpc"))]
pub mod mesh;
#[cfg(feature = "handshake")]
mod peer;
#[cfg(feature = "peer")]
pub mod peers;
#[cfg(feature = "handshake")]
mod session;
#[cfg(feature = "handshake")]
mod settings;
#[cfg(feature = "tarpc")]
pub mod tarpc;
#[cfg(any(feature = "grpc", feature = "tarpc"))]
mod tunnel;

pub use install::install;
