//! What an instance answers.

use std::collections::BTreeMap;

use due_core::{
    Uid,
    registry::{Instance, State},
};
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::stat::{GateCounters, NodeCounters, ShardCounters};

/// An instance as it sees itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct About {
    /// The id in the registry.
    pub id: String,
    /// Which life of it, in hexadecimal.
    pub incarnation: String,
    /// The version of the framework it was built with.
    pub version: String,
    /// When the process started, in seconds since 1970.
    pub started: u64,
    /// Its process.
    pub pid: u32,
    /// How much work it says it takes: `work`, `busy`, `hang` or `shut`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state: State,
    /// Its share of the work.
    pub weight: u32,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Of state, weight and labels, for a conditional change.
    pub revision: String,
    /// How it stands with the registry: `held`, `lost` or `superseded`.
    pub standing: String,
}

/// A text that changes with state, weight and labels of an instance, and with its life.
pub fn revision(of: &Instance) -> String {
    let text = format!("{}/{}/{:?}/{}/{:?}", of.id, of.incarnation.0, of.state, of.weight, of.labels);
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}

/// What an instance has counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Metrics {
    /// Connections of a gate now.
    pub connections: u64,
    /// Users with a session at a gate now.
    pub users: u64,
    /// Sessions that a node knows now.
    pub sessions: u64,
    /// Sessions with a handler that runs or work that waits, now.
    pub busy: u64,
    /// Counters of a gate.
    pub gate: Option<GateCounters>,
    /// Counters of a node.
    pub node: Option<NodeCounters>,
    /// Of its process, by shard.
    pub shards: Vec<ShardCounters>,
    /// What held a shard of its process for more than 10 ms.
    pub held_by: Vec<String>,
}

/// What is followed of an instance once a second; all since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Sessions of a gate that got a user.
    pub logins: u64,
    /// Sessions of a gate that lost their user.
    pub logouts: u64,
    /// What went wrong. At a gate: connections closed for bytes that follow no format or for not reading, accept errors,
    /// messages refused, pushes that do not fit their listener. At a node: handlers that panicked, did not end in time or
    /// failed with one of the framework's codes.
    pub errors: u64,
}

/// A session at its gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// 128 random bits in hexadecimal.
    pub session: String,
    /// The gate's number for it.
    pub cid: u64,
    /// Its user: a number or a text.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub uid: Option<Uid>,
    /// The epoch of the login.
    pub epoch: Option<u64>,
    /// The address that the client speaks from.
    pub peer: String,
    /// The listener that it came to.
    pub listener: String,
    /// `opening`, `open` or `closing`.
    pub stage: String,
    /// So long ago it came, or was bound or unbound last, in milliseconds.
    pub age_ms: u64,
    /// So long ago it was heard last, in milliseconds.
    pub silent_ms: u64,
    /// Bytes in its outbox.
    pub queued: u64,
    /// Bytes that were read of the client: of tcp and ws all that came over the connection, of kcp what its datagrams
    /// carried.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes that the client was sent: of tcp and ws all that the socket has taken, of kcp what the client has confirmed.
    #[serde(default)]
    pub bytes_out: u64,
    /// Messages under way to nodes.
    pub in_flight: u64,
    /// The nodes that it is bound to, by name.
    pub nodes: BTreeMap<String, String>,
    /// The channels that it has subscribed to.
    pub channels: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Sessions of one gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionsPage {
    /// The sessions.
    pub items: Vec<SessionView>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<super::Cursor>,
}

/// What a node knows of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserAtNode {
    /// Sessions of the user at this node.
    pub sessions: u64,
    /// Messages that wait in their mailboxes.
    pub waiting: u64,
    /// Sessions with a handler that runs.
    pub busy: u64,
    /// The actors that the user is attached to, as `kind/key`.
    #[serde(default)]
    pub actors: Vec<String>,
}

/// What became of a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kicked {
    /// The session is closing, or would be.
    Yes,
    /// The user has no session here.
    Offline,
    /// The user has one of another epoch.
    Moved {
        /// That one.
        epoch: u64,
    },
}

/// A channel at a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// Sessions that have subscribed.
    pub subscribers: u64,
}

/// A route of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteView {
    /// Its number.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// Does it go to the node that the user is bound to?
    pub stateful: bool,
    /// Only for users?
    pub authorized: bool,
    /// Only for other servers?
    pub internal: bool,
    /// Is it answered?
    pub answers: bool,
    /// How long an answer may take, in milliseconds.
    pub limit_ms: u32,
    /// The kind of actors that serve it; empty without.
    pub actor: String,
    /// Messages handled.
    pub handled: u64,
    /// Handlers that failed.
    pub faults: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Handlers that did not end in time.
    pub timeouts: u64,
    /// An upper bound of the time of half of the handlers, in microseconds.
    pub p50_us: u64,
    /// The same of 99 in 100.
    pub p99_us: u64,
}

/// A link of an instance to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkView {
    /// The shard that owns it.
    pub shard: u16,
    /// Its number among all that the shard has had.
    pub number: u64,
    /// `gate-to-node`, `node-to-gate` or `orders`.
    pub kind: String,
    /// The instance on the other side.
    pub peer: String,
    /// `up`, `down` (it may come back) or `over`.
    pub state: String,
    /// Was it found full?
    pub full: bool,
    /// Orders that wait for their answers.
    pub orders: u64,
    /// Calls of the other side that run here.
    pub calls: u64,
    /// Frames that it has taken.
    pub sent: u64,
    /// How long a heartbeat takes to the other process and back, with its wait for that one's turn, in microseconds:
    /// smoothed; nothing until one came back, and of links inside one process.
    #[serde(default)]
    pub rtt_us: Option<u64>,
    /// What went wrong: connections that were lost, frames that were too large or found the link over, orders that were
    /// refused or lost with it. The first link to a peer also has the errors of those before it.
    #[serde(default)]
    pub errors: u64,
}

/// Where a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Clients, or actors, are told to leave.
    Telling,
    /// Somebody is still there.
    Waiting,
    /// The time is over and what was left is cut off, or stays.
    Overdue,
    /// Nobody is left.
    Empty,
}

/// How a drain stands. It balances: `began_with` and `came` are, of a gate, `moved`, `finished`, `cut` and `connections`,
/// and of a node, whose slots of users and actors are counted, `moved`, `finished`, `cut` and `bound`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrainView {
    /// Where it is.
    pub phase: Phase,
    /// How clients or actors leave.
    pub mode: Mode,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Seconds until what is left is cut off.
    pub left_secs: u64,
    /// Client sessions of a gate, or slots that a node held, when it began.
    pub began_with: u64,
    /// Those that came after that.
    pub came: u64,
    /// Clients that left after they were told to; slots that another node has now.
    pub moved: u64,
    /// Old clients, which cannot be told, that have ended; users that were unbound and actors that have ended.
    pub finished: u64,
    /// Those that were cut off, or let go at the end of the time.
    pub cut: u64,
    /// Client connections of a gate that are left.
    pub connections: u64,
    /// Client sessions that a node serves.
    pub sessions: u64,
    /// Of these, with work.
    pub busy: u64,
    /// Slots of users and actors that a node holds.
    pub bound: u64,
    /// Who holds some of those: users, and actors as `kind/key`; the first 20.
    #[serde(default)]
    pub holders: Vec<String>,
}

/// A drain, if there is one.
pub type Draining = Option<DrainView>;
