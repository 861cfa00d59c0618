//! One registration: join, then renew; register again for ever; stop only when told or superseded.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{self, Instant},
};

use super::{Backoff, Core, call, join::Join};
use crate::{
    error::{Error, Kind, Result},
    id::Incarnation,
    registry::{Duty, End, Expect, Instance, Put, RegistryStore, Renew, Standing, Value, registration::encoded},
};

/// Longest time for leaving; the lease does the rest.
const LEAVE: Duration = Duration::from_secs(2);

pub(super) async fn run<R: RegistryStore>(core: Arc<Core<R>>, mut duty: Duty, joined: oneshot::Sender<Result<()>>) {
    let end = duty.end();
    let (instance, version) = duty.wanted();
    let work = async {
        match Join::new(&core, &instance).run().await {
            Ok(sent) => {
                duty.wrote(version);
                duty.stand(Standing::Held);
                drop(joined.send(Ok(())));
                Keeper::new(&core, &instance, duty, sent).run(sent).await;
            }
            Err(e) => drop(joined.send(Err(e))),
        }
    };
    // Work ends by itself only when the key is another's: then there is nothing to remove.
    tokio::select! {
        biased;
        ended = end => finish(&core, &instance, ended).await,
        () = work => {}
    }
}

/// Removes the key if this incarnation still holds it.
async fn finish<R: RegistryStore>(core: &Core<R>, instance: &Instance, end: End) {
    let (key, incarnation) = (instance.key(), instance.incarnation);
    let leave = async {
        let late = |_| Error::new(Kind::Timeout, "the registry did not answer; the lease ends by itself");
        time::timeout(LEAVE, core.store.delete(&key, incarnation)).await.map_err(late)?
    };
    match end {
        End::Abandon => {}
        End::Drop => drop(leave.await),
        End::Close(reply) => drop(reply.send(leave.await)),
    }
}

struct Keeper<'a, R> {
    core: &'a Core<R>,
    key: String,
    incarnation: Incarnation,
    duty: Duty,
    backoff: Backoff,
    /// Send time of the last acknowledged renewal plus the lease.
    valid_until: Instant,
}

/// What to do next.
enum Next {
    Renew,
    Write,
}

impl<'a, R: RegistryStore> Keeper<'a, R> {
    fn new(core: &'a Core<R>, instance: &Instance, duty: Duty, sent: Instant) -> Self {
        let (key, incarnation) = (instance.key(), instance.incarnation);
        Self { core, key, incarnation, duty, backoff: core.backoff(), valid_until: sent + core.ttl }
    }

    /// Returns when superseded.
    async fn run(mut self, sent: Instant) {
        let mut due = sent + self.core.ttl / 3;
        let mut next = self.pause(due).await;
        loop {
            let sent = Instant::now();
            let step = match next {
                Next::Renew => self.renew().await,
                Next::Write => self.write().await,
            };
            (due, next) = match step {
                Step::Acked => {
                    self.hold(sent);
                    let due = sent + self.core.ttl / 3;
                    (due, self.pause(due).await)
                }
                Step::Gone => {
                    tracing::warn!(
                        key = self.key,
                        "the registry has lost the lease of this instance; it registers again"
                    );
                    self.duty.stand(Standing::Lost);
                    (due, Next::Write)
                }
                Step::Failed => (due, self.retry(next).await),
                Step::Superseded => return self.duty.stand(Standing::Superseded),
            };
        }
    }

    fn hold(&mut self, sent: Instant) {
        self.valid_until = sent + self.core.ttl;
        self.backoff.reset();
        self.duty.stand(Standing::Held);
    }

    /// Until the next renewal is due or something changed.
    async fn pause(&mut self, due: Instant) -> Next {
        tokio::select! {
            () = self.duty.changed() => Next::Write,
            () = time::sleep_until(due) => Next::Renew,
        }
    }

    /// After a failure: waits, but never sleeps over the end of the lease.
    async fn retry(&mut self, failed: Next) -> Next {
        let wait = time::sleep(self.backoff.wait());
        self.lapsing(wait).await;
        failed
    }

    async fn renew(&mut self) -> Step {
        let (core, key) = (self.core, self.key.clone());
        match self.lapsing(call(core.store.renew(&key, self.incarnation, core.ttl))).await {
            Ok(Renew::Ok) => Step::Acked,
            Ok(Renew::Lost) => Step::Gone,
            Ok(Renew::Held(_)) => Step::Superseded,
            Err(e) => failed(&key, e),
        }
    }

    async fn write(&mut self) -> Step {
        let (core, key) = (self.core, self.key.clone());
        let (instance, version) = self.duty.wanted();
        let bytes = match encoded(&instance, usize::MAX) {
            Ok(bytes) => bytes,
            Err(e) => return failed(&key, e),
        };
        let value = Value { incarnation: self.incarnation, bytes };
        match self.lapsing(call(core.store.put(&key, value, core.ttl, Expect::Mine))).await {
            Ok(Put::Ok) => {
                self.duty.wrote(version);
                Step::Acked
            }
            Ok(Put::Held(_)) => Step::Superseded,
            Err(e) => failed(&key, e),
        }
    }

    /// Awaits `work`, and tells the guard at the moment the lease may be over.
    async fn lapsing<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        if self.duty.standing() == Standing::Held {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = time::sleep_until(self.valid_until) => {
                    tracing::warn!(key = self.key, "the registry has not renewed the lease in time; it goes on trying");
                    self.duty.stand(Standing::Lost);
                }
            }
        }
        work.await
    }
}

enum Step {
    Acked,
    Gone,
    Failed,
    Superseded,
}

fn failed(key: &str, e: Error) -> Step {
    tracing::debug!(key, error = ?e, "the registry takes no renewal; trying again");
    Step::Failed
}
