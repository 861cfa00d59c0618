//! gRPC: links between servers, and calls by name to users' own tonic services.
//!
//! # Links
//!
//! `grpc://host:port` is a transport for where only HTTP/2 passes: each link is one bidirectional stream
//! (`/due.transport.Link/Carry`) on a connection of its own, whose messages hold pieces of up to 64 KiB of what `link://`
//! would write. Handshake, heartbeat, resend and flow, and the keys of the URL, are those of `link://`:
//!
//! ```text
//! grpc://0.0.0.0:7000?secret-file=/run/secrets/due&advertise=node-1.internal
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
//!
//! # Calls by name
//!
//! A server lists itself in the registry, and a [`Channel`] finds it there. Clients that tonic generates take the channel
//! like their own:
//!
//! ```no_run
//! # use due_core::{Result, registry::{Instance, InstanceKind, Registry}, Url};
//! # use due_transport::grpc;
//! # async fn example<S>(registry: &dyn Registry, match_server: S) -> Result<()>
//! # where
//! #     S: tonic::codegen::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>,
//! #         Error = std::convert::Infallible> + tonic::server::NamedService + Clone + Send + Sync + 'static,
//! #     S::Future: Send + 'static,
//! # {
//! let url = Url::parse("grpc://127.0.0.1:0")?;
//! let me = Instance::new(InstanceKind::Mesh, "match-1", "match");
//! let serving = grpc::service(match_server).serve(registry, &url, me).await?;
//!
//! let channel = grpc::channel(registry, "discovery://match.Match").await?;
//! // let client = MatchClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! | key of a target | unit | default | |
//! |---|---|---|---|
//! | `wait` | duration | `5s` | how long a call may wait for somebody to call |
//! | `insecure` | on, off | `off` | dial off loopback although nothing encrypts or proves anything |
//!
//! | key of a listening URL | unit | default | |
//! |---|---|---|---|
//! | `insecure` | on, off | `off` | listen off loopback although nothing encrypts or proves anything |
//! | `advertise` | host or host:port | the bound address | what others dial; needed for `0.0.0.0` |
//!
//! `discovery://name` reaches the meshes of that name and those that serve a gRPC service of that full name;
//! `direct://host:port,host:port` reaches these addresses. Shares follow the members' weights. Who works is called; who
//! is busy only when nobody else is there; who hangs or shuts never. A call that certainly was not sent goes to the next
//! member; one that may have been sent fails with `UNAVAILABLE`.

mod carry;
mod channel;
mod connection;
mod counted;
mod serve;
mod transport;

pub use crate::mesh::Serving;
pub use channel::{Channel, channel};
pub use serve::{Services, service};
pub use transport::Grpc;
