//! The application as its author describes it.

use std::{collections::BTreeMap, fmt};

use due_core::{Drivers, Result, Url};

use super::{Running, Shards, start};
use crate::{gate::Gate, mesh::Mesh, node::Node};

/// Something an application is made of.
pub trait Part {
    /// Puts itself into the application.
    fn add_to(self, app: &mut App);
}

/// A due application: parts, backends, and how they run.
///
/// Without URLs everything is in memory and in this process. `App::new` never looks at the command line or the
/// environment.
pub struct App {
    pub(crate) drivers: Drivers,
    pub(crate) shards: Shards,
    pub(crate) shared: bool,
    pub(crate) gates: Vec<Gate>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) meshes: Vec<Mesh>,
    #[cfg(feature = "http")]
    pub(crate) https: Vec<crate::http::Http>,
    #[cfg(feature = "http")]
    pub(crate) probes: Vec<crate::admin::Probes>,
    pub(crate) besides: Vec<Box<dyn crate::admin::Beside>>,
    /// Live settings that the program uses, by key.
    pub(crate) settings: Vec<(String, Box<dyn crate::admin::setting::Setting>)>,
    /// What values of settings look like, by key.
    pub(crate) schemas: Vec<(String, String)>,
    pub(crate) urls: Urls,
    /// What the program was told at start, not taken yet.
    pub(crate) args: Vec<Result<due_core::boot::Settings>>,
    /// How long [`App::run`] gives the parts to stop.
    pub(crate) drain: std::time::Duration,
    /// Hooks and weights of the nodes once they are described.
    pub(crate) hooks: Vec<start::Hooks>,
}

/// The URLs of the backends.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    pub(crate) registry: String,
    pub(crate) locator: String,
    pub(crate) eventbus: String,
    pub(crate) config: String,
    pub(crate) lock: String,
    pub(crate) cache: String,
    pub(crate) transport: String,
}

/// The same, read.
pub(crate) struct ParsedUrls {
    pub(crate) registry: Url,
    pub(crate) locator: Url,
    pub(crate) eventbus: Url,
    pub(crate) config: Url,
    pub(crate) lock: Url,
    pub(crate) cache: Url,
    pub(crate) transport: Url,
}

impl Urls {
    /// What the backends are, without where they are: `registry` is `etcd`.
    pub(crate) fn schemes(&self) -> BTreeMap<&'static str, String> {
        let all = [
            ("registry", &self.registry),
            ("locator", &self.locator),
            ("eventbus", &self.eventbus),
            ("config", &self.config),
            ("lock", &self.lock),
            ("cache", &self.cache),
            ("transport", &self.transport),
        ];
        all.map(|(name, url)| (name, url.split("://").next().unwrap_or_default().to_owned())).into()
    }

    pub(crate) fn parsed(&self) -> Result<ParsedUrls> {
        Ok(ParsedUrls {
            registry: Url::parse(&self.registry)?,
            locator: Url::parse(&self.locator)?,
            eventbus: Url::parse(&self.eventbus)?,
            config: Url::parse(&self.config)?,
            lock: Url::parse(&self.lock)?,
            cache: Url::parse(&self.cache)?,
            transport: Url::parse(&self.transport)?,
        })
    }
}

impl Default for Urls {
    fn default() -> Self {
        let memory = || "memory://".to_owned();
        Self {
            registry: memory(),
            locator: memory(),
            eventbus: memory(),
            config: memory(),
            lock: memory(),
            cache: memory(),
            transport: memory(),
        }
    }
}

macro_rules! url {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, url: impl Into<String>) -> Self {
            self.urls.$name = url.into();
            self
        }
    )*};
}

impl App {
    /// An application with these backends compiled in.
    pub fn new(drivers: Drivers) -> Self {
        Self {
            drivers,
            shards: Shards::PerCore,
            shared: false,
            gates: Vec::new(),
            nodes: Vec::new(),
            meshes: Vec::new(),
            #[cfg(feature = "http")]
            https: Vec::new(),
            #[cfg(feature = "http")]
            probes: Vec::new(),
            besides: Vec::new(),
            settings: Vec::new(),
            schemas: Vec::new(),
            urls: Urls::default(),
            args: Vec::new(),
            drain: super::running::STOP_LIMIT,
            hooks: Vec::new(),
        }
    }

    /// Adds a part.
    #[must_use]
    pub fn with(mut self, part: impl Part) -> Self {
        part.add_to(&mut self);
        self
    }

    /// Where the shards run.
    #[must_use]
    pub fn shards(mut self, shards: Shards) -> Self {
        self.shards = shards;
        self
    }

    /// Puts gate and node on the same shards: a handler runs on its connection's thread, without a hop. Right for
    /// handlers that never take long; a slow one holds the connections of its shard.
    #[must_use]
    pub fn shared_shards(mut self) -> Self {
        self.shared = true;
        self
    }

    url! {
        /// Who is alive: `memory://` by default.
        registry
        /// Who is bound where.
        locator
        /// Events.
        eventbus
        /// Live settings.
        config
        /// Locks.
        lock
        /// Caches.
        cache
        /// Links between servers.
        transport
    }

    /// Runs until SIGINT or SIGTERM, then stops within 30 s, or what the setting `drain` says.
    pub async fn run(self) -> Result<()> {
        let mut asked = std::pin::pin!(super::running::signal());
        let running = tokio::select! {
            started = self.start() => started?,
            ended = &mut asked => return ended,
        };
        asked.await?;
        let limit = running.stop_limit();
        running.stop(limit).await
    }

    /// Starts and returns when all listeners accept. Takes no signals: for embedding and tests. Call it inside a tokio
    /// runtime; backends, HTTP and blocking handlers run there.
    ///
    /// Errors name what is wrong and where: a busy port, two routes of one number, a route that a listener is too
    /// narrow for, an unknown URL scheme.
    pub async fn start(self) -> Result<Running> {
        start::start(self).await
    }
}

impl Part for Gate {
    fn add_to(self, app: &mut App) {
        app.gates.push(self);
    }
}

impl Part for Node {
    fn add_to(self, app: &mut App) {
        app.nodes.push(self);
    }
}

impl Part for Mesh {
    fn add_to(self, app: &mut App) {
        app.meshes.push(self);
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("gates", &self.gates).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
