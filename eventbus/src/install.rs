//! Which buses are compiled in.

use due_core::Drivers;

/// Adds each event bus whose feature is on, under its scheme.
pub fn install(drivers: &mut Drivers) {
    #[cfg(feature = "kafka")]
    drivers.eventbus.add("kafka", |url| async move { crate::kafka::open(&url).await });
    #[cfg(feature = "nats")]
    drivers.eventbus.add("nats", |url| async move { crate::nats::open(&url).await });
    #[cfg(feature = "redis")]
    drivers.eventbus.add("redis", |url| async move { crate::redis::open(&url).await });
    #[cfg(feature = "rabbitmq")]
    drivers.eventbus.add("amqp", |url| async move { crate::rabbitmq::open(&url).await });
    let _ = drivers;
}
