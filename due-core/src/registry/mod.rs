//! Who is alive, and what they serve.
//!
//! A program uses [`Registry`]: `register` gives a guard that keeps the instance listed, `watch` a view that is state,
//! not history. A backend author writes the five verbs of [`RegistryStore`]; [`Kept`] turns them into a [`Registry`].
//!
//! An instance is `(id, incarnation)`. An id has one holder at a time: a newcomer that finds another incarnation asks the
//! [`Probe`] whether that one still lives, and an instance that sees its id held by another is
//! [`Standing::Superseded`] and never registers again, so two processes cannot flip for ever.

mod instance;
mod kept;
pub mod memory;
mod registration;
mod store;
mod watch;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

pub use instance::{Instance, InstanceKind, State};
pub use kept::Kept;
pub use registration::{Duty, End, Listed, Registration, Standing};
pub use store::{Entry, Expect, Listing, Put, RegistryStore, Renew, Value};
pub use watch::{Feed, Freshness, View, Watch};

use crate::error::Result;

/// What the cluster uses; [`Kept`] gives it to every [`RegistryStore`].
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Lists `instance` and keeps it listed until the guard goes: renews, and registers again for ever with the same
    /// incarnation after a lost lease or a wiped registry.
    ///
    /// Waits while the registry cannot be reached, trying again after 0.2 to 10 s. Errors: `Config` for an instance
    /// that breaks [`Instance::check`], `TooLarge` over [`Capability::max_metadata`], `Duplicate` if this very
    /// incarnation is registered already, `AlreadyRunning` (context `host`, `pid` if known) if another incarnation of
    /// the id lives. A dead one is taken over at once; a silent one has the time of one lease to vanish. Dropping the
    /// future deregisters.
    async fn register(&self, instance: Instance) -> Result<Registration>;

    /// The members of one kind, now and after every change. Returns after the first attempt to list: if it failed, the
    /// view is empty and stale, and the watch goes on trying. An error is only one that trying again cannot help.
    async fn watch(&self, kind: InstanceKind) -> Result<Watch>;

    /// How newcomers find out whether another holder of their id still lives. Without one everybody counts as silent.
    /// The last one set wins.
    fn probe_with(&self, probe: Arc<dyn Probe>);

    /// What this backend promises.
    fn capability(&self) -> Capability;
}

/// Asks a listed instance whether it lives, by its endpoints.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Asks `other`. Must not take longer than 2 s: the answer then counts as [`Answer::Silent`].
    async fn ask(&self, other: &Instance) -> Answer;
}

/// What a [`Probe`] heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This very incarnation answered.
    Alive {
        /// The host it runs on.
        host: String,
        /// Its process.
        pid: u32,
    },
    /// Refused, or another incarnation answered: that life is over.
    Dead,
    /// No answer.
    Silent,
}

/// What a registry promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Can two incarnations hold one id?
    pub unique_ids: UniqueIds,
    /// How new a list is.
    pub list: Reads,
    /// A killed instance vanishes after at least the first and at most the second.
    pub expiry: (Duration, Duration),
    /// Largest instance in bytes of its JSON form.
    pub max_metadata: usize,
}

/// What keeps an id unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueIds {
    /// The registry refuses a second holder.
    Enforced,
    /// Two may be listed; the one created last counts.
    Detected,
}

/// How new a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// It shows every write acknowledged before it began.
    Linearizable,
    /// It shows every write acknowledged that long before it began.
    Bounded(Duration),
    /// It may be older without a bound.
    Stale,
}
