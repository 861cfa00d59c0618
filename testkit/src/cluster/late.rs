//! A locator that takes its time, so that answers and feeds overtake each other.

use std::time::Duration;

use async_trait::async_trait;
use due_core::{
    Epoch, Owner, Result, SessionId,
    locate::{
        Attempt, Binding, Capability, Claim, Event, Feed, Locator, Place, Record, Subject, Taken, Verdict,
        memory::Memory,
    },
};

use super::dice::Dice;

/// Events that wait for a slow reader.
const FEED: usize = 1024;

pub(super) struct Late {
    inner: Memory,
    longest: Duration,
    dice: Dice,
}

impl Late {
    pub(super) fn new(inner: Memory, longest: Duration, dice: Dice) -> Self {
        Self { inner, longest, dice }
    }

    /// The way there, the call, the way back.
    async fn slowly<T>(&self, call: impl Future<Output = T>) -> T {
        pause(&self.dice, self.longest).await;
        let answer = call.await;
        pause(&self.dice, self.longest).await;
        answer
    }
}

async fn pause(dice: &Dice, longest: Duration) {
    let micros = dice.roll(longest.as_micros() as u64 + 1);
    tokio::time::sleep(Duration::from_micros(micros)).await;
}

#[async_trait]
impl Locator for Late {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        self.slowly(self.inner.take(subject, place, claim)).await
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.slowly(self.inner.if_absent(subject, place, claim)).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.slowly(self.inner.if_epoch(subject, place, seen, claim)).await
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        self.slowly(self.inner.reassert(binding)).await
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        self.slowly(self.inner.unbind(subject, place, session, epoch)).await
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        self.slowly(self.inner.locate(subject)).await
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        self.slowly(self.inner.check(bindings)).await
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        self.slowly(self.inner.fence(owner)).await
    }

    /// Each feed lags on its own and keeps its order.
    async fn watch(&self) -> Result<Feed> {
        let mut source = self.inner.watch().await?;
        let (feeder, feed) = Feed::bounded(FEED);
        let (dice, longest) = (self.dice.clone(), self.longest);
        tokio::spawn(async move {
            loop {
                let event: Event = source.next().await;
                pause(&dice, longest).await;
                if !feeder.send(event) {
                    return;
                }
            }
        });
        Ok(feed)
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }
}
