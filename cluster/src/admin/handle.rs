//! Asking instances, wherever they run.

use std::collections::BTreeMap;

use due_core::{Class, Error, Kind, Owner, Result, Uid, registry::Instance};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::{Ask, side::ADMIN_ORDER};
use crate::{
    cluster::{Cluster, Sent, To},
    link::{Audience, Counts, FLAG_THEN_CLOSE, GateOrder, class_bits},
};

/// Asks instances. What it can do, whoever has a [`Cluster`] can: who may, is the business of its user.
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Cluster,
}

/// A push whose body is encoded already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPush {
    /// The route.
    pub route: i32,
    /// What happens when an outbox is full.
    pub class: Class,
    /// The body, as the clients of the route expect it.
    pub body: Vec<u8>,
    /// Ends each connection once it is written.
    pub then_close: bool,
}

impl Cluster {
    /// The way to ask instances.
    pub fn admin(&self) -> Admin {
        Admin { cluster: self.clone() }
    }
}

impl Admin {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What the backends of this process are: `registry` is `etcd`.
    pub fn backends(&self) -> BTreeMap<&'static str, String> {
        self.cluster.0.side.backends.get().cloned().unwrap_or_default()
    }

    /// Asks one instance. Errors: `Unavailable` if it cannot be reached, `Timeout` after `until` (it may have happened
    /// then), `Unsupported` if it does not know the question, else its own. Cancel safe.
    pub async fn ask<T: DeserializeOwned>(&self, whom: &Instance, ask: &Ask, until: Instant) -> Result<T> {
        let body = serde_json::to_vec(ask).map_err(|e| Error::new(Kind::Internal, "a question").because(e))?;
        let side = &self.cluster.0.side;
        let answer = match side.part(&whom.owner()) {
            Some(part) => timeout_at(until, side.answer(part, &body)).await,
            None => timeout_at(until, self.ask_far(whom, body, until)).await,
        };
        let answer = answer.map_err(|_| Error::from(Kind::Timeout).context("instance", &whom.id))??;
        serde_json::from_slice(&answer).map_err(|e| Error::new(Kind::Malformed, "the answer of an instance").because(e))
    }

    async fn ask_far(&self, whom: &Instance, body: Vec<u8>, until: Instant) -> Result<Vec<u8>> {
        let link = self.cluster.peers().link(whom).await?;
        if link.is_down() {
            return Err(Error::new(Kind::Unavailable, "its connection is lost").context("instance", &whom.id));
        }
        Ok(link.ask((ADMIN_ORDER, body), until).await?.into())
    }

    /// Pushes to those of `to` that are at one gate; what became of it. `To::Sessions` reaches nobody here.
    pub async fn push_at(&self, gate: &Owner, to: To<'_>, push: &RawPush, until: Instant) -> Result<Sent> {
        let to = match to {
            To::User(uid) => Audience::Users(vec![uid]),
            To::Users(uids) => Audience::Users(uids.to_vec()),
            To::Sessions(_) => Audience::Sessions(Vec::new()),
            To::Channel(name) => {
                crate::session::check_channel(name)?;
                Audience::Channel(name.to_owned())
            }
            To::Bound => Audience::Everyone { bound: true },
            To::Everyone => Audience::Everyone { bound: false },
        };
        let flags = class_bits(push.class) | if push.then_close { FLAG_THEN_CLOSE } else { 0 };
        let order = GateOrder::Push { to, route: push.route, flags, body: push.body.clone() };
        let counted = timeout_at(until, self.cluster.order(gate, order)).await;
        let counts = Counts::decode(&counted.map_err(|_| Error::from(Kind::Timeout).context("instance", gate))??)?;
        let [queued, full, offline, unknown] = [counts.queued, counts.full, counts.offline, counts.unknown];
        Ok(Sent { queued: queued as usize, full: full as usize, offline: offline as usize, unknown: unknown as usize })
    }

    /// Where a user is bound: gate and nodes, with the epoch of the login.
    pub async fn locate(&self, uid: &Uid) -> Result<due_core::locate::Record> {
        self.cluster.locator().locate(due_core::locate::Subject::from(uid.clone())).await
    }
}
