//! The fleet example as real processes on real servers: what clients see while processes and servers die and come back.
//!
//! Bots play on under each fault and write down what they did and what came of it; `history` holds what must be true of
//! that whatever happens; `FLEET_LOG=1` shows what the processes log. A test whose servers are not installed is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures, and what processes log, for whoever asks")]

mod bot;
mod game;
mod history;
mod kills;
mod login;
mod master;
mod page;
mod peers;
mod process;
#[allow(dead_code, reason = "these processes are started in another way")]
#[path = "../program/mod.rs"]
mod program;
mod rolling;
mod scene;
mod start;
mod stopped;
mod walk;
mod world;
