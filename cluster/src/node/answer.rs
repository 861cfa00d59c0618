//! The ends of handlers: counted, answered, credit returned; and answers that come later.

use std::sync::Arc;

use bytes::Bytes;
use due_core::{
    Code,
    transport::{FrameKind, Head},
};
use tokio::sync::oneshot;

use super::{
    run::mark_busy,
    shard::{Busy, LateEntry, NodeShard, Turn, Work},
};
use crate::{
    fault::Fault,
    handler::{Answer, Promise, Promises},
    link::{FLAG_NOTIFY, encode_fault},
    session::Session,
    shard::{
        driver::{Shard, TimerEvent},
        inbox::SessionKey,
    },
};

/// From this code on they are the application's own.
const OWN_CODES: u32 = 1000;
/// Late answers that one session may owe.
pub(super) const MAX_LATE: usize = 256;

impl Shard {
    /// A handler has ended. What it pushed goes before its answer; `true` if the answer is out.
    pub(super) fn settle_work(&mut self, n: u8, work: &Work, answer: Answer, out: &[u8]) -> bool {
        if matches!(answer, Answer::Later) {
            // Before the inbox is looked at: the answer may stand there already.
            self.await_late(n, work);
        }
        if !self.inbox.is_filled() {
            self.settle(n, work, answer, out);
            return true;
        }
        if !self.obeying {
            self.obey();
            self.settle(n, work, answer, out);
            return true;
        }
        // Commands are being obeyed, and later ones must not overtake them: the answer waits in line.
        let (work, out) = (Work { charged: true, ..*work }, out.to_vec());
        self.inbox.run(move |shard| {
            shard.settle(n, &work, answer, &out);
            shard.go_on(n, &work);
        });
        false
    }

    /// Counts, answers, returns credit.
    fn settle(&mut self, n: u8, work: &Work, answer: Answer, out: &[u8]) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        if let Some(counters) = node.counters.get_mut(work.place) {
            counters.handled += 1;
            if let Answer::Fault(fault) = &answer {
                counters.faults += 1;
                node.totals.errors += u64::from(fault.code().number() < OWN_CODES);
            }
            if work.begun == now {
                counters.time.record_none();
            } else {
                counters.time.record(now.saturating_duration_since(work.begun));
            }
        }
        match (work.session, work.event) {
            (Some(slot), false) => self.answer_client(n, slot, work, answer, out),
            _ => log_fault(node, work, &answer),
        }
        if let (Some(slot), true, false) = (work.session, work.charged, work.event) {
            self.return_credit(n, slot, work.len, work.head.flags & FLAG_NOTIFY != 0);
        }
        if let Some(node) = self.nodes.get_mut(usize::from(n)) {
            mark_busy(node, work, Busy::No);
        }
        self.next_serial(n);
    }

    /// After a handler that waited: the rest of the session's mailbox.
    pub(super) fn go_on(&mut self, n: u8, work: &Work) {
        if let Some(slot) = work.session {
            self.run_session(n, slot);
        }
    }

    pub(super) fn next_serial(&mut self, n: u8) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        if node.serial_busy {
            return;
        }
        if let Some((place, body, done)) = node.serial_topics.pop_front() {
            let index = node.index;
            self.inbox.run(move |shard| shard.topic_event(index, place, &body, done));
            return;
        }
        if let Some(granted) = node.serial_calls.pop_front() {
            return self.serial_turn(n, granted);
        }
        if let Some(slot) = node.serial_waiting.pop_front() {
            self.runnable.push((n, slot));
            self.wake_soon();
        }
    }

    /// Lets a call of another process be the one handler, now or when others have ended.
    pub(super) fn serial_turn(&mut self, n: u8, granted: oneshot::Sender<Turn>) {
        let home = self.inbox.clone();
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        if node.serial_busy {
            return node.serial_calls.push_back(granted);
        }
        node.serial_busy = true;
        // If nobody waits any more, the turn comes back and is over.
        let _ = granted.send(Turn { home, node: n });
    }

    pub(super) fn serial_over(&mut self, n: u8) {
        if let Some(node) = self.nodes.get_mut(usize::from(n)) {
            node.serial_busy = false;
        }
        self.next_serial(n);
    }

    fn answer_client(&mut self, n: u8, slot: u32, work: &Work, answer: Answer, out: &[u8]) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(session) = node.sessions.get_mut(slot as usize) else { return };
        let (peer, hello) = (session.peer, session.hello);
        let wanted = !hello || work.head.seq != 0;
        let reply = Head { kind: FrameKind::Reply, flags: 0, ..work.head };
        match answer {
            Answer::Reply if wanted => self.send_down(n, peer, reply, out),
            Answer::Nothing if hello && wanted => self.send_down(n, peer, reply, &[]),
            Answer::Reply | Answer::Nothing | Answer::Later => {}
            Answer::Fault(fault) => self.answer_fault(n, slot, work, &fault),
        }
    }

    fn answer_fault(&mut self, n: u8, slot: u32, work: &Work, fault: &Fault) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(session) = node.sessions.get(slot as usize) else { return };
        let (peer, hello) = (session.peer, session.hello);
        let mount = node.shared.table.mount(work.place);
        if let Some(source) = fault.source() {
            let route = mount.map_or("", |m| m.def().name);
            tracing::warn!(route, session = %session.session.id(), code = fault.code().number(), cause = %source, "a handler failed");
        }
        let mut body = Vec::new();
        if !hello && mount.is_some_and(|m| m.answer_fault(fault, &mut body)) {
            return self.send_down(n, peer, Head { kind: FrameKind::Reply, flags: 0, ..work.head }, &body);
        }
        if !hello || work.head.seq != 0 {
            let body = encode_fault(fault.code().number(), fault.text());
            self.send_down(n, peer, Head { kind: FrameKind::Error, flags: 0, ..work.head }, &body);
        }
    }

    /// A handler handed its reply away: the answer has until the route's deadline.
    fn await_late(&mut self, n: u8, work: &Work) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let limit = node.limit(work.place);
        let Some(session) = work.session.and_then(|slot| node.sessions.get_mut(slot as usize)) else { return };
        let key = session.session.0.key;
        let timer = self.timers.add(work.begun + limit, TimerEvent::Late(key, work.id));
        session.late.push(LateEntry { work: *work, timer });
    }

    /// The answer has come; one that nobody waits for any more is dropped.
    fn answered_late(&mut self, key: SessionKey, id: u64, outcome: Result<Bytes, Fault>) {
        let Some(entry) = self.take_late(key, id) else { return };
        self.timers.cancel(entry.timer);
        match outcome {
            Ok(body) => self.answer_client(key.node, key.slot, &entry.work, Answer::Reply, &body),
            Err(fault) => self.answer_client(key.node, key.slot, &entry.work, Answer::Fault(fault), &[]),
        }
    }

    /// It has not come in time.
    pub(crate) fn late_overdue(&mut self, key: SessionKey, id: u64) {
        let Some(entry) = self.take_late(key, id) else { return };
        if let Some(node) = self.nodes.get_mut(usize::from(key.node)) {
            node.totals.errors += 1;
            if let Some(counters) = node.counters.get_mut(entry.work.place) {
                counters.timeouts += 1;
            }
        }
        self.answer_client(key.node, key.slot, &entry.work, Answer::Fault(Code::TIMEOUT.into()), &[]);
    }

    fn take_late(&mut self, key: SessionKey, id: u64) -> Option<LateEntry> {
        let node = self.nodes.get_mut(usize::from(key.node))?;
        let session = node.of_key(key.slot, key.generation)?;
        let at = session.late.iter().position(|e| e.work.id == id)?;
        Some(session.late.swap_remove(at))
    }
}

fn log_fault(node: &NodeShard, work: &Work, answer: &Answer) {
    if let Answer::Fault(fault) = answer {
        let name = node.shared.table.mount(work.place).map_or("", |m| m.def().name);
        tracing::warn!(handler = name, ?fault, "a handler of an event failed");
    }
}

/// An answer that comes after its handler returned.
struct LateAnswer {
    session: Session,
    id: u64,
}

impl Promises for Session {
    fn promise(&self, id: u64) -> Arc<dyn Promise> {
        Arc::new(LateAnswer { session: self.clone(), id })
    }
}

impl Promise for LateAnswer {
    fn answer(&self, outcome: Result<Bytes, Fault>) {
        let (key, id) = (self.session.0.key, self.id);
        // In line with the pushes that were made before it.
        self.session.0.home.run(move |shard| shard.answered_late(key, id, outcome));
    }
}
