//! A handler made ready for messages of one route and one session, and called for each of them.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Context,
};

use bytes::BytesMut;
use due_core::{RouteDef, RouteId};

use super::{
    answer::MAX_LATE,
    shard::{NodeShard, Work},
};
use crate::{
    handler::{Answer, Body, Late, Origin, Request, RouteHandler, Start},
    session::Session,
    shard::{
        ready::{Ready, Token},
        watchdog::Pulse,
    },
};

/// How the first part of a handler ended: it may have panicked.
pub(crate) type Started = std::thread::Result<Start>;

/// Everything that calls of one handler for one session have in common, borrowed from the shard.
pub(crate) struct Caller<'a> {
    handler: &'a mut dyn RouteHandler,
    cx: Context<'a>,
    rq: Request<'a>,
    session: &'a Session,
    arena: &'a RefCell<BytesMut>,
    late: bool,
}

impl<'a> Caller<'a> {
    /// Calls the handler for a message: its number among all work of the node shard, its seq and its body.
    #[inline]
    pub(crate) fn call(&mut self, id: u64, seq: i32, body: &'a [u8], out: &mut Vec<u8>) -> Start {
        self.rq.seq = seq;
        self.rq.body = Body::new(body, self.arena);
        if self.late {
            self.rq.late = Late::numbered(self.session, id);
        }
        self.handler.start(&self.rq, &mut self.cx, out)
    }
}

impl NodeShard {
    /// Where the next task will stand; it has a waker already.
    pub(crate) fn next_task(&mut self, ready: &Arc<Ready>) -> usize {
        let task = self.tasks.vacant_key();
        if self.wakers.len() <= task {
            self.wakers.push(ready.waker(Token::Task(self.index, task as u32)));
        }
        task
    }

    /// Makes the handler of `work` ready; if it waits it becomes `task`.
    #[inline]
    pub(crate) fn caller<'a>(&'a mut self, task: usize, work: &Work) -> Option<Caller<'a>> {
        let handler = &mut **self.handlers.get_mut(work.place)?;
        let (waker, _) = self.wakers.get(task)?;
        let mount = self.shared.table.mount(work.place);
        let known = mount.map_or(NOWHERE, |m| m.def());
        let session = work.session.and_then(|slot| self.sessions.get(slot as usize));
        let handle = session.map_or(&self.nobody, |s| &s.session);
        let rq = Request {
            session: handle,
            cluster: &self.cluster,
            route: if work.event { known } else { RouteDef { id: RouteId(work.head.route), ..known } },
            seq: work.head.seq,
            body: Body::new(&[], &self.arena),
            uid: session.and_then(|s| s.uid.as_ref()),
            deadline: work.begun + mount.and_then(|m| m.deadline()).unwrap_or(self.shared.deadline),
            trace: work.head.trace,
            origin: Origin::Client,
            late: Late::nobody(),
        };
        let late = session.is_some_and(|s| s.late.len() < MAX_LATE) && !work.event;
        Some(Caller { handler, cx: Context::from_waker(waker), rq, session: handle, arena: &self.arena, late })
    }

    /// Calls the handler of `work` under the eyes of the watchdog; its panic ends here.
    pub(super) fn call_guarded(
        &mut self,
        pulse: &Pulse,
        task: usize,
        call: (&Work, &[u8]),
        out: &mut Vec<u8>,
    ) -> Started {
        let (work, body) = call;
        let _running = pulse.enter(work.head.route);
        let Some(mut caller) = self.caller(task, work) else { return Ok(Start::Done(Answer::Nothing)) };
        catch_unwind(AssertUnwindSafe(|| caller.call(work.id, work.head.seq, body, out)))
    }
}

pub(super) const NOWHERE: RouteDef = RouteDef {
    id: RouteId(0),
    name: "",
    flags: due_core::Flags { stateful: false, authorized: false, internal: false, class: due_core::Class::Must },
};
