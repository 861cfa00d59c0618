//! Which backends are compiled in: a value, never a global.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    bus::{self, EventBus},
    cache::{self, Cache},
    config::{self, ConfigSource},
    error::{Error, Result},
    locate::{self, Locator},
    lock::{self, Lock},
    net::{self, Network},
    registry::{self, Registry},
    transport::{self, Transport},
    url::Url,
};

type Open<T> = Arc<dyn Fn(Url) -> Pin<Box<dyn Future<Output = Result<Arc<T>>> + Send>> + Send + Sync>;

/// The backends of one contract by URL scheme.
pub struct Table<T: ?Sized> {
    contract: &'static str,
    open: BTreeMap<&'static str, Open<T>>,
}

impl<T: ?Sized> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { contract: self.contract, open: self.open.clone() }
    }
}

impl<T: ?Sized + 'static> Table<T> {
    fn new(contract: &'static str) -> Self {
        Self { contract, open: BTreeMap::new() }
    }

    /// Adds a backend; a later one of the same scheme replaces the earlier.
    pub fn add<F, Fut>(&mut self, scheme: &'static str, open: F)
    where
        F: Fn(Url) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<T>>> + Send + 'static,
    {
        self.open.insert(scheme, Arc::new(move |url| Box::pin(open(url))));
    }

    /// Opens the backend that the scheme names. An unknown scheme is a `Config` error that lists what is compiled in.
    pub async fn open(&self, url: &Url) -> Result<Arc<T>> {
        match self.open.get(url.scheme()) {
            Some(open) => open(url.clone()).await,
            None => Err(Error::config(format!(
                "no {} backend for `{}://` is compiled in; there are: {}",
                self.contract,
                url.scheme(),
                self.schemes().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The schemes compiled in.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.open.keys().copied()
    }
}

/// One table per contract. Two values share nothing, so two applications in one process do not meet.
#[derive(Clone)]
pub struct Drivers {
    /// Client sockets.
    pub network: Table<dyn Network>,
    /// Links between servers.
    pub transport: Table<dyn Transport>,
    /// Who is alive.
    pub registry: Table<dyn Registry>,
    /// Who is bound where.
    pub locator: Table<dyn Locator>,
    /// Who should hear.
    pub eventbus: Table<dyn EventBus>,
    /// Live settings.
    pub config: Table<dyn ConfigSource>,
    /// Locks.
    pub lock: Table<dyn Lock>,
    /// Caches.
    pub cache: Table<dyn Cache>,
}

impl Drivers {
    /// The memory backends, on a hub of their own: all parts of one process that open `memory://` meet there.
    pub fn memory() -> Self {
        Self {
            network: one("network", Arc::new(net::memory::Memory::default())),
            transport: one("transport", Arc::new(transport::memory::Memory::default())),
            registry: one("registry", Arc::new(registry::memory::registry())),
            locator: one("locator", Arc::new(locate::memory::Memory::default())),
            eventbus: one("eventbus", Arc::new(bus::memory::Memory::default())),
            config: one("config", Arc::new(config::memory::Memory::default())),
            lock: one("lock", Arc::new(lock::memory::Memory::default())),
            cache: one("cache", Arc::new(cache::memory::Memory::default())),
        }
    }

    /// Adds a user's own registry in one line.
    #[must_use]
    pub fn registry<F, Fut>(mut self, scheme: &'static str, open: F) -> Self
    where
        F: Fn(Url) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn Registry>>> + Send + 'static,
    {
        self.registry.add(scheme, open);
        self
    }
}

fn one<T: ?Sized + Send + Sync + 'static>(contract: &'static str, backend: Arc<T>) -> Table<T> {
    let mut table = Table::new(contract);
    table.add("memory", move |_| {
        let backend = backend.clone();
        async move { Ok(backend) }
    });
    table
}

impl fmt::Debug for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drivers")
            .field("network", &self.network.schemes().collect::<Vec<_>>())
            .field("transport", &self.transport.schemes().collect::<Vec<_>>())
            .field("registry", &self.registry.schemes().collect::<Vec<_>>())
            .field("locator", &self.locator.schemes().collect::<Vec<_>>())
            .field("eventbus", &self.eventbus.schemes().collect::<Vec<_>>())
            .field("config", &self.config.schemes().collect::<Vec<_>>())
            .field("lock", &self.lock.schemes().collect::<Vec<_>>())
            .field("cache", &self.cache.schemes().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_scheme_names_itself_and_lists_what_is_there() {
        let Err(e) = Drivers::memory().registry.open(&Url::parse("etcd://a:1").unwrap()).await else {
            panic!("opened")
        };
        assert!(e.to_string().contains("etcd") && e.to_string().contains("memory"), "{e}");
    }
}
