//! Whole applications inside the process of the test, on real listeners, and clients that speak raw bytes to them.
//!
//! One program for all of them: each links everything that there is, and linking is what building tests takes long for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod backpressure;
mod blocking;
mod bodies;
mod carried;
mod encrypted;
mod events;
mod faults;
mod framing;
mod heartbeat;
mod kcp;
mod login;
mod mesh;
mod moved;
mod pipelined;
mod push;
mod routing;
mod sessions;
mod turns;
#[path = "../wire/mod.rs"]
mod wire;
