//! A whole cluster in one test: gates and nodes as processes of their own, clients, faults, and time that can be paused.
//!
//! [`TestCluster`] takes the application as its author describes it and starts each gate and node of it alone, over memory
//! backends that they share: nothing is called directly, all goes over links. It runs on the caller's runtime, so a test
//! with paused time sees every timer fire in order and needs no real second.
//!
//! ```
//! use due_cluster::{App, Gate, Node, handler::{Msg, Routes}};
//! use due_codec::Json;
//! use due_core::{Call, Drivers};
//! use due_testkit::cluster::TestCluster;
//! use std::time::Duration;
//!
//! const ADD: Call<i64, i64, Json> = Call::new(1, "add");
//!
//! fn app() -> App {
//!     let routes = Routes::new().route(ADD, |Msg(n): Msg<i64>| n + 1);
//!     App::new(Drivers::memory()).with(Gate::new("gate")).with(Node::new("game").routes(routes))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let cluster = TestCluster::new(app).gates(2).nodes(3).seed(91).start().await;
//! let ann = cluster.client().await;
//! assert_eq!(ann.call(ADD, &1).await, Ok(2));
//! cluster.kill("game-1").await;
//! cluster.advance(Duration::from_secs(8)).await;
//! assert_eq!(ann.call(ADD, &2).await, Ok(3));
//! # });
//! ```
//!
//! What it does not play: tasks that a handler spawned on the runtime outlive [`TestCluster::kill`]; a partition of the
//! memory links is silence, as nothing sends heartbeats over them; a gate's choice among nodes is random and not seeded.
#![allow(clippy::panic, reason = "a test that cannot go on ends, and says why")]

mod client;
mod dice;
mod faults;
mod late;
mod process;
mod start;

pub use client::{Answer, CallError, Client, Ended};
pub use dice::Dice;
pub use start::TestCluster;
