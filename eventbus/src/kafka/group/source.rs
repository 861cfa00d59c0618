//! The subscriber's end of a group.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{
    Error, Kind, Result,
    bus::{Ack, Acknowledge, Gap, Raw, Source},
};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use crate::kafka::shelf::{Held, Item, Shelf};

/// Something is done; answered when that is committed, or with `false` if it comes again.
pub(super) struct Finished {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) tell: oneshot::Sender<bool>,
}

/// One member.
pub(super) struct Member {
    shelf: Shelf,
    acks: Option<mpsc::Sender<Finished>>,
    timeout: Duration,
}

impl Member {
    pub(super) fn new(shelf: Shelf, acks: Option<mpsc::Sender<Finished>>, timeout: Duration) -> Self {
        Self { shelf, acks, timeout }
    }

    fn raw(&self, held: Held) -> Raw {
        let ack = match &self.acks {
            None => Ack::none(),
            Some(acks) => Ack::new(Arc::new(Pending {
                acks: acks.clone(),
                partition: held.partition,
                offset: held.offset,
                timeout: self.timeout,
            })),
        };
        Raw::Message { body: held.body, position: Some(held.position), ack }
    }
}

#[async_trait]
impl Source for Member {
    async fn next(&mut self) -> Option<Raw> {
        Some(match self.shelf.next().await? {
            Item::Gap(cause) => Raw::Gap(Gap { cause, lost: None }),
            Item::Event(held) => self.raw(held),
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shelf.leave();
    }
}

struct Pending {
    acks: mpsc::Sender<Finished>,
    partition: i32,
    offset: i64,
    timeout: Duration,
}

#[async_trait]
impl Acknowledge for Pending {
    async fn ack(&self) -> Result<()> {
        let again =
            |text| Error::new(Kind::Timeout, text).context("partition", self.partition).context("offset", self.offset);
        let (tell, told) = oneshot::channel();
        let finished = Finished { partition: self.partition, offset: self.offset, tell };
        let answer = async {
            self.acks.send(finished).await.ok()?;
            told.await.ok()
        };
        match time::timeout(self.timeout, answer).await {
            Ok(Some(true)) => Ok(()),
            Ok(_) => Err(again("not committed, or the partition has gone to another member: the event may come again")),
            Err(late) => Err(again("kafka has not committed: the event may come again").because(late)),
        }
    }
}
