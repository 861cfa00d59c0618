//! The contracts of due.
//!
//! Everything outside a process is a trait here, with an in-memory backend beside it; a leaf crate implements one
//! trait for one real server. This crate opens no socket and no file.
//!
//! | module | contract |
//! |---|---|
//! | [`net`] | client sockets: [`net::Network`], [`net::Listener`], [`net::Conn`] |
//! | [`transport`] | between servers: [`transport::Transport`], [`transport::Link`] |
//! | [`registry`] | who is alive |
//! | [`locate`] | who is bound where, fenced by epochs |
//! | [`bus`] | who should hear |
//! | [`config`] | live settings |
//! | [`mesh`] | stateless services, called by name |
//! | [`boot`] | what a program is told once at start |
//! | [`lock`], [`cache`] | shared state of programs |
//! | [`codec`] | message bodies |
//! | [`crypto`] | encryption and signatures |
//!
//! [`route`] holds the constants that client and server share, [`error`] the one error type, [`drivers`] the map from
//! URL schemes to backends.

pub mod boot;
pub mod bus;
pub mod cache;
pub mod code;
pub mod codec;
pub mod config;
pub mod crypto;
pub mod drivers;
pub mod error;
pub mod id;
pub mod locate;
pub mod lock;
pub mod mesh;
pub mod net;
pub mod registry;
pub mod route;
mod sync;
pub mod transport;
pub mod units;
pub mod url;

pub use code::Code;
pub use codec::{Codec, CodecError};
pub use crypto::{Encryptor, Signer};
pub use drivers::Drivers;
pub use error::{Error, Kind, Origin, Result, Retry};
pub use id::{Epoch, Incarnation, InstanceId, Owner, SessionId, Uid};
pub use route::{Call, Class, Endpoint, Flags, Notify, Push, RouteDef, RouteId, Topic};
pub use url::Url;
