//! Shared state for due: locator, lock and cache on redis, locator on etcd.

mod install;
#[cfg(feature = "redis")]
pub mod redis;

pub use install::install;
