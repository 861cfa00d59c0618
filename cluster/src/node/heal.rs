//! Healing of a node's bindings: the store is asked how they stand, and what is somebody else's by then is let go.

use std::{sync::Arc, time::Duration};

use due_core::{
    Epoch, Error, Kind, Result,
    locate::{Binding, Change, Claim, Event, Feed, Place, Subject, Verdict},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{bound::Held, part::NodeShared};
use crate::{cluster::Cluster, shard::inbox::Inbox};

/// A sweep begins about so long after the last one.
const EVERY: Duration = Duration::from_secs(15);
/// How long the locator may take.
const STORE_LIMIT: Duration = Duration::from_secs(1);
/// The pause before a feed that could not be made is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks after the bindings of one node.
pub(crate) struct Warden {
    pub(crate) node: Arc<NodeShared>,
    pub(crate) cluster: Cluster,
    /// The node's shards, and its number on each.
    pub(crate) shards: Vec<(Arc<Inbox>, u8)>,
}

impl Warden {
    /// Until it is aborted.
    pub(crate) async fn run(self) {
        tokio::join!(self.heal(), self.settle_doubts());
    }

    /// Follows the store's feed; after a gap in it, and now and then, asks for all bindings.
    async fn heal(&self) {
        loop {
            match self.node.own.locator.watch().await {
                Ok(feed) => self.follow(feed).await,
                Err(e) => tracing::warn!(error = %e, "the locator cannot be watched; trying again"),
            }
            tokio::time::sleep(PAUSE).await;
            self.sweep().await;
        }
    }

    async fn follow(&self, mut feed: Feed) {
        loop {
            // Spread, so that nodes which started together do not ask together.
            let next = Instant::now() + EVERY.mul_f64(0.8 + 0.4 * rand::random::<f64>());
            while let Ok(Event::Change(change)) = timeout_at(next, feed.next()).await {
                self.changed(change);
            }
            // Its time has come, or the feed has a gap.
            self.sweep().await;
        }
    }

    fn changed(&self, change: Change) {
        let Place::Node(slot) = &change.place else { return };
        if change.slot.as_ref().is_some_and(|s| s.owner != self.node.own.owner) {
            self.lost(&change.subject, slot, change.epoch);
        }
    }

    pub(super) async fn sweep(&self) {
        let own = &self.node.own;
        let most = own.locator.capability().max_check.max(1);
        for asked in own.bindings.list(&own.owner).chunks(most) {
            let verdicts = match within(own.locator.check(asked.to_vec())).await {
                Ok(verdicts) => verdicts,
                Err(e) => return tracing::warn!(error = %e, "bindings could not be checked; they stay as they are"),
            };
            for (binding, verdict) in asked.iter().zip(verdicts) {
                if let Err(e) = self.judge(binding, verdict).await {
                    tracing::warn!(subject = %binding.subject, error = %e, "a binding could not be healed yet");
                }
            }
        }
    }

    async fn judge(&self, binding: &Binding, verdict: Verdict) -> Result<()> {
        let own = &self.node.own;
        let Place::Node(slot) = &binding.place else { return Ok(()) };
        let verdict = match verdict {
            Verdict::Missing => within(own.locator.reassert(binding.clone())).await?,
            verdict => verdict,
        };
        match verdict {
            Verdict::Current | Verdict::Missing => {}
            Verdict::Fenced(epoch) => self.lost(&binding.subject, slot, epoch),
            Verdict::Tie(other) if binding.slot.session < other.session => {
                let (session, floor) = (binding.slot.session, binding.slot.epoch);
                let claim = Claim { owner: own.owner.clone(), session, floor };
                let taken = within(own.locator.take(binding.subject.clone(), binding.place.clone(), claim)).await?;
                if let Some(held) = own.bindings.take_below(&binding.subject, slot, taken.epoch) {
                    own.bindings.hold(binding.subject.clone(), slot.clone(), Held { epoch: taken.epoch, ..held });
                }
            }
            Verdict::Tie(_) => self.lost(&binding.subject, slot, Epoch(binding.slot.epoch.0 + 1)),
        }
        Ok(())
    }

    /// Somebody else has it by a higher epoch: nothing is done here in its name any more.
    fn lost(&self, subject: &Subject, slot: &Arc<str>, below: Epoch) {
        let own = &self.node.own;
        let Some(held) = own.bindings.take_below(subject, slot, below) else { return };
        tracing::info!(%subject, %slot, node = own.name, "a binding is somebody else's now");
        if let Some(fence) = held.fence {
            fence();
        }
        if let Subject::User(uid) = subject
            && **slot == *own.name
        {
            for hook in &self.node.fenced {
                self.cluster.background(hook(self.cluster.clone(), uid.clone()));
            }
        }
    }
}

async fn within<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Error::new(Kind::Unavailable, "the locator does not answer");
    timeout(STORE_LIMIT, call).await.unwrap_or_else(|_| Err(late()))
}
