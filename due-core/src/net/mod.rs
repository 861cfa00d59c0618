//! Client sockets.
//!
//! A [`Network`] binds an address for a number of shards and gives each shard one [`Listener`]; a [`Conn`] belongs to the
//! shard that accepted it for its whole life and is polled there, never from two threads. A TLS stream wraps a `Conn`.
//!
//! A `Conn` moves bytes or whole messages ([`Framing`]); what they mean is the protocol's business.

mod buffer;
pub mod memory;

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use async_trait::async_trait;

use crate::{error::Result, url::Url};
pub use buffer::{Pool, Scratch, Segments};

/// A way for clients to reach a server: tcp, ws, kcp, memory.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Binds `url` and prepares one listener for each of `shards` (1 or more). Port 0 picks a free one; [`Bound::url`]
    /// tells which. A busy port is a `Config` error that names the address. Cancel safe.
    async fn bind(&self, url: &Url, shards: usize) -> Result<Bound>;

    /// Connects as a client, without the first byte of any protocol but the network's own (ws: the upgrade is done).
    /// Errors: `Unavailable` if nobody answers, `Forbidden` if the server refused the upgrade.
    async fn connect(&self, url: &Url) -> Result<Box<dyn Conn>>;
}

/// A bound address.
pub struct Bound {
    /// The address with the real port.
    pub url: Url,
    /// One listener a shard.
    pub listeners: Vec<Box<dyn Listener>>,
}

/// One shard's end of a bound address.
pub trait Listener: Send {
    /// The next client. Also drives what the network shares between its connections (kcp: socket and timers), so the
    /// shard polls it in every turn in which its waker fired. An error never ends the listener: it is counted, the
    /// listener retries by itself (50 ms to 1 s).
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Conn>>>;

    /// Called once at the end of each turn, after all connections were flushed: sends what they have in common (kcp
    /// datagrams). Stream sockets need nothing.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Accepts what the system has already queued, then no more. Live connections stay.
    fn close(&mut self);
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A stream of bytes: frames carry their size.
    Stream,
    /// Whole messages.
    Messages,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Bytes or messages stand in the scratch; `more` says that the read filled it, so there may be more at once.
    Data {
        /// Read again in the next turn without waiting for the waker.
        more: bool,
    },
    /// The request head is complete: look at [`Conn::head`] and [`Conn::admit`] it. Comes once, before any data, and
    /// only where the network has a head (ws).
    Head,
    /// The peer will send no more.
    End,
}

/// How the server answers a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Accept,
    /// Refuse with an HTTP status and a short text, then close.
    Refuse(u16, String),
}

/// Why a connection ends, told to the peer where the network has a way to say so (ws close codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The work is done (ws 1000).
    Normal,
    /// The server goes away (ws 1001).
    GoingAway,
    /// The peer broke the protocol (ws 1002).
    Protocol,
    /// The peer broke a rule of the application or a limit (ws 1008).
    Policy,
}

/// The head of an HTTP upgrade. All of it comes from outside and is bounded: 16 KiB, 64 headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The path with its leading `/`, without query.
    pub path: String,
    /// The text after `?`, or empty.
    pub query: String,
    /// Name in lower case and value, in order.
    pub headers: Vec<(String, String)>,
}

impl RequestHead {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One client connection, owned and polled by one shard (or by a client).
pub trait Conn: Send {
    /// Bytes or messages.
    fn framing(&self) -> Framing;

    /// The peer's address. Memory connections make one up on 127.0.0.1.
    fn peer(&self) -> SocketAddr;

    /// The request head once it is complete; always `None` where the network has none.
    fn head(&self) -> Option<&RequestHead> {
        None
    }

    /// Is the connection still waiting for its request head or verdict?
    fn opening(&self) -> bool {
        false
    }

    /// Reads once (at most one scratch full). What the network itself must answer (ws pong, close) is appended to `out`,
    /// which the caller then flushes. An error (`Malformed`, `TooLarge`, `Gone`) ends the connection: the caller calls
    /// [`Conn::finish`] and closes it.
    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, out: &mut Segments) -> Poll<Result<Inbound>>;

    /// Does a read that left nothing (`more: false`) always register the waker? Then nobody reads again in vain.
    fn rests(&self) -> bool {
        false
    }

    /// Answers the request head after [`Inbound::Head`].
    fn admit(&mut self, verdict: Verdict, out: &mut Segments) {
        let _ = (verdict, out);
    }

    /// Starts a message of `len` bytes in `out`: the bytes that the network puts before it (ws frame header).
    fn begin(&mut self, len: usize, out: &mut Vec<u8>) {
        let _ = (len, out);
    }

    /// Ends the message whose first byte stands at `from` in `out` (a ws client masks it here).
    fn end(&mut self, from: usize, out: &mut Vec<u8>) {
        let _ = (from, out);
    }

    /// Writes from the front of `out` as much as the socket takes. `Ready` when `out` is empty; `Pending` registers the
    /// waker for more room.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Segments) -> Poll<Result<()>>;

    /// Bytes that the peer is known to have taken since the connection began: written to the socket, or acknowledged
    /// where the network can tell (kcp). The slow-client clock looks at its growth.
    fn taken(&self) -> u64;

    /// Bytes that were read of the peer since the connection began: with all that the network puts around messages (ws), but
    /// of kcp what is left when its datagrams are put together.
    fn received(&self) -> u64;

    /// Has the connection broken, as far as the network knows without reading (a reset of the peer)? For connections that
    /// are not read for a while; asked about once a second. The peer's orderly end is not meant: what it sent before
    /// that is still to be read.
    fn is_broken(&mut self) -> bool {
        false
    }

    /// Appends the network's goodbye to `out` (ws close frame); nothing else is written after it.
    fn finish(&mut self, why: Farewell, out: &mut Segments) {
        let _ = (why, out);
    }

    /// After `out` is flushed: shuts the sending side down, then reads and drops until the peer ends too. `Ready` when
    /// the connection may be dropped without cutting what was sent; the caller bounds the wait (2 s).
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
