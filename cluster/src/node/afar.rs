//! Orders of other processes to a node: its route table, calls of its routes.

use std::task::{Context, Waker};

use due_core::{
    Code, Error, Kind, Owner, Result, RouteDef, RouteId,
    transport::{FrameKind, Head},
};
use tokio::time::{Duration, Instant, timeout_at};

use super::{
    Order,
    call::{Begun, Waiting},
};
use crate::{
    fault::Fault,
    handler::Body,
    link::TABLE_ORDER,
    peer::{ACTOR_ORDER, CALL_ORDER, Called, Incoming},
    shard::driver::Shard,
};

/// Calls of one process that may run at once; one more is refused.
pub(super) const MOST_CALLS: usize = 4096;
/// A call that ends in a task.
struct Beside {
    def: RouteDef,
    from: Owner,
    called: Called,
    until: Instant,
}

/// A caller that gives no time gets this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Shard {
    /// A frame of a process that asks.
    pub(crate) fn frame_from_afar(&mut self, n: u8, at: (u32, &Owner), head: Head, body: &[u8]) {
        let (link, from) = at;
        let refused = match (head.kind, head.route) {
            (FrameKind::Order, TABLE_ORDER) => {
                let Some(node) = self.nodes.get(usize::from(n)) else { return };
                let table = node.shared.encoded.encode();
                return self.link_answer(link, head.corr, Ok(table));
            }
            (FrameKind::Order, CALL_ORDER) => self.call_from_afar(n, (link, from), &head, body),
            (FrameKind::Order, ACTOR_ORDER) => self.letter_from_afar(n, (link, from), &head, body),
            (FrameKind::Order, other) => Err(Error::new(Kind::Unsupported, format!("order {other} is not known here"))),
            _ => return,
        };
        if let Err(e) = refused {
            self.link_answer(link, head.corr, Err(e));
        }
    }

    /// The handler runs here as far as it gets without waiting, the rest in a task beside the shards.
    fn call_from_afar(&mut self, n: u8, at: (u32, &Owner), head: &Head, body: &[u8]) -> Result<()> {
        let (link, from) = at;
        let called = Called::read(body)?;
        let (Some(node), Some(end)) = (self.nodes.get(usize::from(n)), self.links.get(link as usize)) else {
            return Err(Kind::Gone.into());
        };
        if end.calls.len() >= MOST_CALLS {
            return Err(Kind::Overloaded.into());
        }
        let table = &node.shared.table;
        let mount = table.find(RouteId(called.route)).and_then(|place| table.mount(place));
        let mount = mount.ok_or_else(|| Error::from(Kind::NoRoute))?;
        let (def, cancellable) = (mount.def(), mount.cancellable());
        let callee = node.cluster.callee(&node.shared).ok_or_else(|| Error::from(Kind::Gone))?;
        let begun = (node.shared.order != Order::Node).then(|| {
            // A task that the handler spawns does not burden the shard.
            let _beside = self.service.enter();
            let _running = self.pulse.enter(called.route);
            let request = (called.uid.as_ref(), Body::new(called.body, &node.arena));
            callee.start(&node.cluster, (def, from), request, &mut Context::from_waker(Waker::noop()))
        });
        let waiting = match begun {
            Some(Begun::Ended(outcome)) => {
                self.answer_call(link, head.corr, Incoming::encode(&outcome));
                return Ok(());
            }
            Some(Begun::Waits(waiting)) => Some(waiting),
            None => None,
        };
        let call =
            Beside { def, from: from.clone(), called: called.to_owned(), until: Instant::now() + limit_of(head) };
        self.call_beside(n, (link, head.corr, cancellable), call, waiting);
        Ok(())
    }

    /// What the handler asked for comes before its answer.
    fn answer_call(&mut self, link: u32, corr: u64, answer: Vec<u8>) {
        if self.inbox.is_filled() {
            self.obey();
        }
        self.link_answer(link, corr, Ok(answer));
    }

    /// A call that waits, for itself or for its turn.
    fn call_beside(&mut self, n: u8, at: (u32, u64, bool), call: Beside, waiting: Option<Waiting>) {
        let (link, corr, cancellable) = at;
        let (Some(node), Some(end)) = (self.nodes.get(usize::from(n)), self.links.get_mut(link as usize)) else {
            return;
        };
        let (cluster, shared, inbox) = (node.cluster.clone(), node.shared.clone(), self.inbox.clone());
        let serial = end.serial;
        let task = self.service.spawn(async move {
            let ran = async {
                match (waiting, cluster.callee(&shared)) {
                    (Some(waiting), _) => waiting.end(&cluster).await,
                    (None, Some(callee)) => callee.answer(&cluster, call.def, &call.from, call.called).await,
                    (None, None) => Err(Fault::of(Kind::Gone)),
                }
            };
            let outcome = timeout_at(call.until, ran).await.unwrap_or_else(|_| Err(Code::TIMEOUT.into()));
            let answer = Incoming::encode(&outcome);
            inbox.run(move |shard| shard.call_ended((link, serial), corr, answer));
        });
        end.calls.insert(corr, cancellable.then(|| task.abort_handle()));
    }

    pub(super) fn call_ended(&mut self, link: (u32, u64), corr: u64, answer: Vec<u8>) {
        let end = self.links.get_mut(link.0 as usize).filter(|end| end.serial == link.1);
        if end.is_some_and(|end| end.calls.remove(&corr).is_some()) {
            self.link_answer(link.0, corr, Ok(answer));
        }
    }

    /// Nobody waits for the call any more: it ends if its route allows that, and is answered to nobody.
    pub(crate) fn link_cancel(&mut self, link: u32, corr: u64) {
        let Some(end) = self.links.get_mut(link as usize) else { return };
        if let Some(Some(task)) = end.calls.remove(&corr) {
            task.abort();
        }
    }
}

/// How long what another process asks may take.
pub(super) fn limit_of(head: &Head) -> Duration {
    if head.ttl_ms == 0 { LONGEST } else { Duration::from_millis(head.ttl_ms.into()) }
}
