//! Binds and connects.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use async_trait::async_trait;
use due_core::{
    Error, Kind, Result, Url,
    net::{Bound, Conn, Listener, Network},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{client::ClientConn, listener::KcpListener, settings::Settings};

/// Buffers asked of the system for each socket of a server: they hold bursts while the shard is busy.
const BUFFER: usize = 4 << 20;
/// The same for a client: a window of the peer comes at once.
const CLIENT_BUFFER: usize = 1 << 20;

/// The network `kcp://host:port`: see the module for its query keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kcp;

#[async_trait]
impl Network for Kcp {
    async fn bind(&self, url: &Url, shards: usize) -> Result<Bound> {
        let settings = Settings::of(url)?.share(shards);
        let address = resolve(url).await?.into_iter().next().ok_or_else(|| nowhere(url))?;
        let sockets = bind_all(address, shards.max(1))
            .map_err(|e| Error::config(format!("cannot bind {address} for {url}: is the port in use?")).because(e))?;
        let local = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(address);
        let mut sockets = sockets.into_iter();
        let listeners = (0..shards.max(1))
            .map(|_| Box::new(KcpListener::new(sockets.next(), &settings)) as Box<dyn Listener>)
            .collect();
        Ok(Bound { url: url.with_host(local.to_string()), listeners })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Conn>> {
        let settings = Settings::of(url)?;
        let mut last = nowhere(url);
        for peer in resolve(url).await? {
            match client(peer).await {
                Ok(socket) => return Ok(Box::new(ClientConn::new(socket, peer, conversation(), &settings))),
                Err(e) => last = Error::new(Kind::Unavailable, "no way to the server").context("url", url).because(e),
            }
        }
        Err(last)
    }
}

async fn resolve(url: &Url) -> Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host(url.host()).await;
    found.map(Iterator::collect).map_err(|e| {
        let text = format!("{:?} is no address: write kcp://host:port", url.host());
        if e.kind() == io::ErrorKind::InvalidInput { Error::config(text) } else { Error::new(Kind::Unavailable, text) }
            .because(e)
    })
}

fn nowhere(url: &Url) -> Error {
    Error::new(Kind::Unavailable, "the name has no address").context("url", url)
}

/// One socket for each shard on the same address, between which the system deals peers by their address. Where it cannot
/// deal, there is only one.
fn bind_all(address: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    let first = bind_one(address, false)?;
    if shards == 1 || !cfg!(unix) {
        return Ok(vec![first]);
    }
    // Sockets that share a port would also share it with another program of the same user: that the port was free
    // for one that does not share shows there is none.
    let address = first.local_addr()?;
    drop(first);
    (0..shards).map(|_| bind_one(address, true)).collect()
}

fn bind_one(address: SocketAddr, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    #[cfg(unix)]
    socket.set_reuse_port(share)?;
    let _ = share;
    enlarge(&SockRef::from(&socket), BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

async fn client(peer: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    enlarge(&SockRef::from(&socket), CLIENT_BUFFER);
    socket.connect(peer).await?;
    Ok(socket)
}

/// A smaller buffer than asked for is no fault: what does not fit is sent again.
fn enlarge(socket: &SockRef<'_>, bytes: usize) {
    let _ = socket.set_recv_buffer_size(bytes);
    let _ = socket.set_send_buffer_size(bytes);
}

/// A number that no other session of this client has had lately. 0 is no conversation to some servers.
fn conversation() -> u32 {
    rand::random_range(1..=u32::MAX)
}
