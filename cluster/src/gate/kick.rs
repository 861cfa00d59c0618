//! Kicks between gates: the session that a login has displaced elsewhere is told so, until its gate says that it knows.

use std::{sync::Arc, time::Duration};

use due_core::{Epoch, Uid, locate::Slot, registry::InstanceKind};
use tokio::time::{Instant, sleep_until};

use super::shard::GateSelf;
use crate::{link::GateOrder, shard::driver::Shard};

/// A kick is repeated so often until it is answered.
const AGAIN: Duration = Duration::from_secs(1);

impl Shard {
    /// A login here has displaced a session of another gate.
    pub(super) fn kick_afar(&self, g: u8, uid: &Uid, old: Slot, below: Epoch) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        if old.owner != gate.own.owner && old.epoch < below {
            let order = GateOrder::Kick { uid: uid.clone(), session: old.session, below };
            self.service.spawn(repeat(gate.own.clone(), old, order));
        }
    }

    /// A later login elsewhere has the user. Nothing of an earlier one is read, forwarded or pushed from now on; one that
    /// is under way here will lose.
    pub(super) fn kicked_from_afar(&mut self, g: u8, uid: &Uid, below: Epoch) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        if let Some(old) = gate.own.users.fence(uid, below) {
            self.kick_seat(g, uid, old);
        }
    }
}

/// Until the gate has answered, or is gone with its sessions. The store's feed and the sweep say the same by other ways.
async fn repeat(own: Arc<GateSelf>, old: Slot, order: GateOrder) {
    let (peers, own) = (own.peers.clone(), Arc::downgrade(&own));
    let (number, body) = (order.number(), order.encode());
    while own.upgrade().is_some() {
        let next = Instant::now() + AGAIN;
        match peers.ask_gate(&old.owner, (number, body.clone()), next).await {
            Ok(_) => return,
            Err(e) => tracing::debug!(gate = %old.owner, error = %e, "a kick was not answered"),
        }
        if peers.is_gone(InstanceKind::Gate, &old.owner).await {
            return;
        }
        sleep_until(next).await;
    }
}
