//! The log of a program: what its libraries say by `tracing`, on several sinks at once.
//!
//! The libraries of due only emit events. A program sets its log up, once, first thing in `main`:
//!
//! ```no_run
//! use due_log::Setup;
//!
//! # fn main() -> due_core::Result<()> {
//! let log = Setup::new()
//!     .levels("info,due_cluster=debug".parse()?)
//!     .url("stderr://")?
//!     .url("file:///var/log/game.log?format=json&rotate=daily&keep=7")?
//!     .start()?;
//! tracing::info!(room = 7, "a room is open");
//! drop(log); // writes what is left
//! # Ok(())
//! # }
//! ```
//!
//! [`start`] does the same from the settings of a program. What holds:
//!
//! * **Nobody waits for a sink.** Each has a thread and a bounded queue of its own. What a full queue cannot take is lost
//!   and counted; the count stands in the sink where the lines would be, and the other sinks, or standard error, are told
//!   when it begins and when it is over.
//! * **A sink that fails is tried again**, and the others are told once.
//! * **Levels change while the program runs**, for a time ([`Levels`]). A place that is not logged costs next to nothing.
//! * **Equal lines of one place** are written a few times a second; the rest is counted.
//! * **A line is a line**: control characters are escaped, texts are cut at 8 KiB, and 16 KiB in all; spans have
//!   1 KiB each.
//! * **Secrets**: passwords in URLs and values behind telling names are hidden, also where a program forgot to.
//!
//! A sink is one trait, [`Sink`].
#![warn(clippy::indexing_slicing)]

mod address;
mod capture;
mod channel;
mod format;
mod hide;
mod hub;
mod layer;
mod levels;
mod panics;
mod record;
mod repeats;
mod setup;
pub mod sink;
mod time;
mod writer;

pub use channel::SinkState;
pub use format::Format;
pub use levels::{Levels, SetLevel};
pub use record::{Field, Record, Span, Value};
pub use setup::{Guard, Output, Setup, start};
pub use sink::Sink;
pub use tracing::{Level, level_filters::LevelFilter};

/// The target of what the log says about itself.
const TARGET: &str = "due_log";
