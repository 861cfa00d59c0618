//! Values with a time to live, shared by the fleet.
//!
//! A backend author writes the verbs of [`CacheStore`]; [`Cached`] adds loading with single flight and remembered
//! absence once.

mod cached;
pub mod memory;

use std::{future::Future, ops::RangeInclusive, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

pub use cached::Cached;

/// How long a value lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// This long.
    For(Duration),
    /// A random time in between, so that values written together do not end together.
    Between(RangeInclusive<Duration>),
    /// As long as the value before it had left; without end for a new key.
    Keep,
    /// Without end.
    Forever,
}

impl Ttl {
    /// What a loaded value gets unless told otherwise: 1 h to 24 h.
    pub const LOADED: Ttl = Ttl::Between(Duration::from_secs(3_600)..=Duration::from_secs(86_400));
}

/// Fetches a value that the cache does not have; `None`: there is none.
pub type Loader = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<Option<Bytes>>> + Send>> + Send>;

/// A cache: it may forget anything at any time. Keys are 1 to 200 bytes without white space and control
/// characters and do not begin with `~`; others are `BadRequest`.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Is there a value?
    async fn has(&self, key: &str) -> Result<bool>;

    /// The value, unless there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Writes a value.
    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<()>;

    /// Writes a value if there is none, in one step; says whether it did.
    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool>;

    /// Forgets a key; says whether there was a value.
    async fn delete(&self, key: &str) -> Result<bool>;

    /// Adds to a number written in decimal digits (0 if absent, then without end) in one step and answers the sum. A
    /// value that is no number or would overflow is `BadRequest` and stays.
    async fn incr(&self, key: &str, by: i64) -> Result<i64>;

    /// The value; if there is none, what `load` brings, which is then written with `ttl`. Within this process one loader
    /// runs per key and everybody who waits gets its result; its error is not remembered. Absence is remembered for
    /// 10 s. The loader runs to its end if the caller goes. A cache that cannot be reached costs a load, not an error.
    async fn load(&self, key: &str, ttl: Ttl, load: Loader) -> Result<Option<Bytes>>;
}

impl dyn Cache {
    /// [`Cache::load`] with a closure.
    pub async fn get_or_load<F, Fut>(&self, key: &str, ttl: Ttl, load: F) -> Result<Option<Bytes>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<Bytes>>> + Send + 'static,
    {
        self.load(key, ttl, Box::new(|| Box::pin(load()))).await
    }
}

/// How a store writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// In any case.
    Always,
    /// Only if there is none.
    IfAbsent,
}

/// How long a store keeps a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// This long.
    For(Duration),
    /// As long as the value before it had left.
    Keep,
    /// Without end.
    Forever,
}

/// What a backend author writes; keys and lives are checked already. Each verb is one atomic step at the server.
#[async_trait]
pub trait CacheStore: Send + Sync + 'static {
    /// The bytes under `key`.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Writes; says whether it did.
    async fn put(&self, key: &str, value: Bytes, life: Life, write: Write) -> Result<bool>;

    /// Forgets `key`; says whether there was something.
    async fn delete(&self, key: &str) -> Result<bool>;

    /// See [`Cache::incr`].
    async fn incr(&self, key: &str, by: i64) -> Result<i64>;
}

#[async_trait]
impl<S: CacheStore> CacheStore for Arc<S> {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        (**self).get(key).await
    }

    async fn put(&self, key: &str, value: Bytes, life: Life, write: Write) -> Result<bool> {
        (**self).put(key, value, life, write).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        (**self).delete(key).await
    }

    async fn incr(&self, key: &str, by: i64) -> Result<i64> {
        (**self).incr(key, by).await
    }
}
