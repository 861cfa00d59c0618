//! Settings in the key/value store of consul.
//!
//! `consul://127.0.0.1:8500/game?token=..`
//!
//! One host: an agent, best the one on this machine; a port that is left out is 8500. The path is the namespace, `due` if
//! it is left out: the setting `shop/prices.toml` stands under `game/config/shop/prices.toml`. Plain HTTP: put nothing but
//! the loopback between a process and its agent.
//!
//! | key | default | what |
//! |---|---|---|
//! | `token` | none | the ACL token; it needs `key:read` on `<namespace>/config/`, and `key:write` where settings are written |
//! | `read-only` | off | refuse to write (`Forbidden`) |
//!
//! # Promises
//!
//! * Conditional writes are [`Cas::Atomic`](due_core::config::Cas), by transactions on consul's indexes, which are the
//!   versions. The same bytes written again are the same version: consul drops such a write.
//! * Reads are linearizable (`?consistent`). Changes are waited for with blocking queries of 5 s; after an error, or an
//!   index that went back, the full set is told.
//! * A value has at most 380 KiB: consul takes 512 KiB in one transaction, in base64. A list is at most 64 MiB.
//! * A key that the token may not read looks absent: consul does not tell.

mod client;
mod source;
mod watch;

pub use source::{Consul, open};
