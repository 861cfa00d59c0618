//! Shared state for due: one module and one feature per store.
//!
//! | feature | scheme | contracts |
//! |---|---|---|
//! | `etcd` | `etcd://` | locator |
//! | `redis` | `redis://` | locator, lock, cache |
//!
//! [`install`] adds what is compiled in to a [`due_core::Drivers`].
//!
//! ```
//! let mut drivers = due_core::Drivers::memory();
//! due_store::install(&mut drivers);
//! ```

#[cfg(feature = "etcd")]
pub mod etcd;
mod install;
#[cfg(feature = "redis")]
pub mod redis;

pub use install::install;
