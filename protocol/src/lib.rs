//! Client wire formats of due as state machines: bytes in, frames out, and back.
//!
//! The crate opens no socket, starts no task and reads no clock. A server's gate and a client library feed it what they
//! read; time comes as an argument. Every length from outside is checked before anything is allocated for it, and no
//! input makes it panic.
//!
//! | module | format |
//! |---|---|
//! | [`due`] | the format of due v2 (dialect D2), its README form (D1), and the extension frames of hello clients |
//!
//! The names of the default format also stand at the root of the crate.
//!
//! ```
//! use due_protocol::{Assembler, Dialect, Flow, Frame, Framing, Head, Peer};
//!
//! let dialect = Dialect::default();
//! let mut out = Vec::new();
//! dialect.put_data(Head { route: 1, seq: 7 }, b"hi", Framing::Stream, &mut out)?;
//! assert_eq!(out, b"\0\0\0\x07\0\0\x01\0\x07hi");
//!
//! let mut inbound = Assembler::new(Peer::New, Framing::Stream);
//! let (first, second) = out.split_at(6); // however the network cuts it
//! for chunk in [first, second] {
//!     inbound.feed(&dialect, chunk, |frame| {
//!         assert_eq!(frame, Frame::Data { route: 1, seq: 7, body: b"hi" });
//!         Flow::Continue
//!     })?;
//! }
//! # Ok::<(), due_core::Error>(())
//! ```
#![warn(clippy::indexing_slicing)]

pub mod due;
#[doc(hidden)]
pub mod fuzz;

pub use due::*;
pub use due_core::net::Framing;
