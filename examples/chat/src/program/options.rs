//! The command line, and the addresses that it names.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket},
    sync::{Arc, OnceLock},
};

use axum::Router;
use clap::{Args, Parser, Subcommand};
use due::{
    Error, Result,
    prelude::{Cluster, Node},
};

use due_master::Master;

use super::{
    keys::{self, Keys},
    page::Page,
};

/// A chat room for browsers and terminals
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) addresses: Addresses,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Join the room from this terminal
    Client(Client),
}

#[derive(Args)]
pub(super) struct Client {
    /// The server: tcp://HOST:PORT, ws://HOST:PORT or kcp://HOST:PORT
    pub(super) url: String,
    /// Your name in the room
    #[arg(long)]
    pub(super) name: String,
    /// Encrypts bodies, for a room that does, with the keys in the folder that its server made
    #[arg(long, value_name = "FOLDER", value_parser = keys::of_client)]
    pub(super) keys: Option<Keys>,
}

/// Where the room can be reached: HOST:PORT, or PORT for this machine alone; port 0 picks a free one.
#[derive(Args, Clone)]
pub(crate) struct Addresses {
    /// The page, for browsers: HOST:PORT or PORT, 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    http: SocketAddr,
    /// WebSocket clients
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3653", value_parser = address)]
    ws: SocketAddr,
    /// tcp clients
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3553", value_parser = address)]
    tcp: SocketAddr,
    /// kcp clients; it is udp, so it may have the port of tcp
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3553", value_parser = address)]
    kcp: SocketAddr,
    /// Encrypts bodies between clients and the room with the keys in this folder; keys that are not there are made
    #[arg(long, value_name = "FOLDER", value_parser = keys::of_server)]
    pub(super) keys: Option<Keys>,
    /// The master's API, for operators of this machine; the token for it is shown once
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    master: SocketAddr,
    /// What the master told at its start.
    #[arg(skip)]
    pub(super) token: Arc<OnceLock<String>>,
    #[arg(skip)]
    pub(super) page: Page,
}

impl Addresses {
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn ws(&self) -> String {
        format!("ws://{}", self.ws)
    }

    pub(crate) fn tcp(&self) -> String {
        format!("tcp://{}", self.tcp)
    }

    pub(crate) fn kcp(&self) -> String {
        format!("kcp://{}", self.kcp)
    }

    pub(crate) fn page(&self) -> Router<Cluster> {
        self.page.router()
    }

    /// An API to look at the room and to act on it.
    pub(crate) fn master(&self) -> Master {
        let token = self.token.clone();
        Master::new().listen(self.master).announce(move |told| {
            let _ = token.set(told.to_owned());
        })
    }

    /// The node, which encrypts if there are keys.
    pub(crate) fn node(&self, name: &str) -> Node {
        match &self.keys {
            Some(keys) => Node::new(name).encryptor(keys.encryptor.clone()),
            None => Node::new(name),
        }
    }

    /// Refuses addresses that cannot be had, naming the option to change.
    pub(super) fn check(&self) -> Result<()> {
        // All are held until the last is there: two options with one address are found too.
        let _http = held("http", self.http, TcpListener::bind)?;
        let _ws = held("ws", self.ws, TcpListener::bind)?;
        let _master = held("master", self.master, TcpListener::bind)?;
        let _tcp = held("tcp", self.tcp, TcpListener::bind)?;
        let _kcp = held("kcp", self.kcp, UdpSocket::bind)?;
        Ok(())
    }
}

fn held<S>(option: &str, at: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<S>) -> Result<S> {
    bind(at).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::AddrInUse => "is taken".to_owned(),
            _ => format!("cannot be had ({e})"),
        };
        Error::config(format!("--{option} {at} {why}: give another address, or --{option} 0 for any free port"))
    })
}

/// Reads `HOST:PORT` or a port alone, which stands for this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let found = text.to_socket_addrs().map_err(|e| format!("{e}: write HOST:PORT or a port"))?.next();
    found.ok_or_else(|| "the host has no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_port_alone() {
        let check = |text: &str, want: &str| assert_eq!(address(text).map(|a| a.to_string()), Ok(want.to_owned()));
        check("127.0.0.1:8080", "127.0.0.1:8080");
        check("0", "127.0.0.1:0");
        check("[::1]:7", "[::1]:7");
        for wrong in ["", "somewhere", "127.0.0.1", "70000", "127.0.0.1:70000"] {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_taken_address_is_refused_with_the_option_to_change() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let check = |option: &str, taken: SocketAddr| {
            let args = ["chat", "--http=0", "--ws=0", "--tcp=0", "--kcp=0"].map(str::to_owned);
            let args = args.map(|arg| if arg == format!("--{option}=0") { format!("--{option}={taken}") } else { arg });
            let refused = Options::try_parse_from(args).unwrap().addresses.check().unwrap_err();
            assert!(refused.text().contains(&format!("--{option} 0")), "{refused}");
        };
        for option in ["http", "ws", "tcp"] {
            check(option, tcp.local_addr().unwrap());
        }
        check("kcp", udp.local_addr().unwrap());
    }
}
