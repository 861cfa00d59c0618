//! Which networks are compiled in.

use due_core::Drivers;

/// Adds each network whose feature is on, under its scheme.
pub fn install(drivers: &mut Drivers) {
    #[cfg(feature = "tcp")]
    add(drivers, "tcp", crate::tcp::Tcp);
    #[cfg(feature = "ws")]
    add(drivers, "ws", crate::ws::Ws);
    #[cfg(feature = "kcp")]
    add(drivers, "kcp", crate::kcp::Kcp);
    let _ = drivers;
}

#[cfg(any(feature = "tcp", feature = "ws", feature = "kcp"))]
fn add(drivers: &mut Drivers, scheme: &'static str, network: impl due_core::net::Network) {
    let network: std::sync::Arc<dyn due_core::net::Network> = std::sync::Arc::new(network);
    drivers.network.add(scheme, move |_| std::future::ready(Ok(network.clone())));
}
