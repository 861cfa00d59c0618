//! Reliable streams over UDP: the KCP protocol, as the clients of the old framework speak it.
//!
//! A session is found by the address of its client. Bytes arrive in order and once; both sides see a stream, so frames
//! carry their size. There is no handshake and no goodbye: a session begins with the first datagram of a client, and an
//! end is noticed by silence (heartbeats, or a minute without an acknowledgement). A client that begins a new
//! conversation from the same address replaces its old session. Error correction that a client wraps around its
//! datagrams is taken off; answers go without.
//!
//! Nothing is encrypted and nothing proves an address: bind it where that is acceptable.
//!
//! # Settings
//!
//! Query keys of `kcp://host:port`. The defaults are made for games: short messages, soon there.
//!
//! | key | default | range | meaning |
//! |---|---|---|---|
//! | `nodelay` | on | | retry after 30 ms at the least instead of 100, and back off slowly |
//! | `interval` | 10ms | 10ms to 5s | the longest that an acknowledgement waits for company |
//! | `resend` | 2 | 0 is off | retry at once what so many later segments overtook; one is enough while at most four are under way |
//! | `nc` | on | | no congestion control: only the windows bound what is under way |
//! | `mtu` | 1200 | 64 to 1500 bytes | the longest datagram that leaves: it is never cut up, so it must pass every way (tunnels!) |
//! | `snd-wnd` | 256 | 2 to 8192 segments | most that is under way to one peer |
//! | `rcv-wnd` | 256 | 2 to 8192 segments | most that waits to be read, and so may be under way from one peer |
//! | `ack-nodelay` | off | | acknowledge in every turn; off waits for data, a second segment, a gap or `interval` |
//! | `stream` | on | | writes may share a segment; off is for peers that take each segment for a message |
//! | `max-sessions` | 100000 | | sessions of a server, more are ignored |
//! | `half-open` | 4096 | | sessions whose client has confirmed nothing of ours: a new one ends the oldest |
//!
//! A session holds at most twice `snd-wnd` segments to send, and twice `rcv-wnd` that came.

mod arq;
mod client;
mod clock;
mod conn;
mod datagrams;
mod endpoint;
mod fec;
#[doc(hidden)]
pub mod fuzz;
mod listener;
mod network;
mod port;
mod segment;
mod settings;
mod slots;

pub use network::Kcp;
