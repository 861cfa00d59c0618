//! The servers there are.

use std::fmt;

use crate::{Result, recipe};

/// A server that tests can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Redis with an append-only file.
    Redis,
    /// etcd, one member.
    Etcd,
    /// A Consul server, alone.
    Consul,
    /// NATS with JetStream.
    Nats,
    /// Kafka in KRaft mode: one broker that is its own controller.
    Kafka,
    /// RabbitMQ, user and password `guest`.
    Rabbitmq,
}

impl Program {
    /// All of them; the ones that install quickly first.
    pub const ALL: [Self; 6] = [Self::Redis, Self::Nats, Self::Etcd, Self::Kafka, Self::Rabbitmq, Self::Consul];

    /// The word for it on command lines: `redis`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Etcd => "etcd",
            Self::Consul => "consul",
            Self::Nats => "nats",
            Self::Kafka => "kafka",
            Self::Rabbitmq => "rabbitmq",
        }
    }

    /// The environment variable that names one which runs already, as `host:port`: `DUE_TEST_REDIS`.
    #[must_use]
    pub fn variable(self) -> String {
        format!("DUE_TEST_{}", self.name().to_uppercase())
    }

    /// The port it gets where people start it by hand, on loopback. The few after it may be its too.
    #[must_use]
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Redis => 26379,
            Self::Etcd => 22379,
            Self::Consul => 25500,
            Self::Nats => 24222,
            Self::Kafka => 29092,
            Self::Rabbitmq => 25672,
        }
    }

    /// Whether it can be started here.
    ///
    /// # Errors
    /// Says what is missing and how to install it.
    pub fn installed(self) -> Result {
        match (recipe::of(self).missing)() {
            None => Ok(()),
            Some(what) => {
                Err(format!("{self} is not installed, {what} is missing: cargo xtask servers install {self}"))
            }
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
