//! A gate's part of a shard: its listeners and connections.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use due_core::{
    Owner, Url,
    locate::Locator,
    net::{Conn, Listener},
};
use due_protocol::due::Dialect;
use slab::Slab;

use super::{
    blocks::Blocked, budget::Budget, channels::Channels, client::Client, members::Members, part::Gate,
    settings::ListenerSettings, users::Users,
};
use crate::{app::drain::Ledger, peer::Peers, shard::ready::Mark, stat::GateCounters};

/// What all shards of a gate have in common.
pub(crate) struct GateSelf {
    pub(crate) part: Gate,
    pub(crate) owner: Owner,
    pub(crate) locator: Arc<dyn Locator>,
    pub(crate) users: Users,
    pub(crate) budget: Budget,
    pub(crate) blocked: Arc<Blocked>,
    pub(crate) peers: Arc<Peers>,
    /// The gate's counter of connections; the compatibility number.
    pub(crate) cids: std::sync::atomic::AtomicU64,
    /// Connections of all shards by listener.
    pub(crate) connections: Vec<std::sync::atomic::AtomicUsize>,
    pub(crate) draining: std::sync::atomic::AtomicBool,
    pub(crate) ledger: Ledger,
    /// Told when the store is to be asked at once how the gate's bindings stand.
    pub(crate) gap: tokio::sync::Notify,
    /// The inboxes of the gate's shards by shard number.
    pub(crate) shards: std::sync::OnceLock<Vec<(u16, Arc<crate::shard::inbox::Inbox>)>>,
}

/// One listener on this shard.
pub(crate) struct ListenerEnd {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) url: Url,
    pub(crate) number: u8,
    pub(crate) dialect: Dialect,
    pub(crate) settings: ListenerSettings,
    pub(crate) mark: Mark,
    pub(crate) waker: Waker,
    /// When the next heartbeat of the `tick` mechanism goes out, in milliseconds of the shard.
    pub(crate) next_tick: u32,
}

/// Connections of one gate on one shard.
pub(crate) struct GateShard {
    pub(crate) own: Arc<GateSelf>,
    pub(crate) listeners: Vec<ListenerEnd>,
    pub(crate) clients: Slab<Client>,
    /// Generation of each slot's next client.
    generations: Vec<u32>,
    /// When each slot was heard last, in milliseconds of the shard: dense, swept once a second.
    pub(crate) last_seen: Vec<u32>,
    pub(crate) members: Members,
    pub(crate) channels: Channels,
    /// Clients that wait for a link to have room: slots and generations, in the order they came.
    pub(crate) link_waiters: HashMap<u32, VecDeque<(u32, u32)>>,
    pub(crate) counters: GateCounters,
    /// What has happened to users, for those who ask.
    pub(crate) recent: crate::admin::Recent,
}

impl GateSelf {
    /// The inbox of one of the gate's shards.
    pub(crate) fn inbox_of(&self, shard: u16) -> Option<Arc<crate::shard::inbox::Inbox>> {
        self.shards.get()?.iter().find(|(n, _)| *n == shard).map(|(_, inbox)| inbox.clone())
    }
}

impl GateShard {
    pub(crate) fn new(own: Arc<GateSelf>) -> Self {
        Self {
            own,
            listeners: Vec::new(),
            clients: Slab::new(),
            generations: Vec::new(),
            last_seen: Vec::new(),
            members: Members::default(),
            channels: Channels::default(),
            link_waiters: HashMap::new(),
            counters: GateCounters::default(),
            recent: Default::default(),
        }
    }

    /// The slot the next client gets.
    pub(crate) fn next_slot(&self) -> u32 {
        self.clients.vacant_key() as u32
    }

    pub(crate) fn insert(&mut self, conn: Box<dyn Conn>, listener: u8, wake: (Waker, Mark), now: u32) -> (u32, u32) {
        let entry = self.clients.vacant_entry();
        let slot = entry.key();
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 1);
            self.last_seen.resize(slot + 1, 0);
        }
        let generation = self.generations[slot];
        self.last_seen[slot] = now;
        let cid = self.own.cids.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        entry.insert(Client::new(conn, listener, wake, (cid, generation), now));
        (slot as u32, generation)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Client> {
        let client = self.clients.try_remove(slot as usize)?;
        if let Some(generation) = self.generations.get_mut(slot as usize) {
            // 0 is never a generation: lane 0 is control.
            *generation = generation.wrapping_add(1).max(1);
        }
        Some(client)
    }

    pub(crate) fn client(&mut self, slot: u32) -> Option<&mut Client> {
        self.clients.get_mut(slot as usize)
    }

    /// The client of a lane, unless it has left.
    pub(crate) fn of_lane(&mut self, lane: u64) -> Option<(u32, &mut Client)> {
        let (slot, generation) = crate::link::slot_of(lane);
        self.clients.get_mut(slot as usize).filter(|c| c.generation == generation).map(|c| (slot, c))
    }

    pub(crate) fn seen(&mut self, slot: u32, now: u32) {
        if let Some(seen) = self.last_seen.get_mut(slot as usize) {
            *seen = now;
        }
    }
}
