//! Who is bound where, fenced by epochs; also where an actor lives.
//!
//! One [`Record`] per [`Subject`] holds a slot per [`Place`]: the gate of a user, and one per node name. Whoever writes a
//! slot gets an [`Epoch`] that rises per subject for ever, also over wipes and failovers of the store, because each
//! writer brings the highest epoch it has seen (`floor`). A lower epoch is refused wherever it turns up; that is what
//! keeps two owners from both being right.
//!
//! The locator expires nothing and knows no lease. A slot is dead when its owner's incarnation is gone from the
//! registry or [`Locator::fence`]d; then whoever wins [`Locator::if_epoch`] on it is the next owner.

mod feed;
pub mod memory;
mod record;
mod subject;

use async_trait::async_trait;

pub use feed::{Change, Event, Feed, Feeder};
pub use record::{Attempt, Binding, Claim, Record, Slot, Taken, Verdict};
pub use subject::{Place, Subject};

use crate::{
    error::Result,
    id::{Epoch, Owner, SessionId},
};

/// Bindings of users and actors. Every operation is atomic for its subject and safe to repeat: a repeated write that
/// finds its own owner and session succeeds with the epoch of the first.
///
/// Reads see every write acknowledged before them. Errors of every operation: `BadRequest` for a subject or place that
/// breaks its rules, or an epoch or floor that cannot be; `Unavailable` within 1 s if the store cannot be reached
/// (nothing happened); `Timeout` if the answer was lost (it may have happened: repeat it); `Stale` for a write by a
/// fenced owner. Dropping a future leaves the write done or not done, never half.
#[async_trait]
pub trait Locator: Send + Sync + 'static {
    /// Binds, whoever holds the place now: the last one wins. The new epoch is above the record's and the floor.
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken>;

    /// Binds if nobody holds the place: it is empty, unbound, or its owner is fenced.
    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt>;

    /// Binds if the place is still at epoch `seen`, held or unbound: of many who try, one wins.
    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt>;

    /// Writes a slot back that the store has lost: done if the place is at a lower epoch or unknown. Never answers
    /// [`Verdict::Missing`]. A fenced owner is answered [`Verdict::Fenced`], not an error.
    async fn reassert(&self, binding: Binding) -> Result<Verdict>;

    /// Ends the binding of a session with the epoch it was given, and leaves a tombstone with the epoch after it, so
    /// that a late [`Locator::reassert`] cannot revive it. Returns that epoch. It ends every claim up to `epoch`, also
    /// one that the store has lost, and none above: a later login whose own write was lost is not fenced by it. `None`
    /// if somebody else holds the place by this epoch, or it is at a higher one: nothing happened then.
    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>>;

    /// The record; empty for an unknown subject. Slots of fenced owners are not shown, their epochs are.
    async fn locate(&self, subject: Subject) -> Result<Record>;

    /// How each binding stands, in the order given; at most [`Capability::max_check`] at once. Writes nothing.
    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>>;

    /// This incarnation owns nothing from now on, whatever its slots say, and can bind nothing. Takes the same time
    /// whatever it owned. Slots fall to tombstones with the epochs they have; no event tells of each.
    async fn fence(&self, owner: Owner) -> Result<()>;

    /// Changes from now on, in order per subject. A hint for caches: what is lost shows as [`Event::Gap`].
    async fn watch(&self) -> Result<Feed>;

    /// What this backend promises.
    fn capability(&self) -> Capability;
}

/// Highest epoch: 2^53 - 1, so that every store can hold it exactly.
pub const MAX_EPOCH: Epoch = Epoch((1 << 53) - 1);

/// What a locator promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// No acknowledged write is ever lost. If not, two owners can last until the next sweep after a failover.
    pub keeps_writes: bool,
    /// Epochs rise over a wipe even for a writer that brings no floor, because the store has a clock.
    pub rises_alone: bool,
    /// Most bindings of one [`Locator::check`].
    pub max_check: usize,
}
