//! The redis stores on a real server: the behaviour suites, and what goes wrong.

#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod bench;
mod failover;
mod relay;
mod suites;
