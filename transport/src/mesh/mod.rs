//! Calls by name, shared by the mesh channels of grpc and tarpc: targets, connections kept per member, weighted picks,
//! and the serving side's place in the registry.

mod pick;
mod pool;
mod serve;
mod target;

pub use serve::Serving;

pub(crate) use pool::{Closed, Connect, Pool};
pub(crate) use serve::{Bound, accept};
pub(crate) use target::addresses;

pub use due_core::mesh::SERVICES;
