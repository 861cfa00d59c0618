//! Counters and histograms of shards: plain numbers each shard owns, read by a snapshot call.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// What a gate's shard has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct GateCounters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused by the limit, the listener's rules or a hook of the gate.
    pub refused: u64,
    /// Connections ended.
    pub closed: u64,
    /// Connections closed because they took no byte for too long.
    pub slow: u64,
    /// Connections closed because nothing was heard of them.
    pub silent: u64,
    /// Connections that their clients reset while they were not read.
    pub broken: u64,
    /// Connections closed for bytes that follow no format.
    pub malformed: u64,
    /// Accept errors that were waited out.
    pub accept_errors: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes handed to sockets.
    pub bytes_out: u64,
    /// Data frames read.
    pub messages: u64,
    /// Heartbeats read.
    pub heartbeats: u64,
    /// Messages refused at the gate: no route, internal, not authorized, not bound.
    pub refusals: u64,
    /// Replies and errors written for requests.
    pub replies: u64,
    /// Pushes put into outboxes.
    pub pushes: u64,
    /// Pushes refused or dropped by a full outbox.
    pub pushes_full: u64,
    /// Pushes whose route the listener cannot carry.
    pub pushes_unfit: u64,
    /// Frames for sessions that had left, and pushes of nodes that had lost their user.
    pub stale: u64,
    /// Times that reading a client stopped for want of room.
    pub pauses: u64,
    /// Sessions that got a user.
    #[serde(default)]
    pub logins: u64,
    /// Sessions that lost their user: unbound, left, or taken over by a later login.
    #[serde(default)]
    pub logouts: u64,
}

macro_rules! add_fields {
    ($self:ident, $other:ident: $($field:ident)*) => { $( $self.$field += $other.$field; )* };
}

impl GateCounters {
    pub(crate) fn add(&mut self, o: &GateCounters) {
        add_fields!(self, o: accepted refused closed slow silent broken malformed accept_errors bytes_in bytes_out messages
            heartbeats refusals replies pushes pushes_full pushes_unfit stale pauses logins logouts);
    }

    /// What went wrong: clients that break rules or do not read, and messages that nobody serves.
    pub(crate) fn errors(&self) -> u64 {
        self.malformed + self.accept_errors + self.slow + self.pushes_unfit + self.refusals
    }
}

/// Times in powers of two microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; 32],
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: Duration) {
        let micros = value.as_micros().min(u128::from(u32::MAX / 2)) as u32;
        let bucket = (32 - micros.leading_zeros()).min(31) as usize;
        if let Some(b) = self.buckets.get_mut(bucket) {
            *b += 1;
        }
    }

    /// Counts a value too short to be told from nothing.
    #[inline]
    pub fn record_none(&mut self) {
        self.record_nones(1);
    }

    /// Counts so many values too short to be told from nothing.
    #[inline]
    pub fn record_nones(&mut self, count: u64) {
        let [first, ..] = &mut self.buckets;
        *first += count;
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper bound of the given share of values (0.99 for p99); zero when nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        let want = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= want && seen > 0 {
                return Duration::from_micros(if i == 0 { 0 } else { 1 << i });
            }
        }
        Duration::ZERO
    }

    fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }
}

/// What a route has counted on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteCounters {
    /// Messages handled.
    pub handled: u64,
    /// Handlers that failed.
    pub faults: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Handlers that did not end in time.
    pub timeouts: u64,
    /// From the moment a message was taken to the end of its handler; a handler that never waited counts as 0.
    pub time: Histogram,
}

impl RouteCounters {
    pub(crate) fn add(&mut self, o: &RouteCounters) {
        add_fields!(self, o: handled faults panics timeouts);
        self.time.add(&o.time);
    }
}

/// What a node's shard has counted beside its routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct NodeCounters {
    /// Pushes dropped because the link to their gate was full.
    pub pushes_full: u64,
    /// Pushes of `Latest` routes that waited for room on such a link, also those that a newer one replaced.
    pub pushes_latest: u64,
    /// Frames and pushes for sessions that had left.
    pub stale: u64,
    /// Handlers that panicked, did not end in time or failed with one of the framework's codes: an application's own codes
    /// are answers like others.
    #[serde(default)]
    pub errors: u64,
}

impl NodeCounters {
    pub(crate) fn add(&mut self, o: &NodeCounters) {
        add_fields!(self, o: pushes_full pushes_latest stale errors);
    }
}

/// What a shard's driver has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ShardCounters {
    /// Turns of the driver.
    pub turns: u64,
    /// Handlers that held the shard for more than 10 ms.
    pub held: u64,
    /// Times it was stopped for more than 2 s: by the system, by a debugger, by a handler that blocks.
    pub stopped: u64,
    /// Frames sent and received over links.
    pub link_out: u64,
    /// Frames received.
    pub link_in: u64,
    /// Links that were made.
    pub links: u64,
}

/// What a process has counted; sums over its shards.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// By gate name.
    pub gates: BTreeMap<String, GateCounters>,
    /// Live connections by gate name.
    pub connections: BTreeMap<String, u64>,
    /// By node name and route name.
    pub routes: BTreeMap<(String, String), RouteCounters>,
    /// By node name.
    pub nodes: BTreeMap<String, NodeCounters>,
    /// Live sessions by node name.
    pub sessions: BTreeMap<String, u64>,
    /// By shard.
    pub shards: Vec<ShardCounters>,
    /// What held a shard for more than 10 ms: the names of routes, and `actor KIND`.
    pub held_by: Vec<String>,
}

impl Snapshot {
    pub(crate) fn merge(&mut self, other: Snapshot) {
        for (name, counters) in other.gates {
            self.gates.entry(name).or_default().add(&counters);
        }
        for (name, n) in other.connections {
            *self.connections.entry(name).or_default() += n;
        }
        for (key, counters) in other.routes {
            self.routes.entry(key).or_default().add(&counters);
        }
        for (name, counters) in other.nodes {
            self.nodes.entry(name).or_default().add(&counters);
        }
        for (name, n) in other.sessions {
            *self.sessions.entry(name).or_default() += n;
        }
        self.shards.extend(other.shards);
        self.held_by.extend(other.held_by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds_within_a_factor_of_two() {
        let mut h = Histogram::default();
        for micros in 1..=1000 {
            h.record(Duration::from_micros(micros));
        }
        let (p50, p99) = (h.quantile(0.5).as_micros(), h.quantile(0.99).as_micros());
        assert!((500..=1024).contains(&p50) && (990..=2048).contains(&p99), "{p50} {p99}");
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
    }
}
