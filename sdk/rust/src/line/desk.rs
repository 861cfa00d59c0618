//! Where everything that a server sends goes.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use due_core::RouteId;
use due_protocol::{Failure, Flow, Received};

use super::calls::{Calls, answered};
use crate::{CallError, Closed, Event, RawPush, Stat, queue::Queue};

/// Events that one stream of them holds.
const EVENTS: usize = 64;
/// Longest wait that a server may ask for before the next connection.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Calls, streams and waiting tasks of one client.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) calls: Calls,
    pushes: BTreeMap<i32, Vec<Arc<Queue<Bytes>>>>,
    unclaimed: Vec<Arc<Queue<RawPush>>>,
    events: Vec<Arc<Queue<Event>>>,
    waiting: Vec<Waker>,
    ended: bool,
    pub(crate) stat: Stat,
}

/// What a read brought that concerns the connection itself.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) welcome: bool,
    pub(crate) goaway: Option<Closed>,
    pub(crate) kick: Option<Closed>,
}

impl Desk {
    /// Takes one frame.
    pub(crate) fn take(&mut self, received: Received<'_>, news: &mut News) -> Flow {
        match received {
            Received::Data { head, body } if head.seq == 0 => self.push(head.route, body),
            Received::Data { head, body } => {
                if !self.calls.answer(head.route, head.seq, || answered(body)) {
                    self.stat.late += 1;
                }
            }
            Received::Failure(failure) => self.failure(&failure),
            Received::Heartbeat { .. } => {}
            Received::Welcome(_) => news.welcome = true,
            Received::GoAway(away) => {
                let retry_after = Duration::from_millis(away.retry_ms.into()).min(LONGEST_WAIT);
                news.goaway = Some(Closed::GoAway { reason: away.reason, retry_after });
            }
            Received::Kick(kick) => {
                news.kick = Some(Closed::Kicked { code: kick.code, text: kick.text.to_owned() });
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    fn push(&mut self, route: i32, body: &[u8]) {
        if let Some(streams) = self.pushes.get(&route) {
            let body = Bytes::copy_from_slice(body);
            return streams.iter().for_each(|s| s.push(body.clone()));
        }
        if self.unclaimed.is_empty() {
            self.stat.unclaimed += 1;
            return;
        }
        let push = RawPush { route: RouteId(route), body: Bytes::copy_from_slice(body) };
        self.unclaimed.iter().for_each(|s| s.push(push.clone()));
    }

    fn failure(&mut self, failure: &Failure<'_>) {
        let Failure { route, seq, code, text } = *failure;
        if seq == 0 {
            return self.tell(&Event::Fault { route, code, text: text.to_owned() });
        }
        let refused = || Err(CallError::Refused { code, text: text.to_owned() });
        if !self.calls.answer(route, seq.cast_signed(), refused) {
            self.stat.late += 1;
        }
    }

    /// Tells all streams of events.
    pub(crate) fn tell(&self, event: &Event) {
        self.events.iter().for_each(|s| s.push(event.clone()));
    }

    /// Wakes all tasks that wait for a change.
    pub(crate) fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Has the task of `cx` woken at the next change.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|w| w.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    /// Nothing follows: ends all streams.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        std::mem::take(&mut self.pushes).into_values().flatten().for_each(|s| s.end());
        std::mem::take(&mut self.unclaimed).iter().for_each(|s| s.end());
        std::mem::take(&mut self.events).iter().for_each(|s| s.end());
        self.wake();
    }

    pub(crate) fn claim(&mut self, route: i32, queue: Queue<Bytes>) -> Arc<Queue<Bytes>> {
        let queue = self.opened(queue);
        if !self.ended {
            self.pushes.entry(route).or_default().push(queue.clone());
        }
        queue
    }

    pub(crate) fn claim_rest(&mut self, bound: usize) -> Arc<Queue<RawPush>> {
        let queue = self.opened(Queue::new(bound));
        if !self.ended {
            self.unclaimed.push(queue.clone());
        }
        queue
    }

    pub(crate) fn watch(&mut self) -> Arc<Queue<Event>> {
        let queue = self.opened(Queue::new(EVENTS));
        if !self.ended {
            self.events.push(queue.clone());
        }
        queue
    }

    fn opened<T>(&self, queue: Queue<T>) -> Arc<Queue<T>> {
        if self.ended {
            queue.end();
        }
        Arc::new(queue)
    }

    pub(crate) fn forget_pushes(&mut self, route: i32, queue: &Arc<Queue<Bytes>>) {
        if let Some(streams) = self.pushes.get_mut(&route) {
            streams.retain(|s| !Arc::ptr_eq(s, queue));
            if streams.is_empty() {
                self.pushes.remove(&route);
            }
        }
    }

    pub(crate) fn forget_unclaimed(&mut self, queue: &Arc<Queue<RawPush>>) {
        self.unclaimed.retain(|s| !Arc::ptr_eq(s, queue));
    }

    pub(crate) fn forget_events(&mut self, queue: &Arc<Queue<Event>>) {
        self.events.retain(|s| !Arc::ptr_eq(s, queue));
    }
}
