//! Links of due between servers: link, grpc, tarpc.
//!
//! | feature | scheme | what it is |
//! |---|---|---|
//! | `link` | `link://` | frames over one TCP connection, made for it |
//!
//! Each implements [`due_core::transport::Transport`]; [`install`] adds those that are compiled in to a
//! [`due_core::Drivers`].
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
#[cfg_attr(not(feature = "link"), allow(dead_code, reason = "each transport uses its part"))]
mod handshake;
mod install;
#[cfg(feature = "link")]
pub mod link;
#[cfg(any(feature = "grpc", feature = "tarpc"))]
pub mod mesh;
#[cfg(feature = "handshake")]
#[cfg_attr(not(feature = "link"), allow(dead_code, reason = "each transport uses its part"))]
mod session;
#[cfg(feature = "handshake")]
#[cfg_attr(not(feature = "link"), allow(dead_code, reason = "each transport uses its part"))]
mod settings;
#[cfg(feature = "tarpc")]
pub mod tarpc;

pub use install::install;
