//! Client sockets of due: one module and one feature per network.
//!
//! | feature | scheme | what it is |
//! |---|---|---|
//! | `tcp` | `tcp://` | a stream of bytes |
//! | `ws` | `ws://` | WebSocket: one binary message is one frame of the protocol |
//! | `kcp` | `kcp://` | a reliable stream over UDP |
//!
//! Each implements [`due_core::net::Network`]; [`install`] adds those that are compiled in to a
//! [`due_core::Drivers`]. What the bytes mean is the business of the protocol, not of this crate.
//!
//! ```
//! let mut drivers = due_core::Drivers::memory();
//! due_network::install(&mut drivers);
//! ```
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "ws")]
#[doc(hidden)]
pub mod fuzz;
mod install;
#[cfg(feature = "kcp")]
pub mod kcp;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(feature = "ws")]
pub mod ws;

pub use install::install;
