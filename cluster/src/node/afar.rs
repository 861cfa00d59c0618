//! Orders of other processes to a node: its route table, calls of its routes.

use std::sync::Arc;

use due_core::{
    Code, Error, Kind, Owner, Result, RouteId,
    transport::{FrameKind, Head},
};
use tokio::time::{Duration, Instant, timeout_at};

use crate::{
    fault::Fault,
    link::TABLE_ORDER,
    peer::{ACTOR_ORDER, CALL_ORDER, Called, Incoming},
    shard::driver::Shard,
};

/// Calls of one process that may run at once; one more is refused.
pub(super) const MOST_CALLS: usize = 4096;
/// A caller that gives no time gets this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Shard {
    /// A frame of a process that asks: an order, or the news that one is not waited for any more.
    pub(crate) fn frame_from_afar(&mut self, n: u8, at: (u32, &Owner), head: Head, body: &[u8]) {
        let (link, from) = at;
        let refused = match (head.kind, head.route) {
            (FrameKind::Cancel, _) => return self.link_cancel(link, head.corr),
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

    fn call_from_afar(&mut self, n: u8, at: (u32, &Owner), head: &Head, body: &[u8]) -> Result<()> {
        let (link, from) = at;
        let called = Called::decode(body)?;
        let (Some(node), Some(end)) = (self.nodes.get(usize::from(n)), self.links.get_mut(link as usize)) else {
            return Err(Kind::Gone.into());
        };
        if end.calls.len() >= MOST_CALLS {
            return Err(Kind::Overloaded.into());
        }
        let table = &node.shared.table;
        let mount = table.find(RouteId(called.route)).and_then(|place| table.mount(place));
        let mount = mount.ok_or_else(|| Error::from(Kind::NoRoute))?;
        let (def, cancellable) = (mount.def(), mount.cancellable());
        let (cluster, shared, inbox) = (node.cluster.clone(), node.shared.clone(), self.inbox.clone());
        let (from, corr, serial) = (from.clone(), head.corr, end.serial);
        let until = Instant::now() + limit_of(head);
        let task = self.service.spawn(async move {
            let callee = cluster.0.callees.iter().find(|c| Arc::ptr_eq(&c.node, &shared));
            let outcome = match callee {
                Some(callee) => timeout_at(until, callee.answer(&cluster, def, &from, called)).await,
                None => Ok(Err(Fault::of(Kind::Gone))),
            };
            let answer = Incoming::encode(&outcome.unwrap_or_else(|_| Err(Code::TIMEOUT.into())));
            inbox.run(move |shard| shard.call_ended((link, serial), corr, answer));
        });
        end.calls.insert(corr, cancellable.then(|| task.abort_handle()));
        Ok(())
    }

    pub(super) fn call_ended(&mut self, link: (u32, u64), corr: u64, answer: Vec<u8>) {
        let end = self.links.get_mut(link.0 as usize).filter(|end| end.serial == link.1);
        if end.is_some_and(|end| end.calls.remove(&corr).is_some()) {
            self.link_answer(link.0, corr, Ok(answer));
        }
    }

    /// Nobody waits for the call any more: it ends if its route allows that, and is answered to nobody.
    fn link_cancel(&mut self, link: u32, corr: u64) {
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
