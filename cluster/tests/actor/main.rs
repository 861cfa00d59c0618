//! Actors, from the outside: over a gate and a node in this process, most of them with paused time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod attach;
mod drained;
mod life;
mod mailbox;
mod room;
mod time;
