use std::sync::Arc;

use async_trait::async_trait;
use due_core::{
    Owner, Result, Url,
    transport::{Acceptor, Dialer, Link, Listening, Transport},
};
use tokio::{net::TcpListener, task::AbortHandle};

use super::carry;
use crate::{
    peer::{Carrier, Door, Over, Socket, tcp},
    settings::Settings,
    tunnel::arrivals,
};

/// The transport of `grpc://`: each link is one bidirectional stream on a connection of its own.
///
/// Streams live on the runtime that called [`Transport::connect`] or [`Transport::listen`]; the ends of links may be
/// polled on another.
#[derive(Clone, Debug)]
pub struct Grpc(Over);

impl Grpc {
    /// Reads the keys of `url`, which hold for every address that has none of its own. A `Config` error names the key.
    pub fn open(url: &Url) -> Result<Self> {
        Over::open(url, Streams).map(Self)
    }
}

#[async_trait]
impl Transport for Grpc {
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening> {
        self.0.listen(url, own, acceptor).await
    }

    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>> {
        self.0.connect(url, from, to).await
    }
}

/// Carries a link in a stream of gRPC.
struct Streams;

#[async_trait]
impl Carrier for Streams {
    async fn connect(&self, url: &Url, settings: &Settings) -> Result<Socket> {
        let stream = tcp::connect(url, settings).await?;
        carry::connect(stream, url).await.map(Socket::Tunnel)
    }

    fn listen(&self, listener: TcpListener, door: Arc<Door>) -> AbortHandle {
        carry::listen(listener, arrivals(door))
    }
}
