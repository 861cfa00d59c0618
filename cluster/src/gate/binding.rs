//! Logins: binding a session to a user, and ending it (`semantics`: duplicate login).

use std::sync::{Arc, atomic::Ordering};

use due_core::{
    Code, Epoch, Error, Kind, Result, SessionId, Uid,
    locate::{Attempt, Change, Claim, Place, Slot as Located, Subject, Taken},
    registry::InstanceKind,
    transport::{FrameKind, Head},
};

use super::{
    client::Slot,
    orders::{ReplyTo, set_slot},
    part::Duplicate,
    shard::GateSelf,
    users::{Installed, Seat},
};
use crate::{
    link::{Owned, Writer, lane_of, mark_of, slot_of},
    shard::driver::Shard,
    store::within,
};

impl Shard {
    /// Takes the user for this session; the last login wins. Answers once the store has decided.
    pub(crate) fn bind(&mut self, g: u8, slot: u32, uid: Uid, to: ReplyTo) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        if gate.own.draining.load(Ordering::Relaxed) {
            let draining = Error::new(Kind::Unavailable, "the gate is draining");
            return self.answer(to, Err(draining));
        }
        let own = gate.own.clone();
        if let Some(refusal) = own.blocked.refusal(&uid) {
            return self.refuse_login(g, slot, refusal, to);
        }
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let same = client.user.as_deref().filter(|(u, _)| *u == uid).map(|(_, epoch)| *epoch);
        if let Some(epoch) = same {
            return self.answer(to, Ok(Writer::default().epoch(epoch).done()));
        }
        client.binding = true;
        own.users.begin(&uid);
        let (session, lane) = (client.id, lane_of(slot, client.generation));
        let floor = client.user.as_deref().map(|(_, e)| *e).unwrap_or_default();
        let claim = Claim { owner: own.owner.clone(), session, floor };
        let spent = !client.hello && own.budget.is_spent(&uid);
        let gentle = spent || own.part.duplicate == Duplicate::RejectNew;
        self.take_user(g, lane, (uid, claim, gentle), to);
    }

    /// Asks the store for the user; the bind has begun. A `gentle` one leaves an earlier session alone.
    pub(super) fn take_user(&mut self, g: u8, lane: u64, claimed: (Uid, Claim, bool), to: ReplyTo) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let (inbox, own) = (self.inbox.clone(), gate.own.clone());
        let (uid, claim, gentle) = claimed;
        self.service.spawn(async move {
            let taken = match gentle {
                true => take_gently(&own, &uid, claim).await,
                false => within(own.locator.take(Subject::from(uid.clone()), Place::Gate, claim)).await,
            };
            inbox.run(move |shard| shard.bound(g, lane, uid, taken, to));
        });
    }

    /// The store has decided.
    fn bound(&mut self, g: u8, lane: u64, uid: Uid, taken: Result<Taken>, to: ReplyTo) {
        let (slot, generation) = slot_of(lane);
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let own = gate.own.clone();
        let _ended = Ended(&own, &uid);
        let mut open = gate.clients.get_mut(slot as usize).filter(|c| c.generation == generation && c.is_open());
        // Blocked while the store was asked.
        let refusal = if open.is_some() && taken.is_ok() { own.blocked.refusal(&uid) } else { None };
        if refusal.is_some()
            && let Some(client) = open.take()
        {
            client.binding = false;
        }
        let taken = match (taken, open) {
            (Err(e), client) => {
                if let Some(client) = client {
                    client.binding = false;
                }
                return self.answer(to, Err(e));
            }
            (Ok(taken), None) => {
                let session = taken.record.gate.as_ref().map(|s| s.session);
                // It displaced the user's earlier session in the store; that it left does not bring that one back.
                if let Some(old) = own.users.fence(&uid, taken.epoch) {
                    self.kick_seat(g, &uid, old);
                }
                if let Some(old) = taken.previous {
                    self.kick_afar(g, &uid, old, taken.epoch);
                }
                self.release(g, uid.clone(), session, taken.epoch);
                return match refusal {
                    Some(refusal) => self.refuse_login(g, slot, refusal, to),
                    None => self.answer(to, Err(Kind::Gone.into())),
                };
            }
            (Ok(taken), Some(client)) => {
                client.binding = false;
                if taken.previous.is_some() && !client.hello {
                    own.budget.taken_over(&uid);
                }
                taken
            }
        };
        if let Some(old) = taken.previous.clone() {
            self.kick_afar(g, &uid, old, taken.epoch);
        }
        let seat = Seat { shard: self.number, lane, epoch: taken.epoch };
        match own.users.install(&uid, seat) {
            Installed::Lost => {
                self.kick_client(g, slot, Code::from(Kind::Relogin));
                return self.answer(to, Err(Kind::Relogin.into()));
            }
            Installed::Displaced(old) => self.kick_seat(g, &uid, old),
            Installed::Fresh => {}
        }
        self.install_user(g, slot, &uid, taken);
        let epoch = self.client(g, slot).and_then(|c| c.user.as_ref()).map(|u| u.1).unwrap_or_default();
        self.answer(to, Ok(Writer::default().epoch(epoch).done()));
    }

    /// The session is the user's now: its nodes hear of it, and the user's node bindings hold for it.
    fn install_user(&mut self, g: u8, slot: u32, uid: &Uid, taken: Taken) {
        let now = self.millis();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let mut slots: Vec<Slot> = Vec::new();
        for (name, located) in &taken.record.node {
            let number = gate.members.name_number(name);
            // Also one that is not there: its user is told that, not that there is none.
            let member = gate.members.number_of(&located.owner, name);
            slots.push(Slot { name: number, mark: mark_of(name), member, epoch: located.epoch });
        }
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let old = client.user.replace(Box::new((uid.clone(), taken.epoch)));
        gate.counters.logins += u64::from(old.as_ref().is_none_or(|o| o.0 != *uid));
        client.since = now;
        let (lane, session) = (lane_of(slot, client.generation), client.id);
        gate.recent.note(&(uid.clone(), taken.epoch), session, ("bound", ""));
        if !slots.is_empty() {
            let known = client.slots_mut();
            for slot in slots {
                set_slot(known, slot);
            }
        }
        if let Some(old) = old.filter(|o| o.0 != *uid) {
            gate.counters.logouts += 1;
            gate.own.users.remove(&old.0, self.number, lane);
            self.release(g, old.0, Some(session), old.1);
        }
        let owners = taken.record.node.iter().map(|(name, s)| (name.to_string(), s.owner.clone(), s.epoch));
        let owners: Vec<Owned> = owners.collect();
        let body = Writer::default().uid(uid).epoch(taken.epoch).owners(&owners).done();
        self.frame_to_lanes(g, slot, FrameKind::Bound, &body);
    }

    fn frame_to_lanes(&mut self, g: u8, slot: u32, kind: FrameKind, body: &[u8]) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get(slot as usize) else { return };
        let head = Head { kind, lane: lane_of(slot, client.generation), ..Head::default() };
        let ups: Vec<_> = client.lanes().iter().filter_map(|l| gate.members.get(l.member)).map(|m| m.up).collect();
        for up in ups {
            self.frame_up(g, up, head, body);
        }
    }

    /// Ends the session's binding; the connection stays.
    pub(crate) fn unbind(&mut self, g: u8, slot: u32) {
        let now = self.millis();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let Some(user) = client.user.take() else { return };
        gate.counters.logouts += 1;
        client.since = now;
        let (lane, session) = (lane_of(slot, client.generation), client.id);
        gate.recent.note(&user, session, ("unbound", ""));
        if client.extras.is_some() {
            client.slots_mut().clear();
        }
        gate.own.users.remove(&user.0, self.number, lane);
        self.frame_to_lanes(g, slot, FrameKind::Unbound, &[]);
        self.release(g, user.0, Some(session), user.1);
    }

    /// Frees the user in the store, as long as the binding is still this session's. A store that is down is no concern:
    /// the next login takes over anyway.
    fn release(&mut self, g: u8, uid: Uid, session: Option<SessionId>, epoch: Epoch) {
        let (Some(gate), Some(session)) = (self.gates.get(usize::from(g)), session) else { return };
        let locator = gate.own.locator.clone();
        self.service.spawn(async move {
            if let Err(e) = locator.unbind(Subject::from(uid), Place::Gate, session, epoch).await {
                tracing::warn!(error = %e, "a user could not be unbound from its gate");
            }
        });
    }

    /// Closes an older session of a user, on whichever shard it is. One that is another user's by then is left alone.
    pub(super) fn kick_seat(&mut self, g: u8, uid: &Uid, seat: Seat) {
        let uid = uid.clone();
        let kick = move |shard: &mut Shard| {
            let found = shard.gates.get_mut(usize::from(g)).and_then(|gate| gate.of_lane(seat.lane));
            if let Some((slot, client)) = found
                && client.user.as_deref() == Some(&(uid, seat.epoch))
            {
                shard.note_end(g, slot, ("taken_over", ""));
                // Its seat is another's now: leaving must not free it.
                if let Some(client) = shard.client(g, slot) {
                    client.user = None;
                }
                shard.count_logout(g);
                shard.kick_client(g, slot, Code::from(Kind::Relogin));
            }
        };
        if seat.shard == self.number {
            return kick(self);
        }
        if let Some(inbox) = self.gates.get(usize::from(g)).and_then(|gate| gate.own.inbox_of(seat.shard)) {
            inbox.run(kick);
        }
    }

    fn count_logout(&mut self, g: u8) {
        if let Some(gate) = self.gates.get_mut(usize::from(g)) {
            gate.counters.logouts += 1;
        }
    }

    /// The store's feed says that a user is bound elsewhere by a later login.
    pub(crate) fn bound_elsewhere(&mut self, g: u8, change: &Change) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let (Subject::User(uid), Place::Gate) = (&change.subject, &change.place) else { return };
        match &change.slot {
            Some(Located { owner, .. }) if *owner != gate.own.owner => {}
            _ => return,
        }
        if let Some(old) = gate.own.users.fence(uid, change.epoch) {
            self.kick_seat(g, uid, old);
        }
    }

    /// The session is over: its nodes hear of it behind everything it sent, its user and channels are freed.
    pub(crate) fn depart(&mut self, g: u8, slot: u32) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let lane = lane_of(slot, client.generation);
        let session = client.id;
        let user = client.user.take();
        let channels = client.extras.as_mut().map(|e| std::mem::take(&mut e.channels)).unwrap_or_default();
        for channel in channels {
            gate.channels.unsubscribe(&channel, slot);
        }
        self.frame_to_lanes(g, slot, FrameKind::Close, &[]);
        if let Some(client) = self.client(g, slot) {
            client.lanes_mut().clear();
        }
        if let Some(user) = user {
            self.count_logout(g);
            if let Some(gate) = self.gates.get(usize::from(g)) {
                gate.own.users.remove(&user.0, self.number, lane);
            }
            self.release(g, user.0, Some(session), user.1);
        }
    }
}

/// Takes the user unless an earlier session of it lives.
async fn take_gently(own: &GateSelf, uid: &Uid, claim: Claim) -> Result<Taken> {
    let (subject, place) = (Subject::from(uid.clone()), Place::Gate);
    let record = match within(own.locator.if_absent(subject.clone(), place.clone(), claim.clone())).await? {
        Attempt::Won(taken) => return Ok(taken),
        Attempt::Refused(record) => record,
    };
    let taken = || Error::new(Kind::Duplicate, "the user is logged in already");
    let old = record.gate.ok_or_else(taken)?;
    let over = match old.owner == own.owner {
        true => own.users.is_alone(uid),
        false => own.peers.is_gone(InstanceKind::Gate, &old.owner).await,
    };
    if !over {
        return Err(taken());
    }
    within(own.locator.if_epoch(subject, place, old.epoch, claim)).await?.won().ok_or_else(taken)
}

/// Ends a bind on every way out.
struct Ended<'a>(&'a Arc<GateSelf>, &'a Uid);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.users.end(self.1);
    }
}
