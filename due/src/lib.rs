//! due: a framework for real-time and game servers.
//!
//! One program runs as one process with nothing installed, or as a fleet of gates, nodes and meshes: only URLs differ.
//!
//! ```no_run
//! use due::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Hello { name: String }
//! #[derive(Serialize, Deserialize)]
//! struct Hi { text: String }
//!
//! const HELLO: Call<Hello, Hi> = Call::new(1, "hello");
//!
//! async fn hello(Msg(req): Msg<Hello>) -> Hi {
//!     Hi { text: format!("hi {}", req.name) }
//! }
//!
//! #[tokio::main]
//! async fn main() -> due::Result<()> {
//!     App::new(due::drivers())
//!         .with(Gate::new("gate").listen("ws://127.0.0.1:3653"))
//!         .with(Node::new("game").routes(Routes::new().route(HELLO, hello)))
//!         .run()
//!         .await
//! }
//! ```
//!
//! # Features
//!
//! | feature | what it compiles in |
//! |---|---|
//! | `boot` | `Cli`: settings from due.toml, `DUE_*` and the command line |
//! | `cache-redis` | `redis://` caches |
//! | `codec-json` (default) | `Json`: bodies by serde_json |
//! | `codec-msgpack` | `MsgPack`: bodies by rmp-serde, with field names |
//! | `codec-protobuf` | `Protobuf`: bodies by prost |
//! | `config-consul` | `consul://` config sources: the key/value store of consul |
//! | `config-etcd` | `etcd://` config sources; needs `protoc` to build, so it is not in `full` |
//! | `config-file` | `file://` config sources, and decoders of json, yaml, toml and xml |
//! | `crypto-ecc` | `crypto::ecc`: HPKE and ECDSA on P-256 |
//! | `crypto-rsa` | `crypto::rsa`: RSA-OAEP around AES-256-GCM, and PSS |
//! | `crypto-rsa-pkcs1v15` | PKCS#1 v1.5 in the forms of due; a program must also allow it; not in `full` |
//! | `eventbus-kafka` | `kafka://` event buses; builds librdkafka, which takes a C compiler and `make`: not in `full` |
//! | `eventbus-nats` | `nats://` event buses: NATS, plain or with JetStream |
//! | `eventbus-rabbitmq` | `amqp://` event buses: RabbitMQ |
//! | `eventbus-redis` | `redis://` event buses: channels or streams |
//! | `locator-etcd` | `etcd://` locators; not in `full` |
//! | `locator-redis` | `redis://` locators: who is bound where |
//! | `lock-redis` | `redis://` locks |
//! | `log` | `due::log`: the log of a program, on several sinks, with levels that change while it runs |
//! | `network-tcp` (default) | `tcp://` listeners |
//! | `network-ws` (default) | `ws://` listeners |
//! | `network-kcp` | `kcp://` listeners |
//! | `peer` | `peer://`: named processes serve registry, locator, event bus and settings to each other |
//! | `registry-consul` | `consul://` registries: who is alive, by consul |
//! | `registry-etcd` | `etcd://` registries: who is alive; not in `full` |
//! | `transport-link` | `link://` links between servers: frames over one TCP connection, made for it |
//! | `transport-grpc` | `grpc://` links between servers, and `due::grpc`: calls by name between tonic services |
//! | `transport-tarpc` | `tarpc://` links between servers, and `due::tarpc`: calls by name between tarpc services |
//! | `http` | the `Http` part: an axum router beside nodes |
//! | `full` | all of these but those that say they are not in it |
//!
//! Memory backends are always in. This crate holds no logic: it names the others.

mod constants;

pub use constants::{Call, Notify, Push, Topic};
#[cfg(feature = "http")]
pub use due_cluster::http;
pub use due_cluster::{actor, app, cluster, fault, gate, handler, mesh, node, session, stat};
#[cfg(feature = "codec-json")]
pub use due_codec::Json;
#[cfg(feature = "codec-msgpack")]
pub use due_codec::MsgPack;
#[cfg(feature = "codec-protobuf")]
pub use due_codec::Protobuf;
#[cfg(any(feature = "boot", feature = "config-consul", feature = "config-etcd", feature = "config-file"))]
pub use due_config as config;
#[cfg(feature = "boot")]
pub use due_config::boot::{Boot, Cli};
pub use due_core::{self as core, Code, Codec, Drivers, Encryptor, Error, Kind, Result, Retry, Signer, Uid, Url};
#[cfg(any(feature = "crypto-ecc", feature = "crypto-rsa"))]
pub use due_crypto as crypto;
#[cfg(feature = "log")]
pub use due_log as log;
pub use due_protocol as protocol;
#[cfg(feature = "transport-grpc")]
pub use due_transport::grpc;
#[cfg(feature = "transport-tarpc")]
pub use due_transport::tarpc;

/// The backends that the features compiled in, and the memory ones.
pub fn drivers() -> Drivers {
    #[allow(unused_mut, reason = "no feature on: nobody adds one")]
    let mut drivers = Drivers::memory();
    #[cfg(any(feature = "network-tcp", feature = "network-ws", feature = "network-kcp"))]
    due_network::install(&mut drivers);
    #[cfg(any(feature = "config-consul", feature = "config-etcd", feature = "config-file"))]
    due_config::install(&mut drivers);
    #[cfg(any(
        feature = "eventbus-kafka",
        feature = "eventbus-nats",
        feature = "eventbus-rabbitmq",
        feature = "eventbus-redis"
    ))]
    due_eventbus::install(&mut drivers);
    #[cfg(any(feature = "cache-redis", feature = "locator-etcd", feature = "locator-redis", feature = "lock-redis"))]
    due_store::install(&mut drivers);
    #[cfg(any(feature = "registry-consul", feature = "registry-etcd"))]
    due_registry::install(&mut drivers);
    #[cfg(any(feature = "peer", feature = "transport-grpc", feature = "transport-link", feature = "transport-tarpc"))]
    due_transport::install(&mut drivers);
    drivers
}

/// What programs use all the time.
pub mod prelude {
    pub use bytes::Bytes;
    #[cfg(feature = "http")]
    pub use due_cluster::Http;
    pub use due_cluster::actor::{Actor, Addr, Cx, OnPanic, TimerId};
    pub use due_cluster::{
        Admission, App, Arrival, Cluster, Dispatch, Fault, Gate, Mesh, Node, Order, Refusal, Running, Sent, Session,
        Shards, To, ToChannels,
        handler::{
            Deadline, Event, Extract, FromRef, Later, Msg, Next, OwnedRequest, Reply, Request, Response, Routes, Seq,
            State, blocking, from_fn, guard,
        },
    };
    pub use due_core::{Code, Uid, id::SessionId};

    #[cfg(feature = "codec-json")]
    pub use crate::Json;
    #[cfg(feature = "codec-msgpack")]
    pub use crate::MsgPack;
    #[cfg(feature = "codec-protobuf")]
    pub use crate::Protobuf;
    pub use crate::{Call, Notify, Push, Topic};
    pub use std::time::Duration;
}
