//! Which registries are compiled in.

use due_core::Drivers;

/// Adds each registry whose feature is on, under its scheme.
pub fn install(drivers: &mut Drivers) {
    #[cfg(feature = "consul")]
    drivers.registry.add("consul", crate::consul::open);
    #[cfg(feature = "etcd")]
    drivers.registry.add("etcd", crate::etcd::open);
    let _ = drivers;
}
