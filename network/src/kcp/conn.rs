//! The server's connection: a key into the sessions of its shard.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use due_core::{
    Result,
    net::{Conn, Framing, Inbound, Scratch, Segments},
};

use super::{listener::Shared, slots::Key};

pub(crate) struct ServerConn {
    endpoint: Shared,
    key: Key,
    peer: SocketAddr,
    received: u64,
}

impl ServerConn {
    pub(crate) fn new(endpoint: Shared, key: Key, peer: SocketAddr) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { endpoint, key, peer, received: 0 }
    }
}

impl Conn for ServerConn {
    fn framing(&self) -> Framing {
        Framing::Stream
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, _: &mut Segments) -> Poll<Result<Inbound>> {
        scratch.clear();
        self.endpoint.lock().read(self.key, scratch.space(), cx.waker()).map_ok(|(read, more)| {
            scratch.set_filled(read);
            self.received += read as u64;
            Inbound::Data { more }
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Segments) -> Poll<Result<()>> {
        self.endpoint.lock().write(self.key, out, cx.waker())
    }

    fn taken(&self) -> u64 {
        self.endpoint.lock().taken(self.key)
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.endpoint.lock().drain(self.key, cx.waker())
    }
}

impl Drop for ServerConn {
    fn drop(&mut self) {
        self.endpoint.lock().leave(self.key);
    }
}
