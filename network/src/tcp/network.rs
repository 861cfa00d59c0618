//! `tcp://` as a network.

use std::task::{Context, Poll};

use async_trait::async_trait;
use due_core::{
    Url,
    error::{Error, Result},
    net::{Bound, Conn, Listener, Network},
};

use super::{
    Sockets, TcpConn,
    settings::{Dial, Listen},
    socket,
};

/// The network of `tcp://`. It has no state: settings stand in the URL.
///
/// A listener registers its sockets with the runtime that polls it, so it is polled inside one tokio runtime with I/O
/// and time enabled. `bind` starts the acceptor on the runtime that calls it. The URL of what is bound has no listener's
/// keys any more: it is the one to connect to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[async_trait]
impl Network for Tcp {
    async fn bind(&self, url: &Url, shards: usize) -> Result<Bound> {
        without_path(url)?;
        let (url, sockets) = Sockets::bind(url, &url.query::<Listen>()?, shards, b"").await?;
        let listeners = sockets.into_iter().map(|s| Box::new(TcpListener(s)) as Box<dyn Listener>).collect();
        Ok(Bound { url: url.without(&["backlog", "reuseport"]), listeners })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Conn>> {
        without_path(url)?;
        let (stream, peer) = socket::connect(url, url.query::<Dial>()?.connect_timeout).await?;
        Ok(Box::new(TcpConn::new(stream, peer)))
    }
}

struct TcpListener(Sockets);

impl Listener for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Conn>>> {
        self.0.poll(cx).map_ok(|(stream, peer)| Box::new(TcpConn::new(stream, peer)) as Box<dyn Conn>)
    }

    fn close(&mut self) {
        self.0.close();
    }
}

fn without_path(url: &Url) -> Result<()> {
    match url.path() {
        "" | "/" => Ok(()),
        path => Err(Error::config(format!("the path {path:?} in {url}: tcp has no paths"))),
    }
}
