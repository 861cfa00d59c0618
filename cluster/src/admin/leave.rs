//! How a node is emptied: its actors end, and whoever is bound to it at the end of the time is let go.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due_core::{
    Result, Uid,
    locate::{Place, Subject},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::Side;
use crate::{app::drain::SEEN, link::end::Asked, node::part::NodeShared, shard::driver::Shard, store::within};

/// Most that are named.
const NAMED: usize = 20;
/// The pause before users are tried again whom the locator did not let go.
const AGAIN: Duration = Duration::from_secs(2);

/// The slots that users have lost, by user.
type Slots = HashMap<Uid, Vec<String>>;

/// Lets actors finish what stands in their mailboxes and end; they open elsewhere when somebody asks for them. At the end
/// of the time users that are still bound here are let go. Actors that have not ended by then stay, and are named.
pub(super) async fn node(side: Arc<Side>, n: u8, until: Instant, told: Arc<AtomicBool>) {
    let Some(node) = side.nodes.get(usize::from(n)).cloned() else { return };
    let quarter = until.saturating_duration_since(Instant::now()) / 4;
    sleep(SEEN.min(quarter)).await;
    told.store(true, Ordering::Release);
    let left = node.actors.drain(until).await;
    if !left.is_empty() {
        tracing::warn!(node = node.own.name, ?left, "actors have not ended within the time of a drain");
    }
    sleep_until(until).await;
    while let Err(e) = side.let_go(n, &node).await {
        tracing::warn!(node = node.own.name, error = %e, "users could not be let go yet");
        sleep(AGAIN).await;
    }
}

impl Side {
    /// Gives the slots of users up, and tells their gates.
    async fn let_go(&self, n: u8, node: &NodeShared) -> Result<()> {
        let (mut lost, mut end) = (Slots::new(), Ok(()));
        for binding in node.own.bindings.list(&node.own.owner) {
            let (Subject::User(uid), Place::Node(name)) = (&binding.subject, &binding.place) else { continue };
            let (session, epoch) = (binding.slot.session, binding.slot.epoch);
            let unbound = node.own.locator.unbind(binding.subject.clone(), binding.place.clone(), session, epoch);
            end = within(unbound).await.map(drop);
            if end.is_err() {
                break;
            }
            node.own.bindings.cut(&binding.subject, name, epoch);
            lost.entry(uid.clone()).or_default().push(name.to_string());
        }
        let lost = Arc::new(lost);
        self.everywhere(move |shard| shard.forget_slots(n, &lost)).await;
        end
    }

    /// Who is still bound to a node, the first of them by name.
    pub(super) fn holders(&self, part: Asked) -> Vec<String> {
        let Asked::Node(n) = part else { return Vec::new() };
        let Some(node) = self.nodes.get(usize::from(n)) else { return Vec::new() };
        let all = node.own.bindings.list(&node.own.owner);
        let mut names: Vec<String> = all.iter().map(|binding| binding.subject.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(NAMED);
        names
    }
}

impl Shard {
    /// Tells the gates of these users that the slots lead nowhere any more.
    fn forget_slots(&mut self, n: u8, lost: &Slots) {
        let Some(node) = self.nodes.get(usize::from(n)) else { return };
        for (_, session) in node.sessions.iter() {
            let slots = session.uid.as_ref().and_then(|uid| lost.get(uid)).into_iter().flatten();
            slots.for_each(|name| session.session.forget_slot(name.clone()));
        }
    }
}
