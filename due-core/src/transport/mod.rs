//! Links between servers: an ordered two-way stream of frames between two processes.
//!
//! A link belongs to one shard and is polled there. Frames of one lane keep their order; lane 0 is control. The link
//! bounds what it holds ([`Refused::Full`]); credit per lane is the business of its users.

pub mod memory;

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::{error::Result, id::Owner, url::Url};

/// A way for servers to reach each other: memory, link, grpc, tarpc.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Accepts links at `url` until the returned guard is dropped; [`Listening::url`] tells the real port. Each new link
    /// is handed to `acceptor`. A busy address is a `Config` error.
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening>;

    /// Connects to `to`, of whom the registry says that it listens at `url`. Errors: `Unavailable` if nobody answers, with
    /// an [`io::Error`](std::io::Error) of the kind `ConnectionRefused` among its causes if nobody listens; `Unavailable`
    /// with [`Retry::Never`](crate::Retry::Never) if somebody else answers: that life of `to` is over. Cancel safe: a
    /// link that is not returned is closed.
    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>>;
}

/// Who dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialer {
    /// The dialing instance.
    pub owner: Owner,
    /// Which of its shards, or [`Dialer::ORDERS`].
    pub shard: u16,
}

impl Dialer {
    /// In place of a shard: the link carries orders of the whole process, and no lanes.
    pub const ORDERS: u16 = u16::MAX;
}

/// Takes new links; called from any thread, returns at once.
pub trait Acceptor: Send + Sync + 'static {
    /// A link of `from` is up.
    fn accept(&self, from: Dialer, link: Box<dyn Link>);
}

/// Keeps a listening address alive; dropping it stops accepting. Live links stay.
pub struct Listening {
    /// The address to give to others.
    pub url: Url,
    /// Whatever must live as long.
    pub guard: Box<dyn std::any::Any + Send + Sync>,
}

/// What a frame is. Kinds of the second group are control: they need no credit and bypass mailboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A lane begins; the body tells the session.
    #[default]
    Open,
    /// A message of the client (gate to node) or a push (node to gate).
    Message,
    /// The session was bound to a user.
    Bound,
    /// The session was unbound from its user.
    Unbound,
    /// The lane ends; the body tells why.
    Close,

    /// An answer to a message: `seq` is the client's.
    Reply,
    /// An error answer to a message; the body holds code and text.
    Error,
    /// `corr` messages and `seq` bytes of lane credit come back; `route` of the messages had no answer.
    Credit,
    /// An order to the other side ([`Head::route`] says which); answered under `corr` unless that is 0.
    Order,
    /// The answer to an order.
    Answer,
    /// The caller of `corr` gave up.
    Cancel,
    /// Heartbeat of a link.
    Ping,
    /// In a lane: everything before it is to be handled first (gate to node), or is handled (the node's answer).
    Barrier,
}

/// Which request of which trace a frame belongs to; all zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The span in it.
    pub span: u64,
}

/// What stands before a body on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What the frame is.
    pub kind: FrameKind,
    /// Bits whose meaning the kind gives.
    pub flags: u8,
    /// The route, or the order's number.
    pub route: i32,
    /// The client's sequence number.
    pub seq: i32,
    /// The lane: slot in the low half, generation in the high half; 0 is control.
    pub lane: u64,
    /// Correlation of orders and calls (slot and generation); 0 wants no answer.
    pub corr: u64,
    /// Milliseconds that are left to the request; 0: no limit. A frame that was long on its way arrives with less than it
    /// was sent with, and with [`Head::EXPIRED`] when nothing is left.
    pub ttl_ms: u32,
    /// The trace context.
    pub trace: Trace,
}

impl Head {
    /// What [`Head::ttl_ms`] says when the time is over: whoever is about to start the request leaves it. 0 cannot say
    /// it, it means that there is no limit.
    pub const EXPIRED: u32 = 1;
}

/// A body to send.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// Copied by the link.
    Copy(&'a [u8]),
    /// Kept by reference where the link can.
    Shared(&'a Bytes),
}

impl Part<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Part::Copy(b) => b,
            Part::Shared(b) => b,
        }
    }
}

/// Why a link took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Over its high-water mark; [`Link::poll_ready`] wakes below the low one.
    Full,
    /// The link is over.
    Gone,
    /// The body is larger than this link can ever carry.
    TooLarge,
}

/// How a link fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Connected, as far as this side knows.
    Up,
    /// The connection is lost since then and may come back: what is sent waits.
    Down(Instant),
    /// Nothing comes or goes any more.
    Over,
}

/// Received frames, bytes side by side; reused, no allocation per frame.
#[derive(Default)]
pub struct Batch {
    /// Each frame's head and where its body stands in `bytes`.
    pub heads: Vec<(Head, Range<u32>)>,
    /// The bodies.
    pub bytes: Vec<u8>,
}

impl Batch {
    /// Appends a frame.
    pub fn push(&mut self, head: Head, body: &[u8]) {
        let from = self.bytes.len() as u32;
        self.bytes.extend_from_slice(body);
        self.heads.push((head, from..from + body.len() as u32));
    }

    /// Frame `i` and its body.
    pub fn get(&self, i: usize) -> Option<(Head, &[u8])> {
        let (head, at) = self.heads.get(i)?;
        Some((*head, self.bytes.get(at.start as usize..at.end as usize)?))
    }

    /// Frames in it.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Forgets all frames, keeps the room.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
    }
}

/// One end of a link, owned by one shard: `&mut`, no lock, no `Sync`.
pub trait Link: Send {
    /// Appends a frame; never waits. `Full` took nothing. Frames of lane 0 are taken above the high-water mark too, up
    /// to twice of it, so that credit can always flow.
    fn send(&mut self, head: Head, body: Part<'_>) -> Result<(), Refused>;

    /// Hands what was appended to the other side; the shard calls it once a turn. An error ends the link.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Ready when [`Link::send`] has room again; wakes once below the low-water mark.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>>;

    /// Appends received frames to `into`, at most about `max`, and says how many; 0 means that the link is over.
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Batch, max: usize) -> Poll<Result<usize>>;

    /// Whether the link is connected. One that cannot lose its connection and get it back is up until
    /// [`Link::poll_recv`] has told its end.
    fn state(&self) -> LinkState {
        LinkState::Up
    }

    /// How many frames [`Link::send`] has taken: the number of the last one, the first being 1.
    fn taken(&self) -> u64 {
        0
    }

    /// How long a heartbeat takes to the other process and back, with its wait for that one's turn: smoothed. `None` until
    /// one came back, and where nothing is sent (a link inside one process).
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// How often the link has lost its connection since it began.
    fn losses(&self) -> u64 {
        0
    }

    /// May the other side have got any of frame `number`? `false` is certain, also after the end: the frame may be sent
    /// another way.
    fn is_written(&self, number: u64) -> bool {
        let _ = number;
        true
    }

    /// This process may have slept: what was read before may be old. Nothing is handed out until the other side has
    /// answered a heartbeat that leaves now; if the connection turns out to be gone, what was read is dropped. A link
    /// inside one process has nothing to suspect.
    fn suspect(&mut self) {}

    /// Is that heartbeat still to be answered?
    fn is_suspect(&self) -> bool {
        false
    }
}
