//! What a node is bound to: users and actors whose slot in the locator is its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use due_core::{
    Epoch, Owner, SessionId,
    locate::{Binding, Place, Slot, Subject},
};

/// What is done when a binding is lost to somebody else.
pub(crate) type Fence = Arc<dyn Fn() + Send + Sync>;

/// One binding.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) session: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) fence: Option<Fence>,
}

type Key = (Subject, Arc<str>);

/// All bindings of a node; off the message path.
#[derive(Default)]
pub(crate) struct Bindings(Mutex<HashMap<Key, Held>>);

impl Bindings {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot is the node's from this epoch on; an earlier news of it changes nothing.
    pub(crate) fn hold(&self, subject: Subject, slot: Arc<str>, held: Held) {
        let mut all = self.all();
        let known = all.entry((subject, slot)).or_insert_with(|| held.clone());
        if known.epoch < held.epoch {
            *known = held;
        }
    }

    /// The slot was given up, by the binding of this epoch.
    pub(crate) fn release(&self, subject: &Subject, slot: &Arc<str>, epoch: Epoch) {
        self.take_below(subject, slot, Epoch(epoch.0 + 1));
    }

    /// Takes a binding out if it is older than `below`.
    pub(crate) fn take_below(&self, subject: &Subject, slot: &Arc<str>, below: Epoch) -> Option<Held> {
        let (mut all, key) = (self.all(), (subject.clone(), slot.clone()));
        all.get(&key).filter(|held| held.epoch < below)?;
        all.remove(&key)
    }

    /// Is the slot the node's?
    pub(crate) fn has(&self, subject: &Subject, slot: &str) -> bool {
        self.all().contains_key(&(subject.clone(), Arc::from(slot)))
    }

    /// All of them, as the store is asked about them.
    pub(crate) fn list(&self, owner: &Owner) -> Vec<Binding> {
        let binding = |((subject, slot), held): (&Key, &Held)| Binding {
            subject: subject.clone(),
            place: Place::Node(slot.clone()),
            slot: Slot { owner: owner.clone(), session: held.session, epoch: held.epoch },
        };
        self.all().iter().map(binding).collect()
    }
}
