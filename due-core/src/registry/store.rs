//! What a backend author writes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use serde::{Deserialize, Serialize};

use super::Capability;
use crate::{error::Result, id::Incarnation};

/// Five small verbs over a key space with leases. No loops, no back-off, no guard: [`Kept`](super::Kept) has them.
///
/// Keys look like `gate/gate-1`; a prefix ends with `/`. Every verb is atomic for its key. Any of them may be dropped half
/// way; it then happened or it did not. Errors: `Unavailable` (nothing happened) or `Timeout` (it may have) when the
/// server does not answer, anything with [`Retry::Never`](crate::Retry::Never) when trying again cannot help.
#[async_trait]
pub trait RegistryStore: Send + Sync + 'static {
    /// Writes the key with a lease of `ttl` if `expect` holds; a write of the incarnation that holds the key replaces
    /// the value in place.
    async fn put(&self, key: &str, value: Value, ttl: Duration, expect: Expect) -> Result<Put>;

    /// Prolongs the lease to `ttl` from now if `incarnation` holds the key.
    async fn renew(&self, key: &str, incarnation: Incarnation, ttl: Duration) -> Result<Renew>;

    /// Removes the key if `incarnation` holds it; else does nothing.
    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()>;

    /// All live entries under the prefix, and a cursor to wait from.
    async fn list(&self, prefix: &str) -> Result<Listing>;

    /// Returns when something under the prefix may have changed since the list that gave `cursor`; may return early or
    /// without cause. May miss a change when the server lost its history: the caller lists every few seconds anyway.
    async fn wait(&self, prefix: &str, cursor: u64) -> Result<()>;

    /// What the server promises when leases are of `ttl`.
    fn capability(&self, ttl: Duration) -> Capability;
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Who holds the key.
    pub incarnation: Incarnation,
    /// The instance as JSON; it names the incarnation too.
    pub bytes: Bytes,
}

/// What must be true for a [`RegistryStore::put`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Nobody holds the key.
    Absent,
    /// Nobody holds the key, or the incarnation in the value does.
    Mine,
    /// This incarnation holds the key (it is taken over), or nobody does.
    Incarnation(Incarnation),
}

/// What a [`RegistryStore::put`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Put {
    /// Written.
    Ok,
    /// Not written: this is who holds the key.
    Held(Value),
}

/// What a [`RegistryStore::renew`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Renew {
    /// Prolonged.
    Ok,
    /// Nobody holds the key any more.
    Lost,
    /// Another incarnation holds it.
    Held(Value),
}

/// What a [`RegistryStore::list`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The entries, in any order.
    pub entries: Vec<Entry>,
    /// Where [`RegistryStore::wait`] goes on from.
    pub cursor: u64,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// The value's bytes.
    pub bytes: Bytes,
    /// Rises with each creation: of two entries that name one id the higher one counts.
    pub created: u64,
}
