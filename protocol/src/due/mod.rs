//! The format of due v2 and its README form.
//!
//! ```text
//! data       size 4 | header 1 | route 1, 2 or 4 | seq 0, 1, 2 or 4 | body
//! heartbeat  size 4 | 0x80                              (a server may add 8 bytes of time)
//! extension  size 4 | code 1   | body                   (only with clients that said hello)
//! ```
//! `size` counts what follows it. Bit 7 of the header marks a heartbeat, the other bits hold the extension code.
//! Numbers are two's complement in the byte order of the listener. On tcp and kcp frames follow each other in a stream;
//! on ws one binary message is one frame, without `size` where [`Settings::ws_size`] is off.
//!
//! [`Dialect`] holds the settings of a listener and does all encoding and decoding; [`Assembler`] keeps what one
//! connection has left over between reads; [`Client`] is the client's side of both.
//!
//! # Clients old and new
//!
//! A client of real due never sets an extension code and must never see one. A client says hello by a first frame with
//! code 1 and a body of `due1` and a JSON map. [`Peer`] remembers which of them is on the other side: with an old client
//! odd frames are dropped and the connection stays, as due does; after hello every odd frame is an error.

mod assembler;
mod client;
mod dialect;
mod encode;
mod extension;
mod frame;
mod hello;
mod settings;

pub use assembler::{Assembler, Flow};
pub use client::{Client, Received};
pub use dialect::{Dialect, HeartbeatTime, Order, Settings};
pub use encode::{EncodeError, Head, HeadBytes};
pub use extension::{Failure, GoAway, Kick, code};
pub use frame::{Frame, FrameError, HTTP_ANSWER, Peer, Step};
pub use hello::{Hello, Resume, VERSION, Welcome};
