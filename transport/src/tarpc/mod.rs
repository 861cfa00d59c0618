//! tarpc: links between servers, and calls by name to users' own tarpc services.
//!
//! # Links
//!
//! `tarpc://host:port` is a transport in calls of tarpc: the dialer pushes over one connection and pulls over another, up
//! to 8 calls ahead, pieces of up to 64 KiB of what `link://` would write. Calls of a connection run one after the other,
//! in their order. Handshake, heartbeat, resend and flow, and the keys of the URL, are those of `link://`:
//!
//! ```text
//! tarpc://0.0.0.0:7000?secret-file=/run/secrets/due&advertise=node-1.internal
//! ```
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `secret`, `secret-file` | none | what proves membership; without one, links stay on loopback |
//! | `namespace` | `default` | clusters of different names never meet |
//! | `grace` | 20s | how long a broken connection may take to come back |
//! | `high-water` | 4MiB | bytes under way in one direction from which on nothing more is taken |
//! | `max-frame` | 16MiB | largest body |
//! | `advertise` | the bound address | host, or host:port, that others dial |
//!
//! Before a connection has proven membership it may send 16 KiB and live 5 s, and of more than 64 such the oldest goes.
//! A link needs two of them.
//!
//! # Calls by name
//!
//! A server lists itself in the registry, and a [`Channel`] finds it there. A client that `#[tarpc::service]` generates
//! takes the channel by `From`; the server is what `execute` runs:
//!
//! ```no_run
//! # use due_core::{Result, registry::{Instance, InstanceKind, Registry}, Url};
//! use due_transport::tarpc as rpc;
//! use futures_util::StreamExt;
//! use tarpc::{context::Context, server::Channel as _};
//!
//! #[tarpc::service]
//! trait World {
//!     async fn hello(name: String) -> String;
//! }
//!
//! #[derive(Clone)]
//! struct Here;
//! impl World for Here {
//!     async fn hello(self, _: Context, name: String) -> String {
//!         format!("hello {name}")
//!     }
//! }
//!
//! # async fn example(registry: &dyn Registry) -> Result<()> {
//! let url = Url::parse("tarpc://127.0.0.1:0")?;
//! let me = Instance::new(InstanceKind::Mesh, "world-1", "world");
//! let service = rpc::service(|calls: rpc::Calls<WorldRequest, WorldResponse>| {
//!     calls.execute(Here.serve()).for_each_concurrent(64, |call| call)
//! });
//! let serving = service.serve(registry, &url, me).await?;
//!
//! let client = WorldClient::from(rpc::channel(registry, "discovery://world").await?);
//! # let _: Option<String> = client.hello(tarpc::context::current(), "you".into()).await.ok();
//! # Ok(())
//! # }
//! ```
//!
//! A target is `discovery://name` or `direct://host:port,host:port`, with the keys `wait` (5s: how long a call may wait
//! for somebody to call) and `insecure` (off: dial off loopback although nothing encrypts or proves anything). A
//! listening URL has the keys `insecure` and `advertise` (the host, or host:port, that others dial). Shares follow the
//! members' weights. Who works is called; who is busy only when nobody else is there; who hangs or shuts never. A call that found nobody fails
//! with `RpcError::Send`, and was not sent; one whose connection broke fails with `RpcError::Shutdown` or
//! `RpcError::Channel`, may have been sent, and is not repeated.
//!
//! On the wire a message is a big-endian `u32` length and MessagePack, at most [`MAX_MESSAGE`] bytes. A deadline travels
//! as the milliseconds that are left.

mod carry;
mod channel;
mod serve;
mod transport;
mod wire;

pub use crate::mesh::Serving;
pub use channel::{Channel, Heard, Said, channel};
pub use serve::{Calls, Service, service};
pub use transport::Tarpc;
pub use wire::MAX_MESSAGE;

/// The scheme of endpoints.
const SCHEME: &str = "tarpc";
