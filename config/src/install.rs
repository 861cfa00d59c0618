//! Which sources are compiled in.

use due_core::Drivers;

/// Adds each source whose feature is on, under its scheme.
pub fn install(drivers: &mut Drivers) {
    #[cfg(feature = "consul")]
    drivers.config.add("consul", crate::consul::open);
    #[cfg(feature = "file")]
    drivers.config.add("file", crate::file::open);
    #[cfg(feature = "etcd")]
    drivers.config.add("etcd", crate::etcd::open);
    let _ = drivers;
}
