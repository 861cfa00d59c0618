//! Real servers for tests, and a network between them and us that fails on command.
//!
//! ```no_run
//! # async fn test() {
//! use due_testkit::server::{Program, Proxy, Server};
//!
//! let Some(redis) = Server::start(Program::Redis).await else { return };
//! let way = Proxy::to(redis.address()).await;
//! // a client of way.address() ...
//! way.cut(); // the network is gone, the server is not
//! way.mend();
//! redis.kill(); // now it is the server
//! redis.restart().await;
//! # }
//! ```
//!
//! A server that is not installed is skipped, and says so, unless `DUE_TEST_SERVERS=required`: then the test fails. It is
//! looked for in `bin` of `$DUE_SERVERS_DIR` (without that, of `target/servers`) and on `PATH`;
//! `cargo xtask servers install` puts it there.

mod pipe;
mod proxy;
mod redis;
mod shared;
mod start;

pub use due_servers::{Ports, Program};
pub use proxy::{Direction, Proxy};
pub use shared::Shared;
pub use start::Server;
