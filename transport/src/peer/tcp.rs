//! Sockets as links need them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use due_core::{Error, Kind, Result, Url};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::settings::Settings;

/// What was written and not acknowledged for so long ends a connection.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Connections that the system queues.
const BACKLOG: i32 = 1024;

/// Binds the address of `url`; gives the URL that others dial.
pub(super) async fn listen(url: &Url, settings: &Settings) -> Result<(TcpListener, Url)> {
    let addresses = resolve(url, "127.0.0.1:0").await.map_err(|e| cannot_listen(url, e))?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        settings.permit(address, "listen at", url)?;
        match bind(address) {
            Ok(listener) => {
                let bound = listener.local_addr().map_err(|e| cannot_listen(url, e))?;
                return Ok((listener, told(url, bound, settings)?));
            }
            Err(e) => last = e,
        }
    }
    Err(cannot_listen(url, last))
}

/// Connects to the first address of `url` that answers.
pub(crate) async fn connect(url: &Url, settings: &Settings) -> Result<TcpStream> {
    let unavailable = |e: io::Error| Error::new(Kind::Unavailable, "cannot connect").context("url", url).because(e);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolve(url, "").await.map_err(unavailable)? {
        settings.permit(address, "dial", url)?;
        match TcpStream::connect(address).await {
            Ok(stream) => return prepare(&stream).map(|()| stream).map_err(unavailable),
            Err(e) => last = e,
        }
    }
    Err(unavailable(last))
}

/// Options of both ends: no delay of small writes, and an end for what is never acknowledged.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    let _ = socket;
    Ok(())
}

async fn resolve(url: &Url, default: &str) -> io::Result<Vec<SocketAddr>> {
    let host = match url.hosts() {
        [] => default.to_owned(),
        [host] if host.starts_with(':') => format!("0.0.0.0{host}"),
        [host] => host.clone(),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "write exactly one host:port")),
    };
    Ok(tokio::net::lookup_host(host).await?.collect())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Windows this option would let two processes share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The URL for others: a host name as it was written, the real port, no keys.
fn told(url: &Url, bound: SocketAddr, settings: &Settings) -> Result<Url> {
    let port = bound.port();
    let name = url.host().rsplit_once(':').map_or("", |(name, _)| name);
    let is_address = name.is_empty() || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let host = match &settings.advertise {
        Some(host) if has_port(host) => host.clone(),
        Some(host) => format!("{host}:{port}"),
        None if bound.ip().is_unspecified() => {
            return Err(Error::config(format!(
                "{url} listens at every address of this machine: add `advertise=` with the one that others dial"
            )));
        }
        None if is_address => bound.to_string(),
        None => format!("{name}:{port}"),
    };
    Ok(url.with_host(host).only(&[]))
}

fn has_port(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

fn cannot_listen(url: &Url, cause: io::Error) -> Error {
    let why = match cause.kind() {
        io::ErrorKind::AddrInUse => "another process has this address; stop it or choose another port",
        io::ErrorKind::PermissionDenied => "the system does not permit this port; choose one from 1024 on",
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address",
        io::ErrorKind::InvalidInput => "write it as scheme://host:port",
        _ => "the system refused it",
    };
    Error::config(format!("cannot listen at {url}: {why}")).because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(url: &str, bound: &str) -> Result<String> {
        let url = Url::parse(url).unwrap();
        told(&url, bound.parse().unwrap(), &Settings::open(&url).unwrap()).map(|url| url.to_string())
    }

    #[test]
    fn others_are_told_an_address_that_they_can_dial() {
        for (url, bound, want) in [
            ("link://127.0.0.1:0", "127.0.0.1:900", "link://127.0.0.1:900"),
            ("link://", "127.0.0.1:900", "link://127.0.0.1:900"),
            ("link://[::1]:0?grace=1s", "[::1]:900", "link://[::1]:900"),
            ("link://localhost:0", "127.0.0.1:900", "link://localhost:900"),
            ("link://:0?advertise=node-1", "0.0.0.0:900", "link://node-1:900"),
            ("link://:0?advertise=node-1:7000", "0.0.0.0:900", "link://node-1:7000"),
            ("link://:0?advertise=[fe80::1]", "0.0.0.0:900", "link://[fe80::1]:900"),
        ] {
            assert_eq!(told_of(url, bound).unwrap(), want, "{url}");
        }
        let fault = told_of("link://:0", "0.0.0.0:900").unwrap_err().to_string();
        assert!(fault.contains("`advertise=`"), "{fault}");
    }
}
