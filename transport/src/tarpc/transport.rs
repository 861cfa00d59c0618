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

/// The transport of `tarpc://`: each link is two connections, one for each direction.
///
/// Calls live on the runtime that called [`Transport::connect`] or [`Transport::listen`]; the ends of links may be
/// polled on another.
#[derive(Clone, Debug)]
pub struct Tarpc(Over);

impl Tarpc {
    /// Reads the keys of `url`, which hold for every address that has none of its own. A `Config` error names the key.
    pub fn open(url: &Url) -> Result<Self> {
        Over::open(url, Calls).map(Self)
    }
}

#[async_trait]
impl Transport for Tarpc {
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening> {
        self.0.listen(url, own, acceptor).await
    }

    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>> {
        self.0.connect(url, from, to).await
    }
}

/// Carries a link in calls of tarpc.
struct Calls;

#[async_trait]
impl Carrier for Calls {
    async fn connect(&self, url: &Url, settings: &Settings) -> Result<Socket> {
        let there = tcp::connect(url, settings).await?;
        let back = tcp::connect(url, settings).await?;
        carry::connect(there, back, url).await.map(Socket::Tunnel)
    }

    fn listen(&self, listener: TcpListener, door: Arc<Door>) -> AbortHandle {
        carry::listen(listener, arrivals(door))
    }
}
