//! A process that uses what its home keeps: one connection, made again for ever.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_core::{
    Error, Incarnation, InstanceId, Kind, Owner, Result, Retry, Url,
    transport::{Dialer, FrameKind, Head, Link, Transport},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

use super::{
    home_owner,
    line::{Line, Out},
    wire::{Ask, FAULT, Item, decode, decode_fault, encode},
};

/// Questions that may wait to be sent.
const QUEUE: usize = 1024;
/// Items of one stream that may wait for its reader; a reader that is slower loses the stream and opens it again.
const STREAM: usize = 4096;
/// A question is answered or fails within this time.
const LIMIT: Duration = Duration::from_secs(1);
/// First and longest pause between two tries to reach the home.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Asks the home. Clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub(super) struct Guest(Arc<Inner>);

struct Inner {
    jobs: mpsc::Sender<Job>,
    last: AtomicU64,
    up: watch::Receiver<u64>,
    task: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Job {
    Ask { corr: u64, body: Vec<u8>, to: Waiter },
    Cancel(u64),
}

enum Waiter {
    Once(oneshot::Sender<Result<Vec<u8>>>),
    Stream(Option<oneshot::Sender<Result<Vec<u8>>>>, mpsc::Sender<Item>),
}

/// Items of one question until it is dropped; `None` when the connection is over.
pub(super) struct Stream {
    items: mpsc::Receiver<Item>,
    corr: u64,
    guest: Guest,
}

impl Stream {
    /// The number its acknowledgements name.
    pub(super) fn number(&self) -> u64 {
        self.corr
    }

    pub(super) async fn next(&mut self) -> Option<Item> {
        match self.items.recv().await? {
            Item::End => None,
            item => Some(item),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.guest.0.jobs.try_send(Job::Cancel(self.corr));
    }
}

/// Takes a question back that nobody waits for any more.
struct Asked<'a>(&'a Guest, u64, bool);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.2 {
            let _ = self.0.0.jobs.try_send(Job::Cancel(self.1));
        }
    }
}

impl Guest {
    /// Begins to connect to the home at `at`.
    pub(super) fn start(at: Url, transport: Arc<dyn Transport>) -> Self {
        let (jobs, rx) = mpsc::channel(QUEUE);
        let (lives, up) = watch::channel(0);
        let task = tokio::spawn(Connection { at, transport, jobs: rx, lives }.run()).abort_handle();
        Self(Arc::new(Inner { jobs, last: AtomicU64::new(0), up, task }))
    }

    /// Rises with every new connection; waits for the next one.
    pub(super) async fn connected_again(&self) {
        let mut up = self.0.up.clone();
        up.mark_unchanged();
        if up.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks; the answer comes within a second, or `Unavailable` (it was not sent) or `Timeout` (it may have happened).
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T> {
        match tokio::time::timeout(LIMIT, self.ask_long(ask)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(Kind::Timeout, "the home peer does not answer")),
        }
    }

    /// Asks what may take long.
    pub(super) async fn ask_long<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T> {
        let (to, answer) = oneshot::channel();
        let corr = self.send(ask, Waiter::Once(to)).await?;
        let mut asked = Asked(self, corr, false);
        let body = answer.await.map_err(|_| unavailable("the home peer is not connected"));
        asked.2 = true;
        decode(&body??)
    }

    /// Opens a stream; returns when the home has confirmed it.
    pub(super) async fn stream(&self, ask: &Ask) -> Result<Stream> {
        let ((confirm, confirmed), (tx, items)) = (oneshot::channel(), mpsc::channel(STREAM));
        let corr = self.send(ask, Waiter::Stream(Some(confirm), tx)).await?;
        let stream = Stream { items, corr, guest: self.clone() };
        match tokio::time::timeout(LIMIT, confirmed).await {
            Ok(Ok(Ok(_))) => Ok(stream),
            Ok(Ok(Err(e))) => Err(e),
            Ok(Err(_)) => Err(unavailable("the home peer is not connected")),
            Err(_) => Err(Error::new(Kind::Timeout, "the home peer does not answer")),
        }
    }

    async fn send(&self, ask: &Ask, to: Waiter) -> Result<u64> {
        let corr = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Job::Ask { corr, body: encode(ask)?, to };
        self.0.jobs.send(job).await.map_err(|_| unavailable("the connection to the home peer has ended"))?;
        Ok(corr)
    }
}

fn unavailable(why: &'static str) -> Error {
    Error::new(Kind::Unavailable, why).retry_as(Retry::Safe)
}

struct Connection {
    at: Url,
    transport: Arc<dyn Transport>,
    jobs: mpsc::Receiver<Job>,
    lives: watch::Sender<u64>,
}

impl Connection {
    async fn run(mut self) {
        let from =
            Dialer { owner: Owner { id: InstanceId::from("peer"), incarnation: Incarnation::random() }, shard: 0 };
        let (mut pause, home) = (PAUSE.0, home_owner());
        loop {
            let connecting = self.transport.connect(&self.at, from.clone(), &home);
            let connected = tokio::time::timeout(LIMIT, connecting).await;
            match connected.unwrap_or_else(|_| Err(unavailable("the home peer does not answer"))) {
                Ok(link) => {
                    self.lives.send_modify(|lives| *lives += 1);
                    pause = PAUSE.0;
                    self.serve(link).await;
                    tracing::warn!(home = %self.at, "the connection to the home peer is over; trying again");
                }
                Err(e) => tracing::debug!(home = %self.at, error = %e, "no connection to the home peer; trying again"),
            }
            if self.refuse_for(pause).await.is_err() {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn serve(&mut self, link: Box<dyn Link>) {
        let mut waiting: HashMap<u64, Waiter> = HashMap::new();
        let mut line = Line::new(link);
        let mut cancel = Vec::new();
        while let Some(batch) = line.next(&mut self.jobs, |job| frame(job, &mut waiting)).await {
            for i in 0..batch.len() {
                if let Some((head, body)) = batch.get(i)
                    && !hear(&mut waiting, &head, body)
                {
                    cancel.push(cancelled(head.corr));
                }
            }
            line.queue(cancel.drain(..));
        }
        for (_, waiter) in waiting {
            if let Waiter::Once(to) = waiter {
                let _ = to.send(Err(Error::new(Kind::Timeout, "the connection to the home peer broke")));
            }
        }
    }

    /// Answers questions with `Unavailable` meanwhile; an error when nobody can ask any more.
    async fn refuse_for(&mut self, pause: Duration) -> Result<(), ()> {
        let until = tokio::time::Instant::now() + pause;
        loop {
            match tokio::time::timeout_at(until, self.jobs.recv()).await {
                // Its waiter learns by the drop.
                Ok(Some(job)) => drop(job),
                Ok(None) => return Err(()),
                Err(_) => return Ok(()),
            }
        }
    }
}

fn frame(job: Job, waiting: &mut HashMap<u64, Waiter>) -> Option<Out> {
    match job {
        Job::Ask { corr, body, to } => {
            waiting.insert(corr, to);
            Some((Head { kind: FrameKind::Order, corr, ..Head::default() }, body))
        }
        Job::Cancel(corr) => {
            waiting.remove(&corr);
            Some(cancelled(corr))
        }
    }
}

fn cancelled(corr: u64) -> Out {
    (Head { kind: FrameKind::Cancel, corr, ..Head::default() }, Vec::new())
}

/// Gives a frame to who waits for it; `false` if the home need not send more of it.
fn hear(waiting: &mut HashMap<u64, Waiter>, head: &Head, body: &[u8]) -> bool {
    let result = match head.flags & FAULT {
        0 => Ok(body.to_vec()),
        _ => Err(decode_fault(body)),
    };
    match (head.kind, waiting.get_mut(&head.corr)) {
        (FrameKind::Answer, Some(Waiter::Stream(confirm, _))) => {
            let failed = result.is_err();
            if let Some(confirm) = confirm.take() {
                let _ = confirm.send(result);
            }
            if failed {
                waiting.remove(&head.corr);
            }
            true
        }
        (FrameKind::Answer, Some(Waiter::Once(_))) => {
            if let Some(Waiter::Once(to)) = waiting.remove(&head.corr) {
                let _ = to.send(result);
            }
            true
        }
        (FrameKind::Message, Some(Waiter::Stream(_, items))) => {
            let taken = decode(body).is_ok_and(|item| items.try_send(item).is_ok());
            if !taken {
                // Its reader is too slow or gone: it learns by the end of the stream.
                waiting.remove(&head.corr);
            }
            taken
        }
        (FrameKind::Message, None) => false,
        _ => true,
    }
}
