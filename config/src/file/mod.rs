//! Settings in files: `file:///etc/game?format=auto`.
//!
//! A directory holds one key per file, named by its path in it: `/etc/game/shop/prices.toml` is `shop/prices.toml`. The
//! URL of a file holds that one key, named like the file. Files whose names are no config keys are not seen.
//!
//! | key of the URL | default | meaning |
//! |---|---|---|
//! | `format` | `any` | `auto`: files that end in `.json .yaml .yml .toml .xml` must be whole documents of that format; `json yaml toml xml`: all must. Others are refused when written and passed over, with a warning, when read; a watch keeps what it had |
//! | `read-only` | off | refuse to write (`Forbidden`) |
//! | `quiet` | `50ms` | a changed file is told when it has been the same for so long; 1ms to 10s |
//! | `reread` | `3s` | look for changes that often where the system reports none; 100ms to 1h |
//!
//! # Promises
//!
//! * Writes are [`Cas::BestEffort`](due_core::config::Cas): one at a time on this host (a lock on `.due~lock` in the
//!   directory), not across hosts that share a disk. The version is a checksum of the bytes: the same bytes are the same
//!   version.
//! * A write is whole or not there at all, also over a loss of power: a temporary file, flushed, renamed over the old one.
//! * A watch follows files that are replaced, written in place, or swapped behind a link, as Kubernetes does with a
//!   ConfigMap. A file that cannot be read, is over 1 MiB, or breaks its `format` is not told: the last good one stays.
//! * A directory that is away is `Unavailable`; one that was emptied at once counts as away for 30 s.
//! * A list reads at most 10,000 files and 64 MiB; more is `TooLarge`.

mod disk;
mod lock;
mod settings;
mod source;
mod tell;
mod watch;

pub use source::{File, open};
