//! Asking the server whether it has taken what was sent.
//!
//! A flush only empties the socket's buffer. A message to an own inbox comes back when the server has handled everything
//! that was sent before it on the same connection; one such echo answers for all publishes that wait.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, Statistics, SubscribeError, Subscriber};
use bytes::Bytes;
use due_core::{Error, Kind, Result};
use futures_util::StreamExt;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

use super::connection::{Life, Signals, life};

/// Publishes that may wait for an answer.
const WAITING: usize = 4096;

#[derive(Clone)]
pub(super) struct Echo(mpsc::Sender<Waiter>);

struct Waiter {
    life: Life,
    tell: oneshot::Sender<Answer>,
}

#[derive(Clone, Copy)]
enum Answer {
    Taken,
    Broken,
    Silent,
}

struct Asker {
    client: Client,
    statistics: Arc<Statistics>,
    signals: watch::Receiver<Signals>,
    timeout: Duration,
    inbox: String,
    back: Subscriber,
    waiters: mpsc::Receiver<Waiter>,
}

impl Echo {
    /// Starts the task that asks; it ends with the last clone of this.
    pub(super) async fn start(
        client: Client,
        statistics: Arc<Statistics>,
        signals: watch::Receiver<Signals>,
        timeout: Duration,
    ) -> Result<Self, SubscribeError> {
        let inbox = client.new_inbox();
        let back = client.subscribe(inbox.clone()).await?;
        let (tell, waiters) = mpsc::channel(WAITING);
        tokio::spawn(Asker { client, statistics, signals, timeout, inbox, back, waiters }.run());
        Ok(Self(tell))
    }

    /// Returns when the server has handled what went into the connection of `life`; `Timeout` if that cannot be known.
    pub(super) async fn confirm(&self, life: Life) -> Result<()> {
        let (tell, told) = oneshot::channel();
        let gone = |_| Error::new(Kind::Timeout, "the connection was closed before the server answered");
        if self.0.send(Waiter { life, tell }).await.is_err() {
            return Err(gone(()));
        }
        match told.await.map_err(|_| gone(()))? {
            Answer::Taken => Ok(()),
            Answer::Broken => Err(Error::new(Kind::Timeout, "the connection broke before the server answered")),
            Answer::Silent => Err(Error::new(Kind::Timeout, "nats does not answer")),
        }
    }
}

impl Asker {
    async fn run(mut self) {
        let mut number: u64 = 0;
        let mut batch = Vec::new();
        while self.waiters.recv_many(&mut batch, WAITING).await > 0 {
            number += 1;
            let answer = self.ask(number).await;
            let now = life(&self.statistics);
            for waiter in batch.drain(..) {
                let answer = if waiter.life == now { answer } else { Answer::Broken };
                let _ = waiter.tell.send(answer);
            }
        }
    }

    async fn ask(&mut self, number: u64) -> Answer {
        self.signals.mark_unchanged();
        let breaks = self.signals.borrow().breaks;
        let asked = Bytes::copy_from_slice(&number.to_be_bytes());
        let (back, signals) = (&mut self.back, &mut self.signals);
        let round = async {
            if self.client.publish(self.inbox.clone(), asked.clone()).await.is_err() {
                return Answer::Broken;
            }
            loop {
                tokio::select! {
                    message = back.next() => match message {
                        Some(message) if message.payload == asked => return Answer::Taken,
                        Some(_) => {}
                        None => return Answer::Broken,
                    },
                    changed = signals.changed() => {
                        if changed.is_err() || signals.borrow_and_update().breaks != breaks {
                            return Answer::Broken;
                        }
                    }
                }
            }
        };
        time::timeout(self.timeout, round).await.unwrap_or(Answer::Silent)
    }
}
