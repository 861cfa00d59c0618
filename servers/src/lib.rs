//! Real servers for tests: found, started on loopback, killed with whoever started them.
//!
//! No container and no service of the system: each server is a process group of its own with a temporary folder and
//! ports that no other test takes. Everything here blocks; `due_testkit::server` is the same for async tests.
//!
//! ```no_run
//! use due_servers::{Program, Start};
//!
//! let mut redis = Start::new(Program::Redis).run()?;
//! println!("{}", redis.address());
//! redis.kill();
//! redis.restart()?; // same port, same data
//! # Ok::<(), String>(())
//! ```

mod folder;
mod group;
mod place;
mod ports;
mod process;
mod program;
mod recipe;
mod running;
mod wire;

pub use group::{Alive, stop};
pub use place::home;
pub use ports::Ports;
pub use process::Process;
pub use program::Program;
pub use running::{Running, Start};

/// What was asked for, or one sentence for a person: what went wrong and what to do.
pub type Result<T = ()> = std::result::Result<T, String>;
