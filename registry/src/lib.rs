//! Who is alive, for due: one module and one feature per registry.
//!
//! | feature | scheme | server |
//! |---|---|---|
//! | `consul` | `consul://` | consul 1.9 or newer, an agent on the same machine |
//! | `etcd` | `etcd://` | etcd 3.4 or newer |
//!
//! Each is a [`due_core::registry::RegistryStore`] under [`due_core::registry::Kept`]; [`install`] adds those that are
//! compiled in to a [`due_core::Drivers`].
//!
//! ```
//! let mut drivers = due_core::Drivers::memory();
//! due_registry::install(&mut drivers);
//! ```
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "consul")]
pub mod consul;
#[cfg(feature = "etcd")]
pub mod etcd;
mod install;

pub use install::install;
