//! Client of due for Rust programs, bots and load.
//!
//! A [`Client`] speaks to a gate by the constants that the server was written with: calls with answers, notifies, and
//! streams of pushes. It says hello, sends heartbeats, ends a connection on which the server has gone silent, and, if
//! asked to, connects again with growing waits.
//!
//! ```
//! use due_codec::Json;
//! use due_core::{Call, Push};
//! use due_sdk::{CallError, Client};
//!
//! const JOIN: Call<String, u32, Json> = Call::new(1, "room.join");
//! const SAID: Push<String, Json> = Push::new(101, "room.said");
//!
//! # async fn play() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("tcp://127.0.0.1:3553?heartbeat=5s").await?;
//! let mut said = client.pushes(SAID);
//! match client.call(JOIN, &"ann".to_owned()).await {
//!     Ok(members) => println!("{members} are here"),
//!     Err(CallError::Refused { code, text }) => println!("{text} ({code})"),
//!     Err(e) => return Err(e.into()),
//! }
//! while let Some(line) = said.next().await {
//!     println!("{}", line?);
//! }
//! println!("{}", client.closed().await);
//! # Ok(())
//! # }
//! ```
//!
//! # The address
//!
//! `tcp://`, `ws://` and `kcp://` by feature, `memory://` with [`Builder::drivers`]. The keys of the format must equal the
//! server's: see [`Dialect`]. A larger `max-body` on ws needs a larger `max-message` too. The client's own:
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `hello` | on | off for a server of due v2; without hello a refused call is a timeout |
//! | `heartbeat` | 10s | how often to show life; silent for two is dead; off for never |
//! | `timeout` | 5s | how long a call waits for its answer |
//! | `reconnect` | off | connect again after a lost connection: [`Backoff`] |
//! | `outbox` | 1MiB | bytes that may wait to be sent |
//! | `in-flight` | 1024 | calls that may wait for their answers |
//! | `pushes` | 256 | messages that each stream of pushes holds |
//!
//! All other keys are the network's, such as `connect-timeout`.
//!
//! # Pushes from the first moment on
//!
//! A server may push as soon as a client connects. Take the streams first, then open:
//!
//! ```
//! # use due_codec::Json;
//! # use due_core::{Drivers, Push};
//! # use due_sdk::Client;
//! # const SAID: Push<String, Json> = Push::new(101, "room.said");
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), due_core::Error> {
//! let client = Client::builder("memory://room").drivers(Drivers::memory()).build()?;
//! let said = client.pushes(SAID);
//! let nobody = client.open().await.unwrap_err();
//! assert_eq!(nobody.kind(), due_core::Kind::Unavailable);
//! # drop(said);
//! # Ok(())
//! # }
//! ```
//!
//! # Many clients
//!
//! Thousands of clients share one [`EventLoop`]: one task, one read buffer, one timer. A [`Builder`] is cloned for each,
//! and its clones share all settings. An idle bot takes about 1.3 KB of this process on tcp and 1.8 KB on ws (64-bit Linux);
//! the example `bots` connects as many as it is told and prints what one costs.
//!
//! ```no_run
//! # async fn bots() -> Result<(), due_core::Error> {
//! use due_sdk::{Client, EventLoop};
//! let bots = Client::builder("tcp://127.0.0.1:3553").on(&EventLoop::start()?);
//! for n in 0..10_000 {
//!     let bot = bots.clone().payload(format!("bot-{n}")).connect().await?;
//!     // spawn what it does
//! #   drop(bot);
//! }
//! # Ok(())
//! # }
//! ```
#![warn(clippy::indexing_slicing)]

mod answer;
mod backoff;
mod builder;
mod client;
mod error;
mod event;
mod event_loop;
mod hub;
mod line;
mod push;
mod queue;
mod raw;
mod sealed;
mod settings;
mod sync;

pub use answer::Answer;
pub use backoff::Backoff;
pub use builder::Builder;
pub use client::{Client, Stat};
pub use due_protocol::Dialect;
pub use error::{CallError, Closed};
pub use event::{Event, Events, State};
pub use event_loop::EventLoop;
pub use push::{PushStream, RawPush, RawStream};
pub use raw::Raw;
