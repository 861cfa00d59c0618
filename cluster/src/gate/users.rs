//! Which session of this gate a user has: shared by the gate's shards, off the message path.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use due_core::{Epoch, Uid};

/// Where a user's session is, and since which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) shard: u16,
    pub(crate) lane: u64,
    pub(crate) epoch: Epoch,
}

/// What an installation finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// The seat was free, or the session's own.
    Fresh,
    /// An older session had it: close that one.
    Displaced(Seat),
    /// A newer session has it, or a kick of a later login came first: this one has lost.
    Lost,
}

const STRIPES: usize = 16;

/// Users of one gate by uid.
pub(crate) struct Users {
    hasher: RandomState,
    stripes: [Mutex<Stripe>; STRIPES],
    count: AtomicU64,
}

#[derive(Default)]
struct Stripe {
    seats: HashMap<Uid, Seat>,
    /// Users with a bind under way here.
    binding: HashMap<Uid, Binding>,
}

/// Binds of one user that are under way.
#[derive(Default)]
struct Binding {
    count: u32,
    /// A kick of a later login came first: binds below it lose.
    below: Epoch,
}

impl Default for Users {
    fn default() -> Self {
        Self { hasher: RandomState::new(), stripes: Default::default(), count: AtomicU64::new(0) }
    }
}

impl Users {
    fn stripe(&self, uid: &Uid) -> std::sync::MutexGuard<'_, Stripe> {
        let i = self.hasher.hash_one(uid) as usize % STRIPES;
        self.stripes[i].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Users with a session here.
    pub(crate) fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn find(&self, uid: &Uid) -> Option<Seat> {
        self.stripe(uid).seats.get(uid).copied()
    }

    /// A bind of this user begins; [`Users::end`] ends it.
    pub(crate) fn begin(&self, uid: &Uid) {
        self.stripe(uid).binding.entry(uid.clone()).or_default().count += 1;
    }

    /// Has the user no session here, and no other bind under way than the one that asks?
    pub(crate) fn is_alone(&self, uid: &Uid) -> bool {
        let stripe = self.stripe(uid);
        !stripe.seats.contains_key(uid) && stripe.binding.get(uid).is_none_or(|b| b.count <= 1)
    }

    /// A bind has ended, well or not.
    pub(crate) fn end(&self, uid: &Uid) {
        let mut stripe = self.stripe(uid);
        if let Some(binding) = stripe.binding.get_mut(uid) {
            binding.count = binding.count.saturating_sub(1);
            if binding.count == 0 {
                stripe.binding.remove(uid);
            }
        }
    }

    /// Takes the seat for a session whose bind was committed with this epoch.
    pub(crate) fn install(&self, uid: &Uid, seat: Seat) -> Installed {
        let mut stripe = self.stripe(uid);
        if stripe.binding.get(uid).is_some_and(|b| seat.epoch < b.below) {
            return Installed::Lost;
        }
        match stripe.seats.get(uid).copied() {
            Some(old) if old.epoch > seat.epoch => Installed::Lost,
            Some(old) => {
                stripe.seats.insert(uid.clone(), seat);
                match (old.shard, old.lane) == (seat.shard, seat.lane) {
                    true => Installed::Fresh,
                    false => Installed::Displaced(old),
                }
            }
            None => {
                stripe.seats.insert(uid.clone(), seat);
                self.count.fetch_add(1, Ordering::Relaxed);
                Installed::Fresh
            }
        }
    }

    /// A later login elsewhere: the session below this epoch, if any, is taken off and returned; one whose bind is under
    /// way will lose.
    pub(crate) fn fence(&self, uid: &Uid, below: Epoch) -> Option<Seat> {
        let mut stripe = self.stripe(uid);
        if let Some(binding) = stripe.binding.get_mut(uid) {
            binding.below = below.max(binding.below);
        }
        let old = stripe.seats.get(uid).copied().filter(|seat| seat.epoch < below)?;
        stripe.seats.remove(uid);
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(old)
    }

    /// Frees the seat if this very session still has it. An earlier login whose answer is still to come does not get it.
    pub(crate) fn remove(&self, uid: &Uid, shard: u16, lane: u64) {
        let mut stripe = self.stripe(uid);
        let Some(seat) = stripe.seats.get(uid).copied().filter(|s| (s.shard, s.lane) == (shard, lane)) else { return };
        if let Some(binding) = stripe.binding.get_mut(uid) {
            binding.below = seat.epoch.max(binding.below);
        }
        stripe.seats.remove(uid);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(lane: u64, epoch: u64) -> Seat {
        Seat { shard: 0, lane, epoch: Epoch(epoch) }
    }

    // proves P8: the higher epoch keeps the seat in whatever order the replies come
    #[test]
    fn the_higher_epoch_wins_whichever_reply_comes_first() {
        let ann = Uid::from("ann");
        let users = Users::default();
        assert_eq!(users.install(&ann, seat(1, 5)), Installed::Fresh);
        assert_eq!(users.install(&ann, seat(2, 6)), Installed::Displaced(seat(1, 5)));
        assert_eq!(users.install(&ann, seat(3, 4)), Installed::Lost);
        assert_eq!(users.find(&ann), Some(seat(2, 6)));
        users.remove(&ann, 0, 1);
        assert_eq!(users.len(), 1, "a session that lost its seat does not free another's");
        users.remove(&ann, 0, 2);
        assert_eq!((users.find(&ann), users.len()), (None, 0));
    }

    #[test]
    fn a_seat_that_was_left_is_not_for_an_earlier_login_under_way() {
        let ann = Uid::from("ann");
        let users = Users::default();
        users.begin(&ann);
        users.begin(&ann);
        assert_eq!(users.install(&ann, seat(2, 6)), Installed::Fresh);
        users.end(&ann);
        users.remove(&ann, 0, 2);
        assert_eq!(users.install(&ann, seat(1, 5)), Installed::Lost);
        users.end(&ann);
        assert_eq!((users.find(&ann), users.len()), (None, 0));
    }

    #[test]
    fn a_kick_that_overtakes_the_bind_is_remembered_as_long_as_the_bind_lasts() {
        let ann = Uid::from("ann");
        let users = Users::default();
        users.begin(&ann);
        assert_eq!(users.fence(&ann, Epoch(9)), None);
        assert_eq!(users.install(&ann, seat(1, 8)), Installed::Lost);
        assert_eq!(users.install(&ann, seat(1, 10)), Installed::Fresh);
        users.end(&ann);
        assert_eq!(users.fence(&ann, Epoch(11)), Some(seat(1, 10)));
        assert_eq!(users.len(), 0);
        assert_eq!(users.fence(&Uid::from("bob"), Epoch(11)), None);
        assert!(users.stripes.iter().all(|s| s.lock().unwrap().binding.is_empty()), "strangers leave nothing behind");
        assert_eq!(users.install(&ann, seat(2, 10)), Installed::Fresh);
    }
}
