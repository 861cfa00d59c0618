//! The guard of a registered instance, and the end of it that does the work.

use tokio::sync::{oneshot, watch};

use super::Instance;
use crate::error::{Error, Kind, Result};

/// How an instance stands with the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Listed, by its own account: the last acknowledged renewal was sent less than a lease ago.
    Held,
    /// Perhaps not listed: go on serving bound users, take no new ones. It comes back by itself.
    Lost,
    /// Another incarnation has the id: drain. This one never registers again.
    Superseded,
}

/// Keeps an instance listed. Dropping it deregisters in the background.
#[derive(Debug)]
#[must_use = "dropping it deregisters the instance"]
pub struct Registration {
    listed: Listed,
    end: Option<oneshot::Sender<End>>,
}

/// What a [`Registration`] lists, for those who change it without being its guard. It keeps nobody listed: after the end
/// of the guard changes go nowhere.
#[derive(Clone, Debug)]
pub struct Listed {
    wanted: watch::Sender<Wanted>,
    standing: watch::Receiver<Standing>,
    written: watch::Receiver<u64>,
    max_metadata: usize,
}

/// What should be listed; the version rises with each change.
#[derive(Clone, Debug)]
struct Wanted {
    instance: Instance,
    version: u64,
}

impl Listed {
    /// What should be listed now.
    pub fn instance(&self) -> Instance {
        self.wanted.borrow().instance.clone()
    }

    /// As [`Registration::update`].
    pub fn update(&self, change: impl FnOnce(&mut Instance)) -> Result<()> {
        let mut outcome = Ok(());
        self.wanted.send_if_modified(|wanted| {
            let mut next = wanted.instance.clone();
            change(&mut next);
            outcome = admit(&wanted.instance, &next, self.max_metadata);
            let changes = outcome.is_ok() && next != wanted.instance;
            if changes {
                *wanted = Wanted { instance: next, version: wanted.version + 1 };
            }
            changes
        });
        outcome
    }

    /// As [`Registration::settled`].
    pub async fn settled(&self) -> Result<()> {
        let version = self.wanted.borrow().version;
        let mut written = self.written.clone();
        match written.wait_for(|v| *v >= version).await {
            Ok(_) => Ok(()),
            Err(_) if *self.standing.borrow() == Standing::Superseded => Err(Kind::Superseded.into()),
            Err(_) => Err(Error::new(Kind::Gone, "the runtime is going away")),
        }
    }

    /// How the instance stands with the registry now.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }
}

impl Registration {
    /// A guard and the duty behind it: for a [`Registry`](super::Registry) that is not built on [`Kept`](super::Kept).
    pub fn with_duty(instance: Instance, max_metadata: usize) -> (Self, Duty) {
        let (wanted, wants) = watch::channel(Wanted { instance, version: 1 });
        let (shown, standing) = watch::channel(Standing::Lost);
        let (done, written) = watch::channel(0);
        let (end, ended) = oneshot::channel();
        let listed = Listed { wanted, standing, written, max_metadata };
        (Self { listed, end: Some(end) }, Duty { wants, standing: shown, written: done, ended })
    }

    /// What should be listed now.
    pub fn instance(&self) -> Instance {
        self.listed.instance()
    }

    /// The same without being its guard.
    pub fn listed(&self) -> Listed {
        self.listed.clone()
    }

    /// Changes what is listed: state, weight, labels, name, endpoints, routes. The registry learns it soon, changes in
    /// between may be skipped; [`Self::settled`] waits for it. Errors: `Config` or `TooLarge`, and nothing changes; id,
    /// incarnation and kind cannot change (`Config`). `change` runs under a lock: it must not touch this guard.
    pub fn update(&self, change: impl FnOnce(&mut Instance)) -> Result<()> {
        self.listed.update(change)
    }

    /// Waits until the registry has acknowledged all changes made so far. Cancel safe. Errors: `Superseded`.
    pub async fn settled(&self) -> Result<()> {
        self.listed.settled().await
    }

    /// How the instance stands with the registry, now and after every change.
    pub fn status(&self) -> watch::Receiver<Standing> {
        self.listed.standing.clone()
    }

    /// Deregisters and waits for it, at most 2 s; the lease does the rest. Errors: those of the registry. Dropping the
    /// future does not stop it.
    pub async fn close(mut self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        match self.end.take().map(|end| end.send(End::Close(reply))) {
            Some(Ok(())) => answer.await.unwrap_or(Ok(())),
            _ => Ok(()),
        }
    }

    /// Ends as a crash would: no more renewals and no deregistration, so the registry shows the instance until its
    /// lease is over.
    pub fn abandon(mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(End::Abandon);
        }
    }
}

/// How a [`Registration`] ended.
#[derive(Debug)]
pub enum End {
    /// Deregister, then answer.
    Close(oneshot::Sender<Result<()>>),
    /// Deregister.
    Drop,
    /// Leave the lease alone.
    Abandon,
}

/// The end of a [`Registration`] that does the work.
#[derive(Debug)]
pub struct Duty {
    wants: watch::Receiver<Wanted>,
    standing: watch::Sender<Standing>,
    written: watch::Sender<u64>,
    ended: oneshot::Receiver<End>,
}

impl Duty {
    /// What should be listed now, and its version for [`Duty::wrote`].
    pub fn wanted(&mut self) -> (Instance, u64) {
        let wanted = self.wants.borrow_and_update();
        (wanted.instance.clone(), wanted.version)
    }

    /// Waits for a change since the last [`Duty::wanted`]. Cancel safe. Never returns after the guard has gone.
    pub async fn changed(&mut self) {
        if self.wants.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The registry has acknowledged this version.
    pub fn wrote(&self, version: u64) {
        self.written.send_replace(version);
    }

    /// Tells the guard how it stands.
    pub fn stand(&self, standing: Standing) {
        self.standing.send_if_modified(|now| std::mem::replace(now, standing) != standing);
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Splits off the news of the guard's end: completes once, when the guard closes, drops or abandons.
    pub fn end(&mut self) -> impl Future<Output = End> + Send + use<> {
        let (_, none) = oneshot::channel();
        let ended = std::mem::replace(&mut self.ended, none);
        async move { ended.await.unwrap_or(End::Drop) }
    }
}

fn admit(now: &Instance, next: &Instance, limit: usize) -> Result<()> {
    if (&next.id, next.incarnation, next.kind) != (&now.id, now.incarnation, now.kind) {
        return Err(Error::config("id, incarnation and kind of a registered instance cannot change"));
    }
    next.check()?;
    encoded(next, limit).map(|_| ())
}

/// The JSON form of an instance, within `limit` bytes.
pub(super) fn encoded(instance: &Instance, limit: usize) -> Result<bytes::Bytes> {
    let json =
        serde_json::to_vec(instance).map_err(|e| Error::new(Kind::Internal, "an instance as JSON").because(e))?;
    if json.len() > limit {
        let text = format!("the registry takes {limit} bytes, {} has {}: shorten its labels", instance.id, json.len());
        return Err(Error::new(Kind::TooLarge, text));
    }
    Ok(json.into())
}
