//! The redis stores on a real server: the behaviour suites, and what goes wrong.

#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bench;
mod faults;
mod journal;
mod login;
mod relay;
mod suites;
