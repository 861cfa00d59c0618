//! After a sleep: a process that was stopped for a while may have lost its users to others. What it had taken in is
//! handled only when its links and its bindings are confirmed (`semantics`: wake rule).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_core::{Kind, locate::Subject, transport::Head};
use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use super::{
    heal::Warden,
    shard::{Busy, NodeShard},
};
use crate::{
    link::end::Side,
    shard::{driver::Shard, inbox::Inbox},
};

/// A shard whose turn comes so late was stopped: others may have given it up by now.
pub(crate) const ASLEEP: Duration = Duration::from_secs(2);
/// If nothing answers for so long, the node goes on as it is.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at links that are not confirmed yet.
const LOOK: Duration = Duration::from_millis(20);

/// Does a node know what is its own? All its shards and actors ask before they handle something.
#[derive(Default)]
pub(crate) struct Doubt {
    /// How often it was raised, and up to which of these it is settled.
    raised: AtomicU64,
    settled: AtomicU64,
    asked: Notify,
    over: Notify,
}

impl Doubt {
    /// From now on nothing is handled.
    pub(crate) fn raise(&self) {
        self.raised.fetch_add(1, Ordering::AcqRel);
        self.asked.notify_one();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire) != self.settled.load(Ordering::Acquire)
    }

    /// Waits until nothing is in doubt.
    pub(crate) async fn over(&self) {
        loop {
            let over = self.over.notified();
            if !self.is_raised() {
                return;
            }
            over.await;
        }
    }
}

impl Warden {
    /// Settles the node's doubts, one after the other.
    pub(super) async fn settle_doubts(&self) {
        let doubt = &self.node.own.doubt;
        loop {
            doubt.asked.notified().await;
            let raised = doubt.raised.load(Ordering::Acquire);
            tracing::info!(node = self.node.own.name, "the process was stopped; its links and bindings are checked");
            if timeout(LIMIT, self.links_confirmed()).await.is_err() {
                tracing::warn!(node = self.node.own.name, "links that were not confirmed after a stop are used on");
            }
            self.sweep().await;
            self.on_shards(Shard::refuse_what_moved).await;
            doubt.settled.store(raised, Ordering::Release);
            doubt.over.notify_waiters();
            self.on_shards(Shard::go_on_after_doubt).await;
        }
    }

    /// Does something with the node on each of its shards, and waits for it.
    async fn on_shards(&self, work: fn(&mut Shard, u8)) {
        for (inbox, index) in &self.shards {
            let ((done, waiting), index) = (oneshot::channel::<()>(), *index);
            inbox.run(move |shard| {
                work(shard, index);
                drop(done);
            });
            let _ = waiting.await;
        }
    }

    async fn links_confirmed(&self) {
        for (inbox, index) in &self.shards {
            while !is_confirmed(inbox, *index).await {
                sleep(LOOK).await;
            }
        }
    }
}

/// Are all links of a node's shard confirmed, or over? One that has ended is.
async fn is_confirmed(inbox: &Arc<Inbox>, node: u8) -> bool {
    let (tx, rx) = oneshot::channel();
    inbox.run(move |shard| {
        let _ = tx.send(shard.has_confirmed_links(node));
    });
    rx.await.unwrap_or(true)
}

impl Shard {
    /// The shard was stopped for a while. Gates ask the store at once; nodes handle nothing until they have asked.
    pub(crate) fn woke(&mut self) {
        self.counters.stopped += 1;
        self.gates.iter().for_each(|gate| gate.own.gap.notify_one());
        self.nodes.iter().for_each(|node| node.shared.own.doubt.raise());
        self.links.iter_mut().for_each(|(_, end)| end.suspect());
    }

    fn has_confirmed_links(&self, node: u8) -> bool {
        let mut own =
            self.links.iter().filter(|(_, end)| matches!(&end.side, Side::Node { node: n, .. } if *n == node));
        own.all(|(_, end)| end.is_confirmed())
    }

    /// Answers the messages in mailboxes that are the business of their user's new node.
    fn refuse_what_moved(&mut self, n: u8) {
        let Some(node) = self.nodes.get_mut(usize::from(n)) else { return };
        let mut refused = Vec::new();
        for slot in node.with_mail() {
            if node.has_moved(slot) {
                refused.extend(node.take_stateful(slot).into_iter().map(|message| (slot, message)));
            }
        }
        for (slot, (head, len)) in refused {
            self.refuse_message(n, slot, (head, true), (len as u32, Kind::NotOwner));
        }
    }

    /// The node's doubt is settled: its sessions go on.
    fn go_on_after_doubt(&mut self, n: u8) {
        let Some(node) = self.nodes.get(usize::from(n)) else { return };
        let idle = |slot: &u32| node.sessions.get(*slot as usize).is_some_and(|s| s.busy == Busy::No);
        let idle: Vec<u32> = node.with_mail().into_iter().filter(idle).collect();
        for slot in idle {
            self.list(n, slot);
        }
        self.wake_soon();
    }
}

impl NodeShard {
    /// Sessions with something in their mailbox.
    fn with_mail(&self) -> Vec<u32> {
        self.sessions.iter().filter(|(_, s)| !s.mailbox.is_empty()).map(|(slot, _)| slot as u32).collect()
    }

    /// Takes the messages that go to the node of the user, not to that of an actor, out of a mailbox.
    fn take_stateful(&mut self, slot: u32) -> Vec<(Head, usize)> {
        let routes = &self.shared.encoded.routes;
        let stateful = |head: &Head| routes.iter().any(|r| r.id == head.route && r.stateful && r.kind.is_empty());
        self.sessions.get_mut(slot as usize).map(|s| s.mailbox.take_messages(stateful)).unwrap_or_default()
    }

    /// Is the session's user bound to another node, or to none?
    fn has_moved(&self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let own = &self.shared.own;
        session.uid.as_ref().is_some_and(|uid| !own.bindings.has(&Subject::from(uid.clone()), &own.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_doubt_that_comes_while_one_is_settled_stands() {
        let doubt = Doubt::default();
        assert!(!doubt.is_raised() && doubt.over().now_or_never().is_some());
        doubt.raise();
        let first = doubt.raised.load(Ordering::Acquire);
        doubt.raise();
        doubt.settled.store(first, Ordering::Release);
        assert!(doubt.is_raised() && doubt.over().now_or_never().is_none());
        doubt.settled.store(first + 1, Ordering::Release);
        assert!(!doubt.is_raised() && doubt.over().now_or_never().is_some());
    }
}
