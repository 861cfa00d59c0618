//! tarpc: links between servers, and calls by name to users' own tarpc services.
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
//! Targets, their keys, the keys of a listening URL and who is called are those of
//! [`grpc`](https://docs.rs/due-transport): `wait`, `insecure`; `insecure`, `advertise`. A call that found nobody fails
//! with `RpcError::Send`, and was not sent; one whose connection broke fails with `RpcError::Shutdown` or
//! `RpcError::Channel`, may have been sent, and is not repeated.
//!
//! On the wire a message is a big-endian `u32` length and MessagePack, at most [`MAX_MESSAGE`] bytes. A deadline travels
//! as the milliseconds that are left.

mod channel;
mod serve;
mod wire;

pub use crate::mesh::Serving;
pub use channel::{Channel, channel};
pub use serve::{Calls, Service, service};
pub use wire::MAX_MESSAGE;
