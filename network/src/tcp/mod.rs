//! TCP: `tcp://host:port`.
//!
//! One acceptor deals the sockets to the shards, or each shard listens for itself (`reuseport=on`). Nagle's delay is
//! always off: the shards batch what they write.
//!
//! | key of a listener | default | meaning |
//! |---|---|---|
//! | `backlog` | 4096 | clients that the system queues before they are accepted |
//! | `reuseport` | off | a listening socket per shard, for storms of new clients |
//! | `nodelay` | on | may be written, cannot be turned off |
//!
//! | key of a client | default | meaning |
//! |---|---|---|
//! | `connect-timeout` | 3s | how long connecting may take |
//! | `nodelay` | on | as above |

mod accept;
mod conn;
mod deal;
mod network;
pub(crate) mod settings;
pub(crate) mod socket;
mod sockets;

pub(crate) use conn::TcpConn;
pub use network::Tcp;
pub(crate) use sockets::Sockets;
