//! Healing of bindings: the store is asked how they stand, now and then, and whenever its feed had a gap.

use std::{sync::Arc, time::Duration};

use due_core::{
    Epoch, Kind, Result, Uid,
    locate::{Binding, Claim, Locator, Place, Slot, Subject, Verdict},
};
use tokio::{sync::oneshot, time::timeout};

use super::{orders::ReplyTo, shard::GateSelf};
use crate::{
    link::lane_of,
    shard::{driver::Shard, inbox::Inbox},
    store::within,
};

/// A sweep begins about so long after the last one.
const EVERY: Duration = Duration::from_secs(15);
/// Slots that a shard looks at in one turn.
const PAGE: u32 = 1024;

/// The bound sessions of some slots, and where to go on.
type Page = (Vec<(u64, Binding)>, Option<u32>);

/// Sweeps one gate.
pub(crate) struct Healer {
    pub(crate) gate: Arc<GateSelf>,
    pub(crate) index: u8,
    pub(crate) shards: Vec<(u16, Arc<Inbox>)>,
}

impl Healer {
    pub(crate) async fn run(self) {
        loop {
            // Spread, so that gates which started together do not ask together.
            let pause = EVERY.mul_f64(0.8 + 0.4 * rand::random::<f64>());
            let _ = timeout(pause, self.gate.gap.notified()).await;
            if let Err(e) = self.sweep().await {
                tracing::warn!(error = %e, "bindings could not be checked; sessions go on");
            }
        }
    }

    async fn sweep(&self) -> Result<()> {
        for (_, inbox) in &self.shards {
            let mut from = Some(0);
            while let Some(slot) = from {
                let (held, next) = self.page(inbox, slot).await?;
                self.check(inbox, held).await?;
                from = next;
            }
        }
        Ok(())
    }

    async fn page(&self, inbox: &Arc<Inbox>, from: u32) -> Result<Page> {
        let (tx, rx) = oneshot::channel();
        let index = self.index;
        inbox.run(move |shard| drop(tx.send(shard.bindings(index, from))));
        rx.await.map_err(|_| Kind::Gone.into())
    }

    async fn check(&self, inbox: &Arc<Inbox>, held: Vec<(u64, Binding)>) -> Result<()> {
        let most = self.gate.locator.capability().max_check.max(1);
        for held in held.chunks(most) {
            let asked = held.iter().map(|(_, binding)| binding.clone()).collect();
            let verdicts = within(self.gate.locator.check(asked)).await?;
            for ((lane, binding), verdict) in held.iter().cloned().zip(verdicts) {
                if verdict != Verdict::Current {
                    let index = self.index;
                    inbox.run(move |shard| shard.judged(index, lane, binding, verdict));
                }
            }
        }
        Ok(())
    }
}

impl Shard {
    fn bindings(&self, g: u8, from: u32) -> Page {
        let Some(gate) = self.gates.get(usize::from(g)) else { return (Vec::new(), None) };
        let end = gate.last_seen.len() as u32;
        let to = end.min(from.saturating_add(PAGE));
        let held = (from..to).filter_map(|slot| {
            let client = gate.clients.get(slot as usize).filter(|c| c.is_open())?;
            let (uid, epoch) = client.user.as_deref()?;
            let slot = (lane_of(slot, client.generation), client.id);
            let binding = Binding {
                subject: Subject::from(uid.clone()),
                place: Place::Gate,
                slot: Slot { owner: gate.own.owner.clone(), session: slot.1, epoch: *epoch },
            };
            Some((slot.0, binding))
        });
        (held.collect(), (to < end).then_some(to))
    }

    /// The store sees a binding otherwise than its session does.
    fn judged(&mut self, g: u8, lane: u64, binding: Binding, verdict: Verdict) {
        let Subject::User(uid) = binding.subject.clone() else { return };
        let (mine, believed) = (binding.slot.session, binding.slot.epoch);
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let own = gate.own.clone();
        let still = |user: Option<&(Uid, Epoch)>| user.is_some_and(|(u, e)| *u == uid && *e == believed);
        if !gate.of_lane(lane).is_some_and(|(_, c)| c.is_open() && still(c.user.as_deref())) {
            return;
        }
        let below = match verdict {
            Verdict::Current => return,
            Verdict::Missing => return self.reassert(g, lane, binding, own.locator.clone()),
            Verdict::Tie(other) if mine < other.session => {
                own.users.begin(&uid);
                let claim = Claim { owner: own.owner.clone(), session: mine, floor: believed };
                return self.take_user(g, lane, (uid, claim, false), ReplyTo::Nobody);
            }
            Verdict::Tie(_) => believed,
            Verdict::Fenced(epoch) => epoch,
        };
        if let Some(seat) = own.users.fence(&uid, below.max(Epoch(believed.0 + 1))) {
            self.kick_seat(g, &uid, seat);
        }
    }

    /// The store has lost the binding: writes it back.
    fn reassert(&mut self, g: u8, lane: u64, binding: Binding, locator: Arc<dyn Locator>) {
        let inbox = self.inbox.clone();
        self.service.spawn(async move {
            match within(locator.reassert(binding.clone())).await {
                Ok(verdict) => drop(inbox.run(move |shard| shard.judged(g, lane, binding, verdict))),
                Err(e) => tracing::warn!(error = %e, "a binding could not be written back; the next sweep tries again"),
            }
        });
    }
}
