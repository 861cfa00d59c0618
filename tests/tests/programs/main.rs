//! Programs of the examples, as real processes, and clients that are not ours: a browser, those of due in Go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod browser;
mod interop;
mod log;
#[allow(dead_code, reason = "what logs is started in a way of its own")]
#[path = "../program/mod.rs"]
mod program;
