//! Planted bugs in a locator: the suite finds each.

use std::sync::Arc;

use async_trait::async_trait;
use due_core::{
    Epoch, Owner, Result, SessionId,
    locate::{
        Attempt, Binding, Capability, Claim, Feed, Locator, Place, Record, Slot, Subject, Taken, Verdict,
        memory::Memory,
    },
};
use due_testkit::locate::{self, Bench};

#[derive(Clone, Copy, Debug)]
enum Planted {
    /// `INCR` in the store: it falls back with the store.
    FloorIgnored,
    /// A logout that deletes: a sweep revives the session.
    LogoutDeletes,
    /// Ends whatever session the place has.
    UnbindAsksNobody,
    /// A repeated take counts as another login.
    RepeatIsNew,
    FirstTakeWins,
    IfEpochIsTake,
    IfAbsentIsTake,
    ReassertAlwaysWins,
    FenceForgotten,
    OutageIsNobody,
}

struct Faulty {
    inner: Memory,
    planted: Planted,
}

impl Faulty {
    async fn bent(&self, subject: &Subject, place: &Place, mut claim: Claim) -> Result<Claim> {
        match self.planted {
            Planted::FloorIgnored => claim.floor = Epoch(0),
            Planted::RepeatIsNew => {
                let held = self.inner.locate(subject.clone()).await?.epoch(place);
                claim.floor = claim.floor.max(held);
            }
            _ => {}
        }
        Ok(claim)
    }
}

#[async_trait]
impl Locator for Faulty {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        let claim = self.bent(&subject, &place, claim).await?;
        if let Planted::FirstTakeWins = self.planted
            && let Attempt::Refused(record) =
                self.inner.if_absent(subject.clone(), place.clone(), claim.clone()).await?
        {
            return Ok(Taken { epoch: record.last, previous: None, record });
        }
        self.inner.take(subject, place, claim).await
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        match self.planted {
            Planted::IfAbsentIsTake => self.inner.take(subject, place, claim).await.map(Attempt::Won),
            _ => self.inner.if_absent(subject, place, claim).await,
        }
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        match self.planted {
            Planted::IfEpochIsTake => self.inner.take(subject, place, claim).await.map(Attempt::Won),
            _ => self.inner.if_epoch(subject, place, seen, claim).await,
        }
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        let verdict = self.inner.reassert(binding.clone()).await?;
        if let (Planted::ReassertAlwaysWins, Verdict::Fenced(floor)) = (self.planted, &verdict) {
            let Slot { owner, session, .. } = binding.slot;
            let claim = Claim { owner, session, floor: *floor };
            return self.inner.take(binding.subject, binding.place, claim).await.map(|_| Verdict::Current);
        }
        Ok(verdict)
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        let held = self.inner.locate(subject.clone()).await?.slot(&place).cloned();
        match (self.planted, held) {
            (Planted::UnbindAsksNobody, Some(slot)) => {
                self.inner.unbind(subject, place, slot.session, slot.epoch).await
            }
            (Planted::LogoutDeletes, Some(slot)) if (slot.session, slot.epoch) == (session, epoch) => {
                self.inner.faults().wipe();
                Ok(Some(Epoch(epoch.0 + 1)))
            }
            _ => self.inner.unbind(subject, place, session, epoch).await,
        }
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        match (self.planted, self.inner.locate(subject).await) {
            (Planted::OutageIsNobody, outcome) => Ok(outcome.unwrap_or_default()),
            (_, outcome) => outcome,
        }
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        self.inner.check(bindings).await
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        match self.planted {
            Planted::FenceForgotten => Ok(()),
            _ => self.inner.fence(owner).await,
        }
    }

    async fn watch(&self) -> Result<Feed> {
        self.inner.watch().await
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }
}

fn bench(planted: Planted) -> Bench {
    let inner = Memory::default();
    let faulty = || Arc::new(Faulty { inner: inner.clone(), planted });
    Bench { a: faulty(), b: faulty(), faults: Arc::new(inner.faults()) }
}

#[tokio::test(start_paused = true)]
async fn the_suite_finds_each_planted_bug() {
    for planted in [
        Planted::FloorIgnored,
        Planted::LogoutDeletes,
        Planted::UnbindAsksNobody,
        Planted::RepeatIsNew,
        Planted::FirstTakeWins,
        Planted::IfEpochIsTake,
        Planted::IfAbsentIsTake,
        Planted::ReassertAlwaysWins,
        Planted::FenceForgotten,
        Planted::OutageIsNobody,
    ] {
        // A failed assertion ends the task only.
        let suite = tokio::spawn(locate::suite(move || async move { bench(planted) }));
        assert!(!matches!(suite.await, Ok(Ok(_))), "{planted:?} was not found");
    }
}
