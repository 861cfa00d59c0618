//! A locator inside the process, and the faults of real ones.

mod faults;
mod ledger;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    Attempt, Binding, Capability, Change, Claim, Event, Feed, Feeder, Locator, MAX_EPOCH, Place, Record, Subject,
    Taken, Verdict,
};
use crate::{
    error::{Error, Kind, Result, Retry},
    id::{Epoch, Owner, SessionId},
};
pub use faults::Faults;
use ledger::If;
use state::State;

/// Events that wait for a slow reader of a feed.
const FEED: usize = 1024;

/// Bindings in the memory of the process. Clones share them. Epochs come from a counter and the floors of the callers.
#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

impl Memory {
    /// The handle that plays faults.
    pub fn faults(&self) -> Faults {
        Faults::new(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T> {
        let mut state = self.lock();
        state.refuse()?;
        state.ledger.forget(Instant::now());
        Ok(look(&state))
    }

    /// Runs a write and tells the feeds. The answer may be lost afterwards, if that is played.
    fn write<T>(&self, act: impl FnOnce(&mut State, Instant) -> Result<(T, Option<Change>)>) -> Result<T> {
        let mut state = self.lock();
        state.refuse()?;
        let now = Instant::now();
        state.ledger.forget(now);
        let (answer, change) = act(&mut state, now)?;
        if let Some(change) = change {
            state.tell(change);
        }
        state.answer(answer)
    }

    fn claim(&self, subject: Subject, place: Place, claim: Claim, when: If) -> Result<Attempt> {
        subject.check()?;
        place.check()?;
        self.write(|state, _| state.ledger.claim(subject, place, claim, when))
    }
}

#[async_trait]
impl Locator for Memory {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        match self.claim(subject, place, claim, If::Always)? {
            Attempt::Won(taken) => Ok(taken),
            Attempt::Refused(_) => Err(Error::new(Kind::Internal, "a take without a condition was refused")),
        }
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.claim(subject, place, claim, If::Absent)
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.claim(subject, place, claim, If::Epoch(seen))
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        binding.subject.check()?;
        binding.place.check()?;
        if !(1..=MAX_EPOCH.0).contains(&binding.slot.epoch.0) {
            return Err(Error::new(Kind::BadRequest, format!("no slot has the epoch {}", binding.slot.epoch)));
        }
        self.write(|state, _| Ok(state.ledger.reassert(binding)))
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        subject.check()?;
        place.check()?;
        self.write(|state, now| state.ledger.unbind(subject, place, (session, epoch), now))
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        subject.check()?;
        self.read(|state| state.ledger.record(&subject))
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        if bindings.len() > self.capability().max_check {
            return Err(Error::new(Kind::BadRequest, format!("{} bindings in one check are too many", bindings.len())));
        }
        self.read(|state| bindings.iter().map(|b| state.ledger.verdict(b)).collect())
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        self.write(|state, now| {
            state.ledger.fence(owner, now);
            Ok(((), None))
        })
    }

    async fn watch(&self) -> Result<Feed> {
        let mut state = self.lock();
        state.refuse()?;
        let (feeder, feed) = Feed::bounded(FEED);
        state.feeds.push(feeder);
        Ok(feed)
    }

    fn capability(&self) -> Capability {
        Capability { keeps_writes: true, rises_alone: false, max_check: 100_000 }
    }
}
