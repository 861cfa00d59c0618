//! Loading with single flight and remembered absence, over any [`CacheStore`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use super::{Cache, CacheStore, Life, Loader, Ttl, Write};
use crate::{
    error::{Error, Kind, Result},
    sync::locked,
};

/// How long absence is remembered.
const ABSENT: Life = Life::For(Duration::from_secs(10));
const LONGEST_KEY: usize = 200;

/// Gives [`Cache`] to every [`CacheStore`].
///
/// Absence is remembered under a key of its own (`~` before the key), so that no value can be mistaken for it and
/// `set_if_absent` and `incr` need not know.
pub struct Cached<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    store: S,
    flights: Mutex<HashMap<String, watch::Receiver<Landing>>>,
}

/// What a load brought, once it has ended.
type Landing = Option<Result<Option<Bytes>, Arc<Error>>>;

impl<S: CacheStore> Cached<S> {
    /// A cache kept in `store`.
    pub fn new(store: S) -> Self {
        Self { inner: Arc::new(Inner { store, flights: Mutex::default() }) }
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.inner.store
    }
}

#[async_trait]
impl<S: CacheStore> Cache for Cached<S> {
    async fn has(&self, key: &str) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check(key)?;
        self.inner.store.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<()> {
        check(key)?;
        self.inner.store.put(key, value, ttl.life()?, Write::Always).await.map(drop)
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool> {
        check(key)?;
        self.inner.store.put(key, value, ttl.life()?, Write::IfAbsent).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        check(key)?;
        self.inner.store.delete(&absence(key)).await?;
        self.inner.store.delete(key).await
    }

    async fn incr(&self, key: &str, by: i64) -> Result<i64> {
        check(key)?;
        self.inner.store.incr(key, by).await
    }

    async fn load(&self, key: &str, ttl: Ttl, load: Loader) -> Result<Option<Bytes>> {
        check(key)?;
        let life = ttl.life()?;
        if let Some(known) = self.inner.known(key).await {
            return Ok(known);
        }
        let landing = self.inner.clone().join(key, life, load);
        land(landing).await
    }
}

impl<S: CacheStore> Inner<S> {
    /// What the cache knows; a cache that cannot be reached knows nothing.
    async fn known(&self, key: &str) -> Option<Option<Bytes>> {
        match self.store.get(key).await {
            Ok(Some(value)) => return Some(Some(value)),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(key, %error, "the cache was not read; loading");
                return None;
            }
        }
        matches!(self.store.get(&absence(key)).await, Ok(Some(_))).then_some(None)
    }

    /// Joins the load of this key that is under way, or starts one.
    fn join(self: Arc<Self>, key: &str, life: Life, load: Loader) -> watch::Receiver<Landing> {
        let mut flights = locked(&self.flights);
        if let Some(landing) = flights.get(key) {
            return landing.clone();
        }
        let (tell, landing) = watch::channel(None);
        flights.insert(key.to_owned(), landing.clone());
        let flight = Flight { inner: self.clone(), key: key.to_owned() };
        tokio::spawn(async move {
            let loaded = flight.inner.fly(&flight.key, life, load).await;
            // Gone from the table first: whoever comes later finds the cache filled.
            drop(flight);
            tell.send_replace(Some(loaded.map_err(Arc::new)));
        });
        landing
    }

    async fn fly(&self, key: &str, life: Life, load: Loader) -> Result<Option<Bytes>> {
        // Another flight may have ended between the caller's look and this one's start.
        if let Some(known) = self.known(key).await {
            return Ok(known);
        }
        let loaded = load().await?;
        let written = match &loaded {
            Some(value) => self.store.put(key, value.clone(), life, Write::Always).await,
            None => self.store.put(&absence(key), Bytes::new(), ABSENT, Write::Always).await,
        };
        if let Err(error) = written {
            tracing::debug!(key, %error, "a loaded value was not written to the cache");
        }
        Ok(loaded)
    }
}

/// Takes the load off the table, also after a panic in the loader.
struct Flight<S> {
    inner: Arc<Inner<S>>,
    key: String,
}

impl<S> Drop for Flight<S> {
    fn drop(&mut self) {
        locked(&self.inner.flights).remove(&self.key);
    }
}

async fn land(mut landing: watch::Receiver<Landing>) -> Result<Option<Bytes>> {
    let landed = landing.wait_for(Option::is_some).await;
    match landed.ok().as_deref() {
        Some(Some(Ok(value))) => Ok(value.clone()),
        Some(Some(Err(e))) => Err(Error::new(e.kind(), e.text().to_owned()).retry_as(e.retry()).because(e.clone())),
        _ => Err(Error::new(Kind::Internal, "the loader panicked")),
    }
}

fn absence(key: &str) -> String {
    format!("~{key}")
}

fn check(key: &str) -> Result<()> {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if (1..=LONGEST_KEY).contains(&key.len()) && !key.starts_with('~') && !key.contains(odd) {
        return Ok(());
    }
    Err(Error::new(Kind::BadRequest, "a cache key is 1 to 200 bytes without white space and does not begin with `~`"))
}

impl Ttl {
    /// Draws the random time. A life of nothing is refused: it would mean for ever on some servers.
    fn life(self) -> Result<Life> {
        let life = match self {
            Ttl::For(time) => Life::For(time),
            Ttl::Between(times) if times.is_empty() => Life::For(Duration::ZERO),
            Ttl::Between(times) => Life::For(rand::random_range(times)),
            Ttl::Keep => Life::Keep,
            Ttl::Forever => Life::Forever,
        };
        match life {
            Life::For(time) if time < Duration::from_millis(1) => {
                Err(Error::new(Kind::BadRequest, "a value lives 1 ms or longer"))
            }
            life => Ok(life),
        }
    }
}
