//! What a node is bound to: users and actors whose slot in the locator is its own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_core::{
    Epoch, Owner, SessionId,
    locate::{Binding, Place, Slot, Subject},
};
use tokio::time::Instant;

use crate::link::Claim;

/// What is done when a binding is lost to somebody else.
pub(crate) type Fence = Arc<dyn Fn() + Send + Sync>;

/// How long it is remembered that a slot was lost.
const REMEMBERED: Duration = Duration::from_secs(60);

/// One binding.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) session: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) fence: Option<Fence>,
}

/// Somebody else has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// By this epoch or a higher one.
    pub(crate) below: Epoch,
    /// The session that moved the user, if that is known: its gate waits until what it sent before is handled.
    pub(crate) by: Option<SessionId>,
}

/// How many slots the node has had since it started, and how they went; each that it has had is held still or is in one
/// of the other three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) came: u64,
    /// Somebody else's now.
    pub(crate) moved: u64,
    /// Given up: users that were unbound, actors that have ended.
    pub(crate) finished: u64,
    /// Let go at the end of a drain.
    pub(crate) cut: u64,
}

impl Counts {
    /// Slots that the node holds.
    pub(crate) fn held(&self) -> u64 {
        self.came - self.moved - self.finished - self.cut
    }
}

/// Why a slot is not held any more.
enum End {
    Lost(Loss),
    Finished,
    Cut,
}

/// How a slot stands.
enum State {
    Held(Held),
    Lost(Loss, Instant),
}

/// The slots of one user or actor that lead to this node, or did until a moment ago.
#[derive(Default)]
pub(crate) struct Holding {
    /// The epoch of the slot that has the node's own name; 0: it is not held.
    own: AtomicU64,
    slots: Mutex<Vec<(Arc<str>, State)>>,
}

impl Holding {
    fn slots(&self) -> MutexGuard<'_, Vec<(Arc<str>, State)>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a push of the node to this user says of itself: that it owns the slot, as far as it knows.
    pub(crate) fn claim(&self, node: &str) -> Option<Claim> {
        let epoch = Epoch(self.own.load(Ordering::Acquire));
        (epoch != Epoch(0)).then(|| Claim::new(node, epoch))
    }

    /// The same for what holds another slot: an actor.
    pub(crate) fn claim_of(&self, slot: &str) -> Option<Claim> {
        let slots = self.slots();
        slots.iter().find(|(name, _)| **name == *slot).and_then(|(_, state)| match state {
            State::Held(held) => Some(Claim::new(slot, held.epoch)),
            State::Lost(..) => None,
        })
    }

    /// Is a message of this session, which leads to the slot by this epoch, somebody else's by now?
    pub(crate) fn is_lost(&self, slot: &str, epoch: Epoch, session: SessionId) -> bool {
        let lost = |(name, state): &(Arc<str>, State)| {
            **name == *slot && matches!(state, State::Lost(loss, _) if epoch < loss.below && loss.by != Some(session))
        };
        self.slots().iter().any(lost)
    }
}

/// All bindings of a node; off the message path.
pub(crate) struct Bindings {
    /// The node's name: that of its own slot.
    name: String,
    all: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    holdings: HashMap<Subject, Arc<Holding>>,
    counts: Counts,
}

impl Bindings {
    /// Those of a node of this name.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), all: Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, Table> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many came and went.
    pub(crate) fn counts(&self) -> Counts {
        self.all().counts
    }

    /// The slot is the node's from this epoch on; an earlier news of it changes nothing.
    pub(crate) fn hold(&self, subject: Subject, slot: Arc<str>, held: Held) -> Arc<Holding> {
        let mut all = self.all();
        let Table { holdings, counts } = &mut *all;
        let holding = holdings.entry(subject).or_default();
        let mut slots = holding.slots();
        let (news, came) = match slots.iter().find(|(name, _)| *name == slot) {
            Some((_, State::Held(known))) => (known.epoch < held.epoch, false),
            Some((_, State::Lost(loss, _))) => (loss.below <= held.epoch, true),
            None => (true, true),
        };
        if news {
            counts.came += u64::from(came);
            if *slot == *self.name {
                holding.own.store(held.epoch.0, Ordering::Release);
            }
            slots.retain(|(name, _)| *name != slot);
            slots.push((slot, State::Held(held)));
        }
        drop(slots);
        holding.clone()
    }

    /// The slots of a user or actor, if it has or had any here.
    pub(crate) fn of(&self, subject: &Subject) -> Option<Arc<Holding>> {
        self.all().holdings.get(subject).cloned()
    }

    /// The slot was given up, by the binding of this epoch.
    pub(crate) fn release(&self, subject: &Subject, slot: &str, epoch: Epoch) {
        self.take_below(subject, slot, Epoch(epoch.0 + 1));
    }

    /// The same at the end of a drain: whoever had the slot would have kept it.
    pub(crate) fn cut(&self, subject: &Subject, slot: &str, epoch: Epoch) {
        self.end_below(subject, slot, (Epoch(epoch.0 + 1), End::Cut));
    }

    /// The slot is somebody else's. Gives the binding that is over by that.
    pub(crate) fn lose(&self, subject: &Subject, slot: &str, loss: Loss) -> Option<Held> {
        self.end_below(subject, slot, (loss.below, End::Lost(loss)))
    }

    /// Takes a binding out if it is older than `below`.
    pub(crate) fn take_below(&self, subject: &Subject, slot: &str, below: Epoch) -> Option<Held> {
        self.end_below(subject, slot, (below, End::Finished))
    }

    /// Ends a binding if it is older than `below`; what is left of it is put in its place at once, so that a slot is never
    /// held and lost.
    fn end_below(&self, subject: &Subject, slot: &str, (below, end): (Epoch, End)) -> Option<Held> {
        let mut all = self.all();
        let Table { holdings, counts } = &mut *all;
        let holding = holdings.get(subject)?;
        let mut slots = holding.slots();
        let older = |state: &State| matches!(state, State::Held(held) if held.epoch < below);
        let at = slots.iter().position(|(name, state)| **name == *slot && older(state))?;
        if *slot == *self.name {
            holding.own.store(0, Ordering::Release);
        }
        let (name, ended) = slots.swap_remove(at);
        match end {
            End::Lost(loss) => {
                counts.moved += 1;
                slots.push((name, State::Lost(loss, Instant::now())));
            }
            End::Finished => counts.finished += 1,
            End::Cut => counts.cut += 1,
        }
        match ended {
            State::Held(held) => Some(held),
            State::Lost(..) => None,
        }
    }

    /// Is the slot the node's?
    pub(crate) fn has(&self, subject: &Subject, slot: &str) -> bool {
        self.of(subject).is_some_and(|holding| holding.claim_of(slot).is_some())
    }

    /// Forgets what is over for long, and those who have nothing here any more.
    pub(crate) fn tidy(&self) {
        let mut all = self.all();
        all.holdings.retain(|_, holding| {
            let mut slots = holding.slots();
            slots.retain(|(_, state)| !matches!(state, State::Lost(_, since) if since.elapsed() > REMEMBERED));
            !slots.is_empty() || Arc::strong_count(holding) > 1
        });
    }

    /// All of them, as the store is asked about them.
    pub(crate) fn list(&self, owner: &Owner) -> Vec<Binding> {
        let mut list = Vec::new();
        for (subject, holding) in &self.all().holdings {
            for (slot, state) in holding.slots().iter() {
                let State::Held(held) = state else { continue };
                list.push(Binding {
                    subject: subject.clone(),
                    place: Place::Node(slot.clone()),
                    slot: Slot { owner: owner.clone(), session: held.session, epoch: held.epoch },
                });
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::Uid;

    fn held(epoch: u64) -> Held {
        Held { session: SessionId(1), epoch: Epoch(epoch), fence: None }
    }

    // semantics 1: lower than known is refused, an earlier news changes nothing
    #[test]
    fn a_slot_that_was_lost_is_known_as_such_until_it_is_taken_anew() {
        let (all, ann) = (Bindings::new("game"), Subject::from(Uid::from("ann")));
        let holding = all.hold(ann.clone(), "game".into(), held(5));
        assert_eq!(holding.claim("game"), Some(Claim::new("game", Epoch(5))));
        let lost = |epoch| holding.is_lost("game", Epoch(epoch), SessionId(1));
        let by = |below, by| Loss { below: Epoch(below), by: Some(SessionId(by)) };
        assert!(!lost(4), "an order to the gate may still be on its way");
        assert!(all.lose(&ann, "game", by(5, 2)).is_none(), "by the same epoch nobody else has it");
        assert!(all.lose(&ann, "game", by(9, 2)).is_some());
        assert_eq!((holding.claim("game"), all.has(&ann, "game")), (None, false));
        assert!(lost(5) && !lost(9));
        let mover = SessionId(2);
        assert!(!holding.is_lost("game", Epoch(5), mover), "its gate waits until that is handled");
        all.hold(ann.clone(), "game".into(), held(7));
        assert!(!all.has(&ann, "game"), "a late news of an earlier binding");
        all.hold(ann.clone(), "game".into(), held(11));
        assert!(all.has(&ann, "game") && !lost(5));
    }

    #[test]
    fn slots_of_one_user_stand_for_themselves() {
        let (all, ann) = (Bindings::new("game"), Subject::from(Uid::from("ann")));
        let holding = all.hold(ann.clone(), "game".into(), held(5));
        all.hold(ann.clone(), "game/room".into(), held(6));
        assert_eq!(all.counts().held(), 2);
        all.release(&ann, "game", Epoch(5));
        assert_eq!(holding.claim("game"), None);
        assert_eq!(holding.claim_of("game/room"), Some(Claim::new("game/room", Epoch(6))));
        let owner = Owner { id: "n1".into(), incarnation: due_core::Incarnation(1) };
        assert_eq!(all.list(&owner).len(), 1);
        all.release(&ann, "game/room", Epoch(6));
        drop(holding);
        all.tidy();
        assert!(all.of(&ann).is_none(), "nothing is left of those who have left");
    }

    #[test]
    fn each_slot_that_came_is_held_or_has_ended_in_one_way() {
        let (all, ann) = (Bindings::new("game"), Subject::from(Uid::from("ann")));
        let check = |(came, moved, finished, cut): (u64, u64, u64, u64), held: u64| {
            assert_eq!(all.counts(), Counts { came, moved, finished, cut });
            assert_eq!(all.counts().held(), held);
        };
        for slot in ["game", "game/room", "game/guild"] {
            all.hold(ann.clone(), slot.into(), held(5));
        }
        all.hold(ann.clone(), "game".into(), held(6));
        check((3, 0, 0, 0), 3);
        all.lose(&ann, "game", Loss { below: Epoch(7), by: None });
        all.lose(&ann, "game", Loss { below: Epoch(9), by: None });
        check((3, 1, 0, 0), 2);
        all.hold(ann.clone(), "game".into(), held(6));
        check((3, 1, 0, 0), 2);
        all.hold(ann.clone(), "game".into(), held(9));
        check((4, 1, 0, 0), 3);
        all.release(&ann, "game/room", Epoch(5));
        all.cut(&ann, "game/guild", Epoch(4));
        check((4, 1, 1, 0), 2);
        all.cut(&ann, "game/guild", Epoch(5));
        all.release(&ann, "game/guild", Epoch(5));
        check((4, 1, 1, 1), 1);
    }
}
