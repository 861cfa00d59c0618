//! Which stores are compiled in.

use due_core::Drivers;

/// Adds each store whose feature is on, under its scheme.
pub fn install(drivers: &mut Drivers) {
    #[cfg(feature = "etcd")]
    drivers.locator.add("etcd", crate::etcd::open);
    #[cfg(feature = "redis")]
    drivers.locator.add("redis", crate::redis::locate::open);
    #[cfg(feature = "redis")]
    drivers.lock.add("redis", crate::redis::lock::open);
    #[cfg(feature = "redis")]
    drivers.cache.add("redis", crate::redis::cache::open);
    let _ = drivers;
}
