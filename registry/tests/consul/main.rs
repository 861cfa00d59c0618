//! The registry on a real consul.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bench;
mod faults;
mod odd;
mod suite;
