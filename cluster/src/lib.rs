//! The runtime of due: gates, nodes, sessions, shards and their life cycle.
//!
//! | module | what it holds |
//! |---|---|
//! | [`admin`] | what people ask of running instances |
//! | [`app`] | parts put together, started and stopped |
//! | [`gate`] | client connections, checks, routing, outboxes |
//! | [`node`] | sessions, mailboxes, running handlers |
//! | [`mesh`] | stateless services, called by name |
//! | [`handler`] | what applications write: routes, extractors, layers |
//! | [`actor`] | one mailbox, one `&mut self` at a time |
//! | [`session`], [`cluster`], [`pushes`] | handles for handlers |
//! | [`stat`] | counters and histograms |
//! | `shard` | the one future of a thread: ready list, inbox, timers, watchdog |
//! | `link` | what gates and nodes say to each other |
//! | `peer` | other processes, for orders and calls beside the lanes of sessions |
//!
//! This crate names no backend and opens no socket: both come in as values of `due-core`'s contracts.

pub mod actor;
pub mod admin;
pub mod app;
pub mod cluster;
pub mod fault;
pub mod gate;
pub mod handler;
#[cfg(feature = "http")]
pub mod http;
mod link;
pub mod mesh;
pub mod node;
mod peer;
pub mod pushes;
pub mod session;
mod shard;
pub mod stat;
mod store;

pub use app::{App, Part, Running, Shards};
pub use cluster::{Cluster, Sent, Stat, To};
pub use fault::Fault;
pub use gate::{Admission, Arrival, Dispatch, Duplicate, Gate, Refusal};
#[cfg(feature = "http")]
pub use http::Http;
pub use mesh::Mesh;
pub use node::{Node, Order};
pub use pushes::ToChannels;
pub use session::Session;
pub use stat::Snapshot;
