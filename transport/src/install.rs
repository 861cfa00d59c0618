//! Which transports are compiled in.

use due_core::Drivers;

/// Adds each transport whose feature is on, under its scheme. Each opens with the keys of its URL.
pub fn install(drivers: &mut Drivers) {
    #[cfg(feature = "link")]
    drivers.transport.add("link", |url| async move {
        let transport: std::sync::Arc<dyn due_core::transport::Transport> =
            std::sync::Arc::new(crate::link::Native::open(&url)?);
        Ok(transport)
    });
    #[cfg(feature = "grpc")]
    drivers.transport.add("grpc", |url| async move {
        let transport: std::sync::Arc<dyn due_core::transport::Transport> =
            std::sync::Arc::new(crate::grpc::Grpc::open(&url)?);
        Ok(transport)
    });
    #[cfg(feature = "tarpc")]
    drivers.transport.add("tarpc", |url| async move {
        let transport: std::sync::Arc<dyn due_core::transport::Transport> =
            std::sync::Arc::new(crate::tarpc::Tarpc::open(&url)?);
        Ok(transport)
    });
    #[cfg(feature = "peer")]
    crate::peers::install(drivers);
    let _ = drivers;
}
