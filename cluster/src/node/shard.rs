//! A node's part of a shard: its sessions, their mailboxes, its handlers.

use std::{cell::RefCell, collections::VecDeque, ops::Range, sync::Arc, task::Waker};

use bytes::BytesMut;
use due_core::{Epoch, Uid, transport::Head};
use slab::Slab;
use tokio::time::Instant;

use super::part::NodeShared;
use crate::{
    cluster::Cluster,
    handler::{RouteHandler, Running},
    link::Credit,
    session::Session,
    shard::{inbox::Inbox, ready::Mark, timers::TimerKey},
    stat::{NodeCounters, RouteCounters},
};

/// How a session's gate is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// A gate of the same shard.
    Here(u8),
    /// A link by slot.
    Link(u32),
}

/// What became of a message that was given to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// Its handler has ended.
    Done,
    /// It waits, or its handler does; lane credit comes back at the end.
    Queued,
}

/// What stands in a session's mailbox.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A message; its body stands in the mailbox's bytes. The route is looked up when it is taken.
    Message(Head, usize),
    /// An event handler by its place in the table.
    Event(usize),
    Bound(Uid, Epoch),
    Unbound,
    /// The gate waits for everything before this.
    Barrier,
    /// The end of the session; nothing comes after it.
    Closed,
}

/// Items in order, bodies side by side; the buffer goes when it is empty.
#[derive(Default)]
pub(crate) struct Mailbox {
    items: VecDeque<Item>,
    bytes: Vec<u8>,
    read: usize,
}

impl Mailbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.items.push_back(item);
    }

    pub(crate) fn push_message(&mut self, head: Head, body: &[u8]) {
        self.bytes.extend_from_slice(body);
        self.items.push_back(Item::Message(head, body.len()));
    }

    /// Puts items before all others, in the order given.
    pub(crate) fn push_front(&mut self, items: impl DoubleEndedIterator<Item = Item>) {
        items.rev().for_each(|item| self.items.push_front(item));
    }

    /// Takes messages out of the middle; the others stay in their order.
    pub(crate) fn take_messages(&mut self, taken: impl Fn(&Head) -> bool) -> Vec<(Head, usize)> {
        let old = std::mem::take(self);
        let (mut at, mut out) = (old.read, Vec::new());
        for item in old.items {
            let Item::Message(head, len) = item else {
                self.push(item);
                continue;
            };
            let body = old.bytes.get(at..at + len).unwrap_or_default();
            at += len;
            if taken(&head) {
                out.push((head, len));
            } else {
                self.push_message(head, body);
            }
        }
        out
    }

    /// The next item; the body of a message is moved into `body`.
    pub(crate) fn pop(&mut self, body: &mut Vec<u8>) -> Option<Item> {
        let item = self.items.pop_front()?;
        body.clear();
        if let Item::Message(_, len) = item {
            let at: Range<usize> = self.read..self.read + len;
            body.extend_from_slice(self.bytes.get(at).unwrap_or_default());
            self.read += len;
        }
        if self.items.is_empty() {
            *self = Self::default();
        }
        Some(item)
    }
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    No,
    /// A handler is on the stack, or its end is being settled.
    Here,
    /// A handler waits, or blocks on the pool.
    Task,
}

/// A session as a node shard holds it.
pub(crate) struct NodeSession {
    pub(crate) session: Session,
    pub(crate) peer: Peer,
    pub(crate) lane: u64,
    pub(crate) generation: u32,
    pub(crate) uid: Option<Uid>,
    pub(crate) mailbox: Mailbox,
    pub(crate) busy: Busy,
    pub(crate) hello: bool,
    /// A later login has its user.
    pub(crate) outdated: bool,
    /// Stands on the list of sessions to go on with.
    pub(crate) listed: bool,
    /// Late answers that are still to come.
    pub(crate) late: Vec<LateEntry>,
    /// Credit that was earned but not sent yet.
    pub(crate) credit: Credit,
}

/// A message or event on its way through a handler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Tells it from all other work of the node shard; 0 for events.
    pub(crate) id: u64,
    /// Session slot; `None` for a message of the event bus.
    pub(crate) session: Option<u32>,
    pub(crate) head: Head,
    /// Bytes of the body; credit to return.
    pub(crate) len: u32,
    /// Did the gate charge the lane for it?
    pub(crate) charged: bool,
    pub(crate) place: usize,
    pub(crate) event: bool,
    pub(crate) begun: Instant,
}

impl Work {
    /// A handler of an event.
    pub(crate) fn event(place: usize, begun: Instant) -> Self {
        Self { id: 0, session: None, head: Head::default(), len: 0, charged: false, place, event: true, begun }
    }
}

/// An answer that is to come.
pub(crate) struct LateEntry {
    pub(crate) work: Work,
    pub(crate) timer: TimerKey,
}

/// A handler that waits.
pub(crate) struct Task {
    /// `None` while it blocks on the pool.
    pub(crate) running: Option<Box<dyn Running>>,
    pub(crate) work: Work,
    pub(crate) number: u64,
    pub(crate) timer: TimerKey,
    /// Dropped when the task ends: the event bus goes on then.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) done: Option<tokio::sync::oneshot::Sender<()>>,
}

/// The right to be the one handler of a node with `Order::Node`; given back when it is dropped.
pub(crate) struct Turn {
    pub(crate) home: Arc<Inbox>,
    pub(crate) node: u8,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let node = self.node;
        self.home.run(move |shard| shard.serial_over(node));
    }
}

/// Sessions of one node on one shard.
pub(crate) struct NodeShard {
    pub(crate) shared: Arc<NodeShared>,
    pub(crate) index: u8,
    pub(crate) cluster: Cluster,
    pub(crate) handlers: Vec<Box<dyn RouteHandler>>,
    pub(crate) counters: Vec<RouteCounters>,
    pub(crate) sessions: Slab<NodeSession>,
    generations: Vec<u32>,
    here: Vec<Vec<u32>>,
    links: Vec<Vec<u32>>,
    /// The node's number in the members of each gate of this shard.
    pub(crate) member_of: Vec<Option<u16>>,
    pub(crate) tasks: Slab<Task>,
    pub(crate) wakers: Vec<(Waker, Mark)>,
    pub(crate) last_id: u64,
    pub(crate) arena: RefCell<BytesMut>,
    pub(crate) out: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// With `Order::Node`: does a handler run, and which sessions wait?
    pub(crate) serial_busy: bool,
    pub(crate) serial_waiting: VecDeque<u32>,
    /// Events of the bus that wait for their turn with `Order::Node`: at most one of each topic.
    pub(crate) serial_topics: VecDeque<(usize, bytes::Bytes, tokio::sync::oneshot::Sender<()>)>,
    /// Calls of other processes that wait for their turn with `Order::Node`.
    pub(crate) serial_calls: VecDeque<tokio::sync::oneshot::Sender<Turn>>,
    /// Stands in for the session of messages that no client sent.
    pub(crate) nobody: Session,
    pub(crate) totals: NodeCounters,
}

/// Size of the arena that bodies are copied into when a handler keeps them.
const ARENA: usize = 64 * 1024;

impl NodeShard {
    pub(crate) fn new(shared: Arc<NodeShared>, index: u8, cluster: Cluster, nobody: Session) -> Self {
        let handlers = shared.table.handlers();
        let counters = vec![RouteCounters::default(); handlers.len()];
        Self {
            shared,
            index,
            cluster,
            handlers,
            counters,
            sessions: Slab::new(),
            generations: Vec::new(),
            here: Vec::new(),
            links: Vec::new(),
            member_of: Vec::new(),
            tasks: Slab::new(),
            wakers: Vec::new(),
            last_id: 0,
            arena: RefCell::new(BytesMut::with_capacity(ARENA)),
            out: Vec::new(),
            body: Vec::new(),
            serial_busy: false,
            serial_waiting: VecDeque::new(),
            serial_topics: VecDeque::new(),
            serial_calls: VecDeque::new(),
            nobody,
            totals: NodeCounters::default(),
        }
    }

    fn index_of(&mut self, peer: Peer) -> &mut Vec<u32> {
        let (all, i) = match peer {
            Peer::Here(g) => (&mut self.here, usize::from(g)),
            Peer::Link(l) => (&mut self.links, l as usize),
        };
        if all.len() <= i {
            all.resize_with(i + 1, Vec::new);
        }
        &mut all[i]
    }

    /// The session of a lane; a stale lane has none.
    pub(crate) fn find(&self, peer: Peer, lane: u64) -> Option<u32> {
        let lanes = match peer {
            Peer::Here(g) => self.here.get(usize::from(g)),
            Peer::Link(l) => self.links.get(l as usize),
        }?;
        let slot = lanes.get(lane as u32 as usize)?.checked_sub(1)?;
        self.sessions.get(slot as usize).filter(|s| s.lane == lane).map(|_| slot)
    }

    /// Is this slot that session's?
    #[inline]
    pub(crate) fn sits(&self, slot: u32, (peer, lane): (Peer, u64)) -> bool {
        self.sessions.get(slot as usize).is_some_and(|s| s.lane == lane && s.peer == peer)
    }

    /// Where the next session will stand.
    pub(crate) fn next_key(&mut self) -> (u32, u32) {
        let slot = self.sessions.vacant_key();
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 1);
        }
        (slot as u32, self.generations[slot])
    }

    pub(crate) fn insert(&mut self, session: NodeSession) -> u32 {
        let (peer, lane) = (session.peer, session.lane);
        let slot = self.sessions.insert(session) as u32;
        let lanes = self.index_of(peer);
        let at = lane as u32 as usize;
        if lanes.len() <= at {
            lanes.resize(at + 1, 0);
        }
        lanes[at] = slot + 1;
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(session) = self.sessions.try_remove(slot as usize) else { return };
        if let Some(generation) = self.generations.get_mut(slot as usize) {
            *generation = generation.wrapping_add(1).max(1);
        }
        let at = session.lane as u32 as usize;
        if let Some(entry) = self.index_of(session.peer).get_mut(at)
            && *entry == slot + 1
        {
            *entry = 0;
        }
    }

    /// The session a handle names, unless it is over.
    pub(crate) fn of_key(&mut self, slot: u32, generation: u32) -> Option<&mut NodeSession> {
        self.sessions.get_mut(slot as usize).filter(|s| s.generation == generation)
    }
}
