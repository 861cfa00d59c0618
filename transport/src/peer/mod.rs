//! Both sides of a link over any connection: the handshake, dialing again, and the end that a shard polls.
//!
//! What a link goes over is a [`Carrier`]: a socket of its own, or a tunnel in the calls of another protocol. Everything
//! that links promise is made here once and holds over each of them.

mod carrier;
mod dial;
mod door;
mod end;
mod greet;
mod port;
mod socket;
pub(crate) mod tcp;

pub(crate) use carrier::{Carrier, Over};
pub(crate) use door::Door;
pub(crate) use socket::Socket;
