//! `ws://` as a network.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use due_core::{
    Url,
    error::{Error, Kind, Result},
    net::{Bound, Conn, Listener, Network},
};
use tokio::time::{Instant, timeout_at};

use super::{
    answer, client,
    conn::WsConn,
    rules::{Dial, Rules},
};
use crate::tcp::{Sockets, TcpConn, socket};

/// The network of `ws://`. It has no state: settings stand in the URL.
///
/// A connection comes out of the listener before its request head; the head is read and checked by the shard that owns
/// it. It is there from [`Inbound::Head`](due_core::net::Inbound::Head) to [`Conn::admit`], which gives its memory
/// back. What the listener refuses by itself is answered in `out` and comes as an error of the read. The URL of what is
/// bound is the one to connect to: it has the path in its place and no listener's keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ws;

#[async_trait]
impl Network for Ws {
    async fn bind(&self, url: &Url, shards: usize) -> Result<Bound> {
        let (rules, settings) = Rules::listen(url)?;
        let (url, sockets) = Sockets::bind(url, &settings, shards, answer::BUSY).await?;
        let (url, rules) = (rules.address(&url)?, Arc::new(rules));
        let listener = |sockets| Box::new(WsListener { sockets, rules: rules.clone() }) as Box<dyn Listener>;
        Ok(Bound { url, listeners: sockets.into_iter().map(listener).collect() })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Conn>> {
        let dial = Dial::read(url)?;
        let deadline = Instant::now() + dial.connect_timeout;
        let (stream, peer) = socket::connect(url, dial.connect_timeout).await?;
        let tcp = TcpConn::new(stream, peer);
        let early = timeout_at(deadline, client::upgrade(tcp.stream(), url, &dial))
            .await
            .map_err(|_| Error::new(Kind::Unavailable, "no answer to the upgrade in time").context("url", url))??;
        Ok(Box::new(WsConn::client(tcp, dial.max_message, early)))
    }
}

struct WsListener {
    sockets: Sockets,
    rules: Arc<Rules>,
}

impl Listener for WsListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Conn>>> {
        let conn =
            |(stream, peer)| Box::new(WsConn::server(TcpConn::new(stream, peer), self.rules.clone())) as Box<dyn Conn>;
        self.sockets.poll(cx).map_ok(conn)
    }

    fn close(&mut self) {
        self.sockets.close();
    }
}
