//! Running handlers: at once where they are ready, as tasks where they wait, on the pool where they block.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use bytes::Bytes;
use due_core::{
    Code, Kind, RouteId,
    transport::{FrameKind, Head},
};
use tokio::sync::oneshot;

use super::{
    caller::Started,
    part::Order,
    shard::{Busy, Handled, Item, NodeSession, NodeShard, Task, Work},
};
use crate::{
    fault::Fault,
    handler::{Answer, Event, Job, Running, Start},
    link::{FLAG_NOTIFY, encode_fault},
    shard::driver::{Shard, TimerEvent},
};

/// Messages of one session in one turn.
const ITEMS_A_TURN: usize = 64;

impl Shard {
    /// Goes on with a session until its mailbox is empty, a handler waits, or its turn is over.
    pub(crate) fn run_session(&mut self, n: u8, slot: u32) {
        for _ in 0..ITEMS_A_TURN {
            let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
            let Some(session) = node.sessions.get_mut(slot as usize) else { return };
            if session.busy != Busy::No || node.shared.own.doubt.is_raised() {
                return;
            }
            if node.serial_busy {
                return self.list(n, slot);
            }
            let mut body = std::mem::take(&mut node.body);
            let Some(item) = session.mailbox.pop(&mut body) else {
                node.body = body;
                return;
            };
            self.run_item(n, slot, item, &body);
            if let Some(node) = self.nodes.get_mut(usize::from(n)) {
                node.body = body;
            }
        }
        self.list(n, slot);
    }

    /// Puts a session on the list of those to go on with.
    pub(crate) fn list(&mut self, n: u8, slot: u32) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(session) = node.sessions.get_mut(slot as usize) else { return };
        if session.mailbox.is_empty() || std::mem::replace(&mut session.listed, true) {
            return;
        }
        if node.serial_busy {
            node.serial_waiting.push_back(slot);
        } else {
            self.runnable.push((n, slot));
        }
    }

    /// Goes on with the sessions whose turn was over.
    pub(crate) fn run_waiting(&mut self) {
        let mut runnable = std::mem::take(&mut self.runnable);
        for (n, slot) in runnable.drain(..) {
            if let Some(node) = self.nodes.get_mut(usize::from(n))
                && let Some(session) = node.sessions.get_mut(slot as usize)
            {
                session.listed = false;
                self.run_session(n, slot);
            }
        }
        if !self.runnable.is_empty() {
            // More to do, but others first.
            self.wake_soon();
        }
        runnable.append(&mut self.runnable);
        self.runnable = runnable;
    }

    fn run_item(&mut self, n: u8, slot: u32, item: Item, body: &[u8]) {
        match item {
            Item::Message(head, _) => {
                self.run_message(n, slot, (head, true), body);
            }
            Item::Event(place) => {
                let begun = self.now();
                let work = Work { session: Some(slot), ..Work::event(place, begun) };
                self.start(n, &work, &[], None);
            }
            Item::Bound(uid, epoch) => {
                let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
                if node.sessions.get(slot as usize).is_some_and(|s| s.uid.as_ref().is_some_and(|old| *old != uid)) {
                    node.stops_speaking(slot);
                }
                if let Some(session) = node.sessions.get_mut(slot as usize) {
                    session.session.set_user(Some((uid.clone(), epoch)));
                    session.uid = Some(uid);
                }
                self.events_next(n, slot, Event::Bound);
            }
            Item::Unbound => {
                let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
                node.stops_speaking(slot);
                if let Some(session) = node.sessions.get_mut(slot as usize) {
                    session.session.set_user(None);
                    session.outdated = false;
                }
            }
            Item::Barrier => self.pass_barrier(n, slot),
            Item::Closed => {
                if let Some(node) = self.nodes.get_mut(usize::from(n)) {
                    node.stops_speaking(slot);
                    node.remove(slot);
                }
            }
        }
    }

    /// Tells the gate that everything before its barrier is handled; a gate whose link is over does not wait.
    fn pass_barrier(&mut self, n: u8, slot: u32) {
        let session = self.nodes.get(usize::from(n)).and_then(|node| node.sessions.get(slot as usize));
        if let Some(session) = session.filter(|s| !s.session.is_closed()) {
            let (peer, lane) = (session.peer, session.lane);
            self.send_down(n, peer, Head { kind: FrameKind::Barrier, lane, ..Head::default() }, &[]);
        }
    }

    /// Runs an event's handlers before what stands in the mailbox already.
    fn events_next(&mut self, n: u8, slot: u32, event: Event) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        if !node.shared.encoded.events {
            return;
        }
        let places = node.shared.table.event(event);
        if let Some(session) = node.sessions.get_mut(slot as usize) {
            session.mailbox.push_front(places.into_iter().map(Item::Event));
        }
    }

    /// Runs the handler of a message; `charged`: the gate took lane credit for it.
    pub(crate) fn run_message(&mut self, n: u8, slot: u32, message: (Head, bool), body: &[u8]) -> Handled {
        let (head, charged) = message;
        let begun = self.now();
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return Handled::Done };
        if let Some(why) = node.refusal(slot, &head) {
            self.refuse_message(n, slot, (head, charged), (body.len() as u32, why));
            return Handled::Done;
        }
        let Some(place) = node.place_of(head.route) else {
            // The gate's view of the table was older than ours.
            self.refuse_message(n, slot, (head, charged), (body.len() as u32, Kind::NoRoute));
            return Handled::Done;
        };
        let (len, id) = (body.len() as u32, node.next_id());
        let work = Work { id, session: Some(slot), head, len, charged, place, event: false, begun };
        self.start(n, &work, body, None)
    }

    /// Answers a message that is not handled, with its length and why.
    pub(super) fn refuse_message(&mut self, n: u8, slot: u32, message: (Head, bool), (len, kind): (u32, Kind)) {
        let (head, charged) = message;
        let body = encode_fault(kind.code(), kind.text());
        let peer = self.nodes.get(usize::from(n)).and_then(|node| node.sessions.get(slot as usize)).map(|s| s.peer);
        if let Some(peer) = peer {
            self.send_down(n, peer, Head { kind: FrameKind::Error, ..head }, &body);
        }
        if charged {
            self.return_credit(n, slot, len, head.flags & FLAG_NOTIFY != 0);
        }
    }

    /// Starts a handler. What ends at once is settled before this returns.
    pub(crate) fn start(&mut self, n: u8, work: &Work, body: &[u8], done: Option<oneshot::Sender<()>>) -> Handled {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return Handled::Done };
        let task = node.next_task(&self.ready);
        let mut out = std::mem::take(&mut node.out);
        out.clear();
        let started = node.call_guarded(&self.pulse, task, (work, body), &mut out);
        self.started(n, work, started, (out, done))
    }

    /// Goes on after the first part of a handler, which has written to `rest.0`; that buffer is kept for the next one.
    pub(crate) fn started(
        &mut self,
        n: u8,
        work: &Work,
        started: Started,
        rest: (Vec<u8>, Option<oneshot::Sender<()>>),
    ) -> Handled {
        let (out, done) = rest;
        if let Some(node) = self.nodes.get_mut(usize::from(n)) {
            mark_busy(node, work, Busy::Here);
        }
        let handled = match started {
            Ok(Start::Done(answer)) => match self.settle_work(n, work, answer, &out) {
                true => Handled::Done,
                false => Handled::Queued,
            },
            Ok(Start::Pending(running)) => {
                self.add_task(n, work, Some(running), done);
                Handled::Queued
            }
            Ok(Start::Blocking(job)) => {
                if let Some(task) = self.add_task(n, work, None, done) {
                    self.run_blocking(n, task, job);
                }
                Handled::Queued
            }
            Err(_) => match self.panicked(n, work) {
                true => Handled::Done,
                false => Handled::Queued,
            },
        };
        if let Some(node) = self.nodes.get_mut(usize::from(n)) {
            node.out = out;
        }
        handled
    }

    /// Keeps a handler that waits, or (`None`) one that blocks on the pool, until its deadline.
    fn add_task(
        &mut self,
        n: u8,
        work: &Work,
        running: Option<Box<dyn Running>>,
        done: Option<oneshot::Sender<()>>,
    ) -> Option<(u32, u64)> {
        let node = self.nodes.get_mut(usize::from(n))?;
        let limit = node.limit(work.place);
        let number = node.next_id();
        mark_busy(node, work, Busy::Task);
        let task = node.tasks.vacant_key() as u32;
        let timer = self.timers.add(work.begun + limit, TimerEvent::Deadline(n, task, number));
        node.tasks.insert(Task { running, work: Work { charged: true, ..*work }, number, timer, done });
        Some((task, number))
    }

    fn panicked(&mut self, n: u8, work: &Work) -> bool {
        if let Some(counters) = self.nodes.get_mut(usize::from(n)).and_then(|node| node.counters.get_mut(work.place)) {
            counters.panics += 1;
        }
        self.settle_work(n, work, panic_fault(), &[])
    }

    /// Runs a blocking handler on the pool; its session waits for it, nobody else does.
    fn run_blocking(&mut self, n: u8, task: (u32, u64), job: Job) {
        let (inbox, service) = (self.inbox.clone(), self.service.clone());
        let Some(pool) = self.nodes.get(usize::from(n)).map(|node| node.cluster.0.pool.clone()) else { return };
        self.service.spawn(async move {
            let Ok(permit) = pool.acquire_owned().await else { return };
            service.spawn_blocking(move || {
                let (answer, out) = catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| (panic_fault(), Vec::new()));
                drop(permit);
                inbox.run(move |shard| shard.unblocked(n, task, answer, &out));
            });
        });
    }

    /// A blocking handler has ended; nothing happens if its time was over before.
    fn unblocked(&mut self, n: u8, task: (u32, u64), answer: Answer, out: &[u8]) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let waiting = node.tasks.get(task.0 as usize).filter(|t| t.number == task.1);
        if let Some(work) = waiting.map(|t| t.work) {
            self.end_task(n, task.0, false);
            self.finish(n, &work, answer, out);
        }
    }

    /// The end of a handler that waited, and the rest of its session's mailbox.
    fn finish(&mut self, n: u8, work: &Work, answer: Answer, out: &[u8]) {
        if self.settle_work(n, work, answer, out) {
            self.go_on(n, work);
        }
    }

    /// A waiting handler was woken.
    pub(crate) fn task_ready(&mut self, n: u8, task: u32) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some((waker, mark)) = node.wakers.get(task as usize) else { return };
        mark.clear();
        let Some(waiting) = node.tasks.get_mut(task as usize) else { return };
        let Some(handler) = &mut waiting.running else { return };
        let mut out = std::mem::take(&mut node.out);
        out.clear();
        let work = waiting.work;
        let running = self.pulse.enter(work.head.route);
        let polled = catch_unwind(AssertUnwindSafe(|| handler.poll(&mut Context::from_waker(waker), &mut out)));
        drop(running);
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(answer)) => {
                self.end_task(n, task, true);
                self.finish(n, &work, answer, &out);
            }
            Err(_) => {
                self.end_task(n, task, false);
                if self.panicked(n, &work) {
                    self.go_on(n, &work);
                }
            }
        }
        if let Some(node) = self.nodes.get_mut(usize::from(n)) {
            node.out = out;
        }
    }

    fn end_task(&mut self, n: u8, task: u32, whole: bool) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(task) = node.tasks.try_remove(task as usize) else { return };
        self.timers.cancel(task.timer);
        let Some(running) = task.running else { return };
        match node.handlers.get_mut(task.work.place) {
            Some(handler) if whole => handler.recycle(running),
            // A user's `Drop` may panic too.
            _ => drop(catch_unwind(AssertUnwindSafe(|| drop(running)))),
        }
    }

    /// A handler did not end in time: it is dropped, its request is answered so.
    pub(crate) fn task_overdue(&mut self, n: u8, task: u32, number: u64) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let Some(work) = node.tasks.get(task as usize).filter(|t| t.number == number).map(|t| t.work) else { return };
        if let Some(counters) = node.counters.get_mut(work.place) {
            counters.timeouts += 1;
        }
        self.end_task(n, task, false);
        self.finish(n, &work, Answer::Fault(Code::TIMEOUT.into()), &[]);
    }

    /// Runs a handler of the event bus; `done` is dropped at its end.
    pub(crate) fn topic_event(&mut self, n: u8, place: usize, body: &Bytes, done: oneshot::Sender<()>) {
        let begun = self.now();
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        if node.serial_busy {
            return node.serial_topics.push_back((place, body.clone(), done));
        }
        let work = Work { session: None, ..Work::event(place, begun) };
        self.start(n, &work, body, Some(done));
    }
}

impl NodeShard {
    /// The place of a route's handler, or of the fallback.
    pub(crate) fn place_of(&self, route: i32) -> Option<usize> {
        let table = &self.shared.table;
        table.find(RouteId(route)).or(table.fallback())
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// With [`Order::Node`]: does nobody wait for the executor?
    fn none_waits(&self) -> bool {
        self.serial_waiting.is_empty() && self.serial_topics.is_empty() && self.serial_calls.is_empty()
    }

    /// Has the session nothing to do, and nobody else on an executor that it shares?
    pub(crate) fn is_free(&self, slot: u32) -> bool {
        let free = |s: &NodeSession| s.busy == Busy::No && s.mailbox.is_empty() && !s.outdated;
        let alone = !self.serial_busy && self.none_waits() && !self.shared.own.doubt.is_raised();
        alone && self.sessions.get(slot as usize).is_some_and(free)
    }

    /// Counts messages that were answered at once; `last_id` is the number of the last one.
    pub(crate) fn answered(&mut self, place: usize, count: u64, last_id: u64) {
        self.last_id = last_id;
        if let Some(counters) = self.counters.get_mut(place) {
            counters.handled += count;
            counters.time.record_nones(count);
        }
    }

    pub(super) fn limit(&self, place: usize) -> std::time::Duration {
        self.shared.table.mount(place).and_then(|m| m.deadline()).unwrap_or(self.shared.deadline)
    }

    pub(crate) fn member_at(&self, gate: u8) -> Option<u16> {
        self.member_of.get(usize::from(gate)).copied().flatten()
    }
}

pub(super) fn mark_busy(node: &mut NodeShard, work: &Work, busy: Busy) {
    node.serial_busy = node.shared.order == Order::Node && busy != Busy::No;
    if let Some(session) = work.session.and_then(|slot| node.sessions.get_mut(slot as usize)) {
        session.busy = busy;
    }
}

/// Stands for a panic as the cause of a fault; the panic itself was printed by the hook.
#[derive(Debug)]
struct Panicked;

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the handler panicked")
    }
}

impl std::error::Error for Panicked {}

fn panic_fault() -> Answer {
    Answer::Fault(Fault::new(Code::INTERNAL, Code::INTERNAL.text()).because(Panicked))
}
