//! Who should hear, for due: one module and one feature per event bus.
//!
//! | feature | scheme | what it is |
//! |---|---|---|
//! | `kafka` | `kafka://` | Kafka (compiles librdkafka, a C library) |
//! | `nats` | `nats://` | NATS, plain or with JetStream |
//! | `rabbitmq` | `amqp://` | RabbitMQ |
//! | `redis` | `redis://` | Redis, channels or streams |
//!
//! Each is a [`due_core::bus::Broker`]; [`install`] adds those that are compiled in to a [`due_core::Drivers`].
//!
//! ```
//! let mut drivers = due_core::Drivers::memory();
//! due_eventbus::install(&mut drivers);
//! ```
#![warn(clippy::indexing_slicing)]

mod install;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
mod names;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
#[cfg_attr(not(any(feature = "nats", feature = "rabbitmq")), allow(dead_code, reason = "they ask who has gone"))]
mod queue;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
#[cfg(feature = "redis")]
pub mod redis;

pub use install::install;
