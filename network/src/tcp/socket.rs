//! From URLs to sockets.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use due_core::{
    Url,
    error::{Error, Kind, Result},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::settings::Listen;

/// Opens `count` listening sockets on the one address of `url`; more than one only with `reuseport`.
pub(crate) async fn listen(url: &Url, settings: &Listen, count: usize) -> Result<(Url, Vec<TcpListener>)> {
    let addresses =
        addresses(url, "0.0.0.0").await.map_err(|e| Error::config(format!("no address in {url}")).because(e))?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match open_all(address, settings, count) {
            Ok(listeners) => {
                let real = listeners.first().map_or(Ok(address), TcpListener::local_addr);
                return Ok((url.with_host(real.unwrap_or(address).to_string()), listeners));
            }
            Err(e) => last = e,
        }
    }
    Err(cannot_listen(url, last))
}

/// Connects to the first address that answers.
pub(crate) async fn connect(url: &Url, timeout: Duration) -> Result<(TcpStream, SocketAddr)> {
    let attempt = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses(url, "127.0.0.1").await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream.set_nodelay(true).map(|()| (stream, address)),
                Err(e) => last = e,
            }
        }
        Err(last)
    };
    match tokio::time::timeout(timeout, attempt).await {
        Ok(done) => done.map_err(|e| Error::new(Kind::Unavailable, "cannot connect").context("url", url).because(e)),
        Err(_) => Err(Error::new(Kind::Unavailable, "nobody answered in time").context("url", url)),
    }
}

/// One host only: the address belongs to one socket. `:port` stands for `any`.
async fn addresses(url: &Url, any: &str) -> io::Result<Vec<SocketAddr>> {
    let [host] = url.hosts() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "write exactly one host:port"));
    };
    let host = if host.starts_with(':') { format!("{any}{host}") } else { host.clone() };
    Ok(tokio::net::lookup_host(host).await?.collect())
}

fn open_all(address: SocketAddr, settings: &Listen, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = open(address, settings)?;
    let real = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(open(real, settings)?);
    }
    Ok(listeners)
}

fn open(address: SocketAddr, settings: &Listen) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Windows this option would let two processes share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if settings.reuseport {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(settings.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "reuseport is not offered on this system"))
}

fn cannot_listen(url: &Url, cause: io::Error) -> Error {
    let why = match cause.kind() {
        io::ErrorKind::AddrInUse => "another process has this address; stop it or choose another port",
        io::ErrorKind::PermissionDenied => "the system does not permit this port; choose one from 1024 on",
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address",
        _ => "the system refused it",
    };
    Error::config(format!("cannot listen on {url}: {why}")).because(cause)
}
