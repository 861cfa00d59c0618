//! What a program reads once at start, each layer over the one before it:
//!
//! 1. what the program itself says, and defaults
//! 2. a file: `--config FILE`, else `DUE_CONFIG_FILE`, else `due.toml`, `due.yaml`, `due.yml` or `due.json` in the
//!    working directory, if there is one
//! 3. the environment: `DUE_REGISTRY=etcd://..`, `DUE_SHARED_SHARDS=on`, `DUE_NODE__GAME__WEIGHT=2` for
//!    `node.game.weight`; `DUE_LOG=info,due=debug` is short for `DUE_LOG__LEVELS`
//! 4. the command line: `--registry etcd://..`, `--log debug`, `--set node.game.weight=2`
//!
//! A key that nobody knows, or a value of the wrong form, is refused with its file, line and key, and what to write.
//! [`reference()`] lists all keys; the section `app` belongs to the program ([`Boot::app`]).
//!
//! ```no_run
//! use clap::Parser;
//!
//! #[derive(clap::Parser)]
//! struct Args {
//!     #[command(flatten)]
//!     due: due_config::boot::Cli,
//! }
//!
//! # fn main() -> due_core::Result<()> {
//! let boot = Args::parse().due.read()?;
//! println!("{:?}", boot.settings().registry);
//! # Ok(())
//! # }
//! ```
//!
//! Variables that are no keys of settings are passed over: `DUE_TEST_*`, `DUE_SERVERS_DIR`, and those that Kubernetes
//! makes for a service named `due` (`DUE_PORT`, `DUE_GATE_SERVICE_HOST`).

mod check;
mod cli;
mod env;
mod file;
mod layers;
mod nearest;
mod reference;
mod tree;

pub use cli::Cli;
pub use layers::{Boot, Layers};
pub use reference::reference;
