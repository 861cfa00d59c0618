//! The first registration: whose id is it?

use tokio::time::{self, Instant};

use super::{Backoff, Core, call};
use crate::{
    error::{Error, Kind, Result, Retry},
    id::Incarnation,
    registry::{Answer, Expect, Instance, Put, RegistryStore, Value, registration::encoded},
};

/// Tries to get the key of an instance for the first time.
pub(super) struct Join<'a, R> {
    core: &'a Core<R>,
    instance: &'a Instance,
    expect: Expect,
    backoff: Backoff,
    /// A silent holder, and when its time is over.
    silent: Option<(Incarnation, Instant)>,
    failed: bool,
}

impl<'a, R: RegistryStore> Join<'a, R> {
    pub(super) fn new(core: &'a Core<R>, instance: &'a Instance) -> Self {
        Self { core, instance, expect: Expect::Absent, backoff: core.backoff(), silent: None, failed: false }
    }

    /// Tries until the key is held; returns when the successful write was sent.
    pub(super) async fn run(mut self) -> Result<Instant> {
        let key = self.instance.key();
        let bytes = encoded(self.instance, usize::MAX)?;
        loop {
            let value = Value { incarnation: self.instance.incarnation, bytes: bytes.clone() };
            let sent = Instant::now();
            match call(self.core.store.put(&key, value, self.core.ttl, self.expect)).await {
                Ok(Put::Ok) => return Ok(sent),
                Ok(Put::Held(other)) => self.contest(other).await?,
                Err(e) if e.retry() == Retry::Never => return Err(e),
                Err(e) => self.again(e).await,
            }
        }
    }

    /// The write may have happened: the next one accepts itself.
    async fn again(&mut self, e: Error) {
        let id = &self.instance.id;
        if std::mem::replace(&mut self.failed, true) {
            tracing::debug!(%id, error = ?e, "the registry does not take the instance; trying again");
        } else {
            tracing::warn!(%id, error = ?e, "the registry does not take the instance; it goes on trying");
        }
        self.expect = Expect::Mine;
        time::sleep(self.backoff.wait()).await;
    }

    /// Somebody holds the key. Decides how to go on, or that there is no way.
    async fn contest(&mut self, other: Value) -> Result<()> {
        if other.incarnation == self.instance.incarnation {
            return Err(Error::new(
                Kind::Duplicate,
                format!("{} is registered already by this process", self.instance.id),
            ));
        }
        let answer = match serde_json::from_slice::<Instance>(&other.bytes) {
            Ok(holder) => self.core.ask(&holder).await,
            Err(_) => Answer::Silent,
        };
        match answer {
            Answer::Alive { host, pid } => Err(self.taken().context("host", host).context("pid", pid)),
            Answer::Dead => {
                self.expect = Expect::Incarnation(other.incarnation);
                Ok(())
            }
            Answer::Silent => self.wait_for(other.incarnation).await,
        }
    }

    /// A silent holder has the time of one lease to vanish. If it is still listed then, somebody renews it.
    async fn wait_for(&mut self, other: Incarnation) -> Result<()> {
        let now = Instant::now();
        let over = match self.silent {
            Some((who, over)) if who == other => over,
            _ => now + self.core.store.capability(self.core.ttl).expiry.1,
        };
        self.silent = Some((other, over));
        self.expect = Expect::Mine;
        if now > over {
            return Err(self.taken());
        }
        time::sleep(self.backoff.wait()).await;
        Ok(())
    }

    fn taken(&self) -> Error {
        let text = format!("another process is registered as {}: give this one an id of its own", self.instance.id);
        Error::new(Kind::AlreadyRunning, text)
    }
}
