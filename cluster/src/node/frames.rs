//! Frames of gates: the life of sessions, and their messages into mailboxes.

use std::sync::Arc;

use due_core::{
    Class, Epoch, Kind, Result, SessionId, Uid,
    transport::{FrameKind, Head, Part, Refused},
};
use tokio::sync::oneshot;

use super::shard::{Busy, Handled, Item, Mailbox, NodeSession, Peer};
use crate::{
    handler::Event,
    link::{
        Credit, FLAG_HELLO, FLAG_THEN_CLOSE, GateOrder, Opened, Owned, Reader, STALE_ORDER, TABLE_ORDER, class_of,
        encode_fault, end::Side,
    },
    session::{Made, Session},
    shard::{
        driver::{Shard, TimerEvent},
        inbox::SessionKey,
    },
};

impl Shard {
    /// Takes a frame of a gate.
    pub(crate) fn frame_to_node(&mut self, n: u8, peer: Peer, head: Head, body: &[u8]) {
        match head.kind {
            FrameKind::Message => {
                self.message_to_node(n, peer, &head, body);
            }
            FrameKind::Open => match Opened::decode(body) {
                Ok(opened) => self.open_session(n, peer, head, opened),
                Err(e) => tracing::warn!(error = %e, "a session cannot be opened"),
            },
            FrameKind::Bound => {
                let r = &mut Reader(body);
                if let (Ok(uid), Ok(epoch), Ok(owners)) = (r.uid(), r.epoch(), r.owners()) {
                    self.bound_session(n, (peer, head.lane), (uid, epoch), &owners);
                }
            }
            FrameKind::Unbound => self.queue(n, peer, head.lane, Item::Unbound),
            FrameKind::Barrier => self.queue(n, peer, head.lane, Item::Barrier),
            FrameKind::Close => self.close_session(n, peer, head.lane),
            FrameKind::Order if head.route == STALE_ORDER => {
                let r = &mut Reader(body);
                if let (Ok(uid), Ok(session), Ok(owners)) = (r.uid(), r.u128(), r.owners()) {
                    let session = SessionId(session);
                    self.hear_owners(n, (&uid, session), &owners, Some(session));
                }
            }
            FrameKind::Order if head.route == TABLE_ORDER => {
                if let (Peer::Link(link), Some(node)) = (peer, self.nodes.get(usize::from(n))) {
                    let table = node.shared.encoded.encode();
                    self.link_answer(link, head.corr, Ok(table));
                }
            }
            _ => {}
        }
    }

    fn open_session(&mut self, n: u8, peer: Peer, head: Head, opened: Opened) {
        let (gate, gate_shard) = match self.gate_of(peer) {
            Some(found) => found,
            None => return,
        };
        let home = self.inbox.clone();
        let crowded = match peer {
            Peer::Here(_) => Arc::default(),
            Peer::Link(link) => self.links.get(link as usize).map(|end| end.crowded.clone()).unwrap_or_default(),
        };
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let hello = head.flags & FLAG_HELLO != 0;
        if let Some(known) = node.find(peer, head.lane).and_then(|slot| node.sessions.get_mut(slot as usize)) {
            known.hello |= hello;
            return known.session.set_labels(opened.labels);
        }
        if let Some((uid, _)) = &opened.user {
            self.hear_owners(n, (uid, opened.session), &opened.owners, None);
        }
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let (slot, generation) = node.next_key();
        let user = opened.user.clone();
        let key = SessionKey { node: n, slot, generation };
        let own = node.shared.own.clone();
        let session = Session::new(Made { opened, gate, gate_shard, lane: head.lane, key, home, node: own, crowded });
        let slot = node.insert(NodeSession {
            session,
            peer,
            lane: head.lane,
            generation,
            uid: user.as_ref().map(|(uid, _)| uid.clone()),
            mailbox: Mailbox::default(),
            busy: Busy::No,
            hello,
            outdated: false,
            listed: false,
            late: Vec::new(),
            credit: Credit::default(),
        });
        if let Some((uid, epoch)) = user {
            self.speaks_for(n, slot, &uid, epoch);
        }
        self.queue_events(n, slot, Event::Connected);
        self.run_session(n, slot);
    }

    /// The session is the user's from now on.
    fn bound_session(&mut self, n: u8, at: (Peer, u64), user: (Uid, Epoch), owners: &[Owned]) {
        let ((peer, lane), (uid, epoch)) = (at, user);
        let found = self.nodes.get_mut(usize::from(n)).and_then(|node| {
            let slot = node.find(peer, lane)?;
            Some((slot, node.sessions.get(slot as usize)?.session.id()))
        });
        if let Some((slot, session)) = found {
            self.hear_owners(n, (&uid, session), owners, None);
            self.speaks_for(n, slot, &uid, epoch);
        }
        self.queue(n, peer, lane, Item::Bound(uid, epoch));
    }

    fn gate_of(&self, peer: Peer) -> Option<(due_core::Owner, u16)> {
        match peer {
            Peer::Here(g) => Some((self.gates.get(usize::from(g))?.own.owner.clone(), self.number)),
            Peer::Link(link) => match &self.links.get(link as usize)?.side {
                Side::Node { gate, gate_shard, .. } => Some((gate.clone(), *gate_shard)),
                Side::Gate { .. } | Side::Asker { .. } => None,
            },
        }
    }

    pub(crate) fn queue_events(&mut self, n: u8, slot: u32, event: Event) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        if !node.shared.encoded.events {
            return;
        }
        let places = node.shared.table.event(event);
        if let Some(session) = node.sessions.get_mut(slot as usize) {
            places.into_iter().for_each(|place| session.mailbox.push(Item::Event(place)));
        }
    }

    fn queue(&mut self, n: u8, peer: Peer, lane: u64, item: Item) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(slot) = node.find(peer, lane) else {
            node.totals.stale += 1;
            return;
        };
        if let Some(session) = node.sessions.get_mut(slot as usize) {
            session.mailbox.push(item);
        }
        self.run_session(n, slot);
    }

    fn close_session(&mut self, n: u8, peer: Peer, lane: u64) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(slot) = node.find(peer, lane) else { return };
        self.end_session(n, slot);
    }

    /// The session's gate says that it is over, or is over itself.
    fn end_session(&mut self, n: u8, slot: u32) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(session) = node.sessions.get_mut(slot as usize) else { return };
        if session.session.0.closed.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return;
        }
        self.queue_events(n, slot, Event::Disconnected);
        if let Some(session) = self.nodes.get_mut(usize::from(n)).and_then(|node| node.sessions.get_mut(slot as usize))
        {
            session.mailbox.push(Item::Closed);
        }
        self.run_session(n, slot);
    }

    /// A link to a gate shard is over: so are its sessions.
    pub(crate) fn gate_lost(&mut self, n: u8, link: u32) {
        let inbox = self.inbox.clone();
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        node.cluster.remove_link(&inbox, link);
        let peer = Peer::Link(link);
        let slots: Vec<u32> =
            node.sessions.iter().filter(|(_, s)| s.peer == peer).map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.end_session(n, slot);
        }
    }

    /// Hands a message to its session: handled at once if nothing stands before it, else queued.
    pub(crate) fn message_to_node(&mut self, n: u8, peer: Peer, head: &Head, body: &[u8]) -> Handled {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return Handled::Done };
        let Some(slot) = node.find(peer, head.lane) else {
            node.totals.stale += 1;
            return Handled::Done;
        };
        let Some(session) = node.sessions.get_mut(slot as usize) else { return Handled::Done };
        let later = node.serial_busy || node.shared.own.doubt.is_raised();
        if session.busy != Busy::No || !session.mailbox.is_empty() || later {
            session.mailbox.push_message(*head, body);
            if session.busy == Busy::No {
                self.list(n, slot);
            }
            return Handled::Queued;
        }
        // A client of this very shard is charged only for what has to wait.
        let charged = matches!(peer, Peer::Link(_));
        let handled = self.run_message(n, slot, (*head, charged), body);
        // What its handler asked for may have come back to its own mailbox, such as the end of the session.
        self.list(n, slot);
        handled
    }

    /// Pushes of handles.
    pub(crate) fn session_push(&mut self, key: SessionKey, head: Head, body: &[u8]) {
        if let Some(way) = self.way_of(key) {
            return self.send_down(key.node, way, head, body);
        }
        let Some(node) = self.nodes.get_mut(usize::from(key.node)) else { return };
        let Some(session) = node.of_key(key.slot, key.generation) else {
            node.totals.stale += 1;
            return;
        };
        let peer = session.peer;
        self.send_down(key.node, peer, head, body);
    }

    /// An order of a session's handle to its gate.
    pub(crate) fn session_order(
        &mut self,
        at: (SessionKey, u64),
        order: GateOrder,
        waiting: Option<oneshot::Sender<Result<Vec<u8>>>>,
    ) {
        let (key, lane) = at;
        if let Some(way) = self.way_of(key) {
            return self.visitor_order(way, lane, order, waiting);
        }
        let found = self.nodes.get_mut(usize::from(key.node)).and_then(|node| node.of_key(key.slot, key.generation));
        let Some(peer) = found.map(|s| s.peer) else { return };
        match peer {
            Peer::Here(g) => {
                let to = waiting.map_or(crate::gate::orders::ReplyTo::Nobody, crate::gate::orders::ReplyTo::Here);
                self.gate_order(g, lane, order, to);
            }
            Peer::Link(link) => self.link_order(link, lane, &order, waiting),
        }
    }

    /// A frame to a session's gate.
    pub(crate) fn send_down(&mut self, n: u8, peer: Peer, head: Head, body: &[u8]) {
        match peer {
            Peer::Here(g) => {
                let member = self.nodes.get(usize::from(n)).and_then(|node| node.member_at(g));
                self.frame_to_gate(g, member, None, head, body);
            }
            Peer::Link(link) => {
                let sent = self.link_send(link, head, Part::Copy(body));
                match (sent, head.kind) {
                    (Err(Refused::Full), FrameKind::Message) => self.push_refused(n, link, head, body),
                    (Err(Refused::Full), _) => self.link_owe(link, head, body),
                    (Err(Refused::TooLarge), FrameKind::Reply) => self.answer_too_large(link, head),
                    _ => {}
                }
            }
        }
    }

    /// An answer that the link cannot carry becomes an error, so that its client waits for nothing.
    fn answer_too_large(&mut self, link: u32, head: Head) {
        tracing::warn!(route = head.route, "an answer is larger than a link carries: see `max-frame` of the transport");
        let body = encode_fault(Kind::TooLarge.code(), Kind::TooLarge.text());
        let _ = self.link_send(link, Head { kind: FrameKind::Error, ..head }, Part::Copy(&body));
    }

    /// A push found the link to its gate full: its class decides. The last one of a connection waits like an answer.
    fn push_refused(&mut self, n: u8, link: u32, head: Head, body: &[u8]) {
        if head.flags & FLAG_THEN_CLOSE != 0 {
            return self.link_owe(link, head, body);
        }
        let kept = class_of(head.flags) == Class::Latest && self.link_keep(link, head, body);
        self.link_wait(link);
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        node.totals.pushes_latest += u64::from(kept);
        node.totals.pushes_full += u64::from(!kept);
        if let Some(end) = self.links.get_mut(link as usize)
            && !kept
            && !std::mem::replace(&mut end.told, true)
        {
            tracing::warn!(
                node = node.shared.own.name,
                "a link to a gate is full and pushes are dropped; the snapshot counts them in pushes_full"
            );
        }
    }

    /// Credit for a message that is done. Over a link it is gathered, so that it costs one frame for many; what tells of
    /// a message that has no answer does not wait long.
    pub(crate) fn return_credit(&mut self, n: u8, slot: u32, len: u32, notify: bool) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(session) = node.sessions.get_mut(slot as usize) else { return };
        let news = notify && session.credit.notifies == 0;
        session.credit.add(len, notify);
        let (peer, credit) = (session.peer, session.credit);
        if matches!(peer, Peer::Here(_)) || credit.frames >= GATHER_FRAMES || credit.bytes >= GATHER_BYTES {
            return self.send_credit(n, slot);
        }
        if news {
            if self.credits.is_empty() {
                self.timers.add(now + GATHER_TIME, TimerEvent::Credits);
            }
            self.credits.push(session.session.0.key);
        }
    }

    /// The credit of notifies that was gathered for long enough.
    pub(crate) fn credits_due(&mut self) {
        for key in std::mem::take(&mut self.credits) {
            let node = self.nodes.get_mut(usize::from(key.node));
            if node.is_some_and(|node| node.of_key(key.slot, key.generation).is_some()) {
                self.send_credit(key.node, key.slot);
            }
        }
    }

    fn send_credit(&mut self, n: u8, slot: u32) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(session) = node.sessions.get_mut(slot as usize) else { return };
        let (peer, lane, credit) = (session.peer, session.lane, std::mem::take(&mut session.credit));
        if credit.frames > 0 {
            self.send_down(n, peer, credit.head(lane), &[]);
        }
    }
}

/// Credit is sent when a quarter of the lane's window was used.
const GATHER_FRAMES: u32 = crate::link::LANE_FRAMES / 4;
const GATHER_BYTES: u32 = crate::link::LANE_BYTES / 4;
/// The longest that the credit of a notify is gathered: so long it may count as lost though it was handled.
const GATHER_TIME: std::time::Duration = std::time::Duration::from_millis(20);
