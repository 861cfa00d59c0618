//! Settings of due: live ones from file, etcd and consul, and those a program boots with.
//!
//! | feature | what it compiles in |
//! |---|---|
//! | `file` | `file://` sources: a directory or a file on disk |
//! | `etcd` | `etcd://` sources: etcd 3.4 or newer |
//! | `consul` | `consul://` sources: the key/value store of a consul agent |
//! | `boot` | what a program reads once at start: file, environment, command line |
//! | `format` | decoders of json, yaml, toml and xml; comes with `file` and `boot` |
//!
//! A source deals in bytes; [`due_core::config::Live`] makes a checked value of them, with a decoder of `format`.
//! [`install`] adds the sources that are compiled in to a [`due_core::Drivers`].
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "boot")]
pub mod boot;
#[cfg(feature = "consul")]
pub mod consul;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "format")]
pub mod format;
mod install;

pub use install::install;
