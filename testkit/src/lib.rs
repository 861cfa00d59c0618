//! Behaviour suites for backends of due.
//!
//! One suite per contract: a list of cases, each a documented behaviour, gated by the capabilities that the backend
//! declares. The memory backends pass them here; a backend author calls them on a real server, in a test whose name says
//! so: [`record`] makes a row of `docs/backends.md` of it.

pub mod bus;
pub mod cache;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
pub mod locate;
pub mod lock;
pub mod network;
pub mod record;
pub mod registry;
#[cfg(feature = "servers")]
pub mod server;
pub mod suite;
pub mod transport;
