//! Which session speaks for a user here: the one with the highest epoch, whatever gate it came by. The others have lost
//! their user to a later login, of which their gates may not have heard yet (`semantics`: duplicate login).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use due_core::{Epoch, Kind, SessionId, Uid, locate::Subject, transport::Head};
use tokio::time::Instant;

use super::{
    bound::{Held, Loss},
    heal::give_up,
    shard::{NodeShard, Peer},
};
use crate::{
    gate::orders::ReplyTo,
    link::{GateOrder, Owned},
    shard::{driver::Shard, inbox::Inbox, inbox::SessionKey},
};

/// How long the epoch of a user who has left is remembered: much longer than a kick takes to get through.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Where a session stands.
type Seat = (Arc<Inbox>, SessionKey);

struct Known {
    epoch: Epoch,
    seat: Result<Seat, Instant>,
}

/// What a session that says a user is its own learns.
enum Heard {
    /// It is the last one; another one before it was, if any.
    Last(Option<Seat>),
    /// A later login has the user, by this epoch.
    Outdated(Epoch),
}

/// The users whose sessions a node has seen, on all its shards; off the message path.
#[derive(Default)]
pub(crate) struct Speakers(Mutex<HashMap<Uid, Known>>);

impl Speakers {
    fn all(&self) -> MutexGuard<'_, HashMap<Uid, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, uid: &Uid, epoch: Epoch, seat: Seat) -> Heard {
        let mut all = self.all();
        match all.get_mut(uid) {
            Some(known) if known.epoch > epoch => Heard::Outdated(known.epoch),
            Some(known) => {
                let (key, older) = (seat.1, known.epoch < epoch);
                known.epoch = epoch;
                let before = std::mem::replace(&mut known.seat, Ok(seat)).ok();
                // A store that lost writes gives an epoch twice: which session it is of, the gates find out from it.
                Heard::Last(before.filter(|(_, old)| older && *old != key))
            }
            None => {
                all.insert(uid.clone(), Known { epoch, seat: Ok(seat) });
                Heard::Last(None)
            }
        }
    }

    /// The session does not speak for the user any more.
    fn left(&self, uid: &Uid, key: SessionKey) {
        if let Some(known) = self.all().get_mut(uid)
            && known.seat.as_ref().is_ok_and(|(_, own)| *own == key)
        {
            known.seat = Err(Instant::now());
        }
    }

    /// Has a later login the user of a session that is not on this node?
    pub(crate) fn is_outdated(&self, uid: &Uid, epoch: Epoch) -> bool {
        self.all().get(uid).is_some_and(|known| known.epoch > epoch)
    }

    /// Forgets those who left long ago.
    pub(crate) fn tidy(&self) {
        self.all().retain(|_, known| known.seat.as_ref().err().is_none_or(|since| since.elapsed() < REMEMBERED));
    }
}

impl Shard {
    /// A gate says that a session is a user's. Of two that say so, the one with the lower epoch is not heard any more.
    pub(super) fn speaks_for(&mut self, n: u8, slot: u32, uid: &Uid, epoch: Epoch) {
        let Some(node) = self.nodes.get(usize::from(n)) else { return };
        let Some(session) = node.sessions.get(slot as usize) else { return };
        let key = SessionKey { node: n, slot, generation: session.generation };
        match node.shared.own.speakers.heard(uid, epoch, (self.inbox.clone(), key)) {
            Heard::Last(before) => {
                self.set_outdated(key, false);
                if let Some((home, before)) = before {
                    let uid = uid.clone();
                    home.run(move |shard| shard.outdated(before, &uid, epoch));
                }
            }
            Heard::Outdated(known) => self.outdated(key, uid, known),
        }
    }

    /// A gate tells to whom a user's slots lead. What this node holds by a lower epoch is another's, and what leads here
    /// is its own, also when it missed the store's answer. `by`: the session that moved the user, if it was this one.
    pub(super) fn hear_owners(
        &self,
        n: u8,
        (uid, session): (&Uid, SessionId),
        owners: &[Owned],
        by: Option<SessionId>,
    ) {
        let Some(node) = self.nodes.get(usize::from(n)) else { return };
        let (own, subject) = (&node.shared.own, Subject::from(uid.clone()));
        for (slot, owner, epoch) in owners {
            if *owner != own.owner {
                give_up(&node.shared, &node.cluster, &subject, (slot, Loss { below: *epoch, by }));
            } else if *slot == own.name {
                let held = Held { session, epoch: *epoch, fence: None };
                own.bindings.hold(subject.clone(), slot.as_str().into(), held);
            }
        }
    }

    fn set_outdated(&mut self, key: SessionKey, outdated: bool) -> Option<(Peer, u64, SessionId)> {
        let session = self.nodes.get_mut(usize::from(key.node))?.of_key(key.slot, key.generation)?;
        session.outdated = outdated;
        Some((session.peer, session.lane, session.session.id()))
    }

    /// The session's user is another session's by this epoch: its messages are refused, and its gate is told.
    fn outdated(&mut self, key: SessionKey, uid: &Uid, below: Epoch) {
        let Some((peer, lane, id)) = self.set_outdated(key, true) else { return };
        tracing::debug!(%uid, session = %id, "a later login has the user");
        let order = GateOrder::Kick { uid: uid.clone(), session: id, below };
        match peer {
            Peer::Here(g) => self.gate_order(g, lane, order, ReplyTo::Nobody),
            Peer::Link(link) => self.link_order(link, lane, &order, None),
        }
    }
}

impl NodeShard {
    /// The session is another user's from now on, nobody's, or over.
    pub(super) fn stops_speaking(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if let Some(uid) = session.uid.take() {
            let key = SessionKey { node: self.index, slot, generation: session.generation };
            self.shared.own.speakers.left(&uid, key);
        }
    }

    /// Why a message is not for this node: a later login has its user, or another node has.
    pub(crate) fn refusal(&self, slot: u32, head: &Head) -> Option<Kind> {
        let session = self.sessions.get(slot as usize)?;
        if session.outdated {
            return Some(Kind::Stale);
        }
        if head.corr == 0 {
            return None;
        }
        let slots = &self.shared.slots;
        let lost = |slot: &Arc<str>| session.session.has_lost(slot, Epoch(head.corr));
        slots.get(&head.route).is_some_and(lost).then_some(Kind::NotOwner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::ready::{Ready, Token};

    fn seats() -> [Seat; 2] {
        let ready = Arc::new(Ready::default());
        [1, 2].map(|slot| {
            let inbox = Arc::new(Inbox::new(ready.waker(Token::Inbox).1));
            (inbox, SessionKey { node: 0, slot, generation: 1 })
        })
    }

    fn last(heard: Heard) -> Option<u32> {
        match heard {
            Heard::Last(before) => before.map(|(_, key)| key.slot),
            Heard::Outdated(by) => panic!("outdated by {by:?}"),
        }
    }

    // proves P8: whatever comes first, the higher epoch speaks
    #[test]
    fn the_session_with_the_highest_epoch_speaks() {
        let ([one, two], ann) = (seats(), Uid::from("ann"));
        let all = Speakers::default();
        assert_eq!(last(all.heard(&ann, Epoch(5), one.clone())), None);
        assert_eq!(last(all.heard(&ann, Epoch(6), one.clone())), None, "its own later login displaces nobody");
        assert_eq!(last(all.heard(&ann, Epoch(8), two.clone())), Some(1));
        assert!(matches!(all.heard(&ann, Epoch(7), one.clone()), Heard::Outdated(Epoch(8))));
        all.left(&ann, one.1);
        all.left(&ann, two.1);
        assert!(matches!(all.heard(&ann, Epoch(7), one.clone()), Heard::Outdated(_)), "also when the later one left");
        assert_eq!(last(all.heard(&ann, Epoch(9), one)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_is_forgotten_after_a_while() {
        let ([one, two], ann) = (seats(), Uid::from("ann"));
        let all = Speakers::default();
        all.heard(&ann, Epoch(5), one.clone());
        tokio::time::advance(REMEMBERED * 2).await;
        all.tidy();
        assert_eq!(all.all().len(), 1, "it is still there");
        all.left(&ann, one.1);
        all.tidy();
        assert!(matches!(all.heard(&ann, Epoch(4), two), Heard::Outdated(_)));
        tokio::time::advance(REMEMBERED * 2).await;
        all.tidy();
        assert!(all.all().is_empty());
    }
}
