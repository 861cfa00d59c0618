//! The API over whole clusters in one process: what it answers, to whom, and what it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod approvals;
mod bad;
mod blocks;
mod broadcasts;
mod config;
mod contract;
mod events;
mod nodes;
mod odd;
mod roles;
mod schemathesis;
mod scopes;
mod users;
mod world;
