//! Who should hear, for due: buses nats, kafka, redis, rabbitmq.
