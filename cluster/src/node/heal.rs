//! Healing of a node's bindings: the store is asked how they stand, and what is somebody else's by then is let go.

use std::{sync::Arc, time::Duration};

use due_core::{
    Epoch, Result,
    locate::{Binding, Change, Claim, Event, Feed, Place, Subject, Verdict},
};
use tokio::{sync::Notify, time::timeout};

use super::{
    bound::{Held, Loss},
    part::NodeShared,
};
use crate::{cluster::Cluster, shard::inbox::Inbox, store::within};

/// A sweep begins about so long after the last one.
const EVERY: Duration = Duration::from_secs(15);
/// The same while the store does not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// The pause before a feed that could not be made is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks after the bindings of one node.
pub(crate) struct Warden {
    pub(crate) node: Arc<NodeShared>,
    pub(crate) cluster: Cluster,
    /// The node's shards, and its number on each.
    pub(crate) shards: Vec<(Arc<Inbox>, u8)>,
    /// The feed may have missed something.
    gap: Notify,
}

impl Warden {
    pub(crate) fn new(node: Arc<NodeShared>, cluster: Cluster, shards: Vec<(Arc<Inbox>, u8)>) -> Self {
        Self { node, cluster, shards, gap: Notify::new() }
    }

    /// Until it is aborted.
    pub(crate) async fn run(self) {
        tokio::join!(self.watch(), self.ask(), self.settle_doubts());
    }

    /// Follows the store's feed.
    async fn watch(&self) {
        loop {
            match self.node.own.locator.watch().await {
                Ok(feed) => self.follow(feed).await,
                Err(e) => tracing::warn!(error = %e, "the locator cannot be watched; trying again"),
            }
            tokio::time::sleep(PAUSE).await;
            self.gap.notify_one();
        }
    }

    async fn follow(&self, mut feed: Feed) {
        loop {
            match feed.next().await {
                Event::Change(change) => self.changed(change),
                Event::Gap => self.gap.notify_one(),
            }
        }
    }

    /// Asks for all bindings now and then, after a gap in the feed, and soon again where the store did not answer.
    async fn ask(&self) {
        loop {
            // Spread, so that nodes which started together do not ask together.
            let pause = if self.node.own.contact.is_failing() { AGAIN } else { EVERY };
            let pause = pause.mul_f64(0.8 + 0.4 * rand::random::<f64>());
            let _ = timeout(pause, self.gap.notified()).await;
            self.sweep().await;
        }
    }

    fn changed(&self, change: Change) {
        let Place::Node(slot) = &change.place else { return };
        if let Some(other) = change.slot.as_ref().filter(|s| s.owner != self.node.own.owner) {
            self.lost(&change.subject, slot, Loss { below: change.epoch, by: Some(other.session) });
        }
    }

    pub(super) async fn sweep(&self) {
        let own = &self.node.own;
        own.bindings.tidy();
        own.speakers.tidy();
        let most = own.locator.capability().max_check.max(1);
        for asked in own.bindings.list(&own.owner).chunks(most) {
            let verdicts = match within(own.locator.check(asked.to_vec())).await {
                Ok(verdicts) => verdicts,
                Err(e) => {
                    tracing::warn!(error = %e, "bindings could not be checked; they stay as they are");
                    return own.contact.failed(&own.name);
                }
            };
            for (binding, verdict) in asked.iter().zip(verdicts) {
                if let Err(e) = self.judge(binding, verdict).await {
                    tracing::warn!(subject = %binding.subject, error = %e, "a binding could not be healed yet");
                }
            }
        }
        own.contact.answered(&own.name);
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
            Verdict::Fenced(below) => self.lost(&binding.subject, slot, Loss { below, by: None }),
            Verdict::Tie(other) if binding.slot.session < other.session => {
                let (session, floor) = (binding.slot.session, binding.slot.epoch);
                let claim = Claim { owner: own.owner.clone(), session, floor };
                let taken = within(own.locator.take(binding.subject.clone(), binding.place.clone(), claim)).await?;
                if let Some(held) = own.bindings.take_below(&binding.subject, slot, taken.epoch) {
                    own.bindings.hold(binding.subject.clone(), slot.clone(), Held { epoch: taken.epoch, ..held });
                }
            }
            Verdict::Tie(other) => {
                let loss = Loss { below: Epoch(binding.slot.epoch.0 + 1), by: Some(other.session) };
                self.lost(&binding.subject, slot, loss);
            }
        }
        Ok(())
    }

    fn lost(&self, subject: &Subject, slot: &str, loss: Loss) {
        give_up(&self.node, &self.cluster, subject, (slot, loss));
    }
}

/// Somebody else has the slot: if the node holds it by a lower epoch, nothing is done here in its name any more.
pub(crate) fn give_up(node: &NodeShared, cluster: &Cluster, subject: &Subject, (slot, loss): (&str, Loss)) {
    let own = &node.own;
    let Some(held) = own.bindings.lose(subject, slot, loss) else { return };
    tracing::info!(%subject, %slot, node = own.name, "a binding is somebody else's now");
    if let Some(fence) = held.fence {
        fence();
    }
    if let Subject::User(uid) = subject
        && *slot == *own.name
    {
        for hook in &node.fenced {
            cluster.background(hook(cluster.clone(), uid.clone()));
        }
    }
}
