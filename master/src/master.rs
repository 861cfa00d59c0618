//! The master as a part of an application.

use std::{fmt, io::Write, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use due_cluster::{
    App, Part,
    admin::{Admin, Beside, Started},
};
use due_core::{
    Error, Result, Url,
    config::{ConfigSource, memory},
    registry::{Instance, InstanceKind},
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    api::{Api, Inner},
    audit::{self, Audit, Sink},
    auth::{Approvals, Blocks, Policy, Rates, Roles, Tokens},
    events::Events,
    http,
    members::Members,
    settings,
    totals::{self, Told},
};

/// An API for people beside the parts of an application, or alone in a process of a fleet.
///
/// It keeps nothing that the fleet needs: any number of them run, and without one nobody plays less. Tokens stand hashed
/// in the source of live settings, where all masters find them; the audit log is each master's own.
///
/// ```no_run
/// # use due_cluster::App;
/// # use due_core::Drivers;
/// use due_master::Master;
///
/// let app = App::new(Drivers::memory()).with(Master::new().listen("127.0.0.1:7080"));
/// ```
#[must_use = "give it to App::with"]
pub struct Master {
    id: Option<String>,
    listen: String,
    read_only: bool,
    rate: u32,
    guard: String,
    audit: Box<dyn Sink>,
    announce: Announce,
}

type Announce = Box<dyn FnOnce(&str) + Send>;

impl Master {
    /// A master on a free port of this machine, whose audit log ends with the process. The token of its first start is
    /// written to standard error.
    pub fn new() -> Self {
        Self {
            id: None,
            listen: "127.0.0.1:0".to_owned(),
            read_only: false,
            rate: 50,
            guard: String::new(),
            audit: Box::new(audit::Memory::default()),
            announce: Box::new(|token| {
                let _ = writeln!(std::io::stderr(), "the master's first token, shown this once: {token}");
            }),
        }
    }

    /// The id in the registry; made up at start if not given.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Where it listens: `host:port` of this very machine, as there is no TLS yet. `Running::url("master")` tells the
    /// real port.
    pub fn listen(mut self, addr: impl fmt::Display) -> Self {
        self.listen = addr.to_string();
        self
    }

    /// Refuses everything that changes something.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// How many requests a second a token may make; twice as many at once.
    pub fn rate(mut self, per_second: u32) -> Self {
        self.rate = per_second;
        self
    }

    /// What waits until a second person has approved it, such as `kick_all=approve,config=approve`: of `kick_all`, `broadcast`,
    /// `drain`, `config`, `roles` and `tokens`. Nothing by default; a wrong word ends the start.
    pub fn guard(mut self, policy: impl Into<String>) -> Self {
        self.guard = policy.into();
        self
    }

    /// Where the audit log goes, such as [`audit::File`].
    pub fn audit(mut self, sink: impl Sink) -> Self {
        self.audit = Box::new(sink);
        self
    }

    /// What is done with the token of the first start, instead of showing it.
    pub fn announce(mut self, tell: impl FnOnce(&str) + Send + 'static) -> Self {
        self.announce = Box::new(tell);
        self
    }
}

impl Default for Master {
    fn default() -> Self {
        Self::new()
    }
}

impl Part for Master {
    fn add_to(self, app: &mut App) {
        app.beside(self);
    }
}

#[async_trait]
impl Beside for Master {
    async fn start(self: Box<Self>, admin: Admin) -> Result<Started> {
        let policy = Policy::parse(&self.guard)?;
        let (listener, addr) = bind(&self.listen).await?;
        let source = token_source(&admin);
        let (tokens, roles) = (Tokens::new(source.clone()), Roles::new(source.clone()));
        let approvals = Approvals::new(source);
        if let Some(token) = tokens.first().await? {
            (self.announce)(&token);
        }
        let url = Url::parse(&format!("http://{addr}"))?;
        let id = self.id.unwrap_or_else(|| format!("master-{:08x}", rand::random::<u32>()));
        let mut instance = Instance::new(InstanceKind::Master, id.clone(), "master");
        instance.endpoints = vec![url.to_string()];
        let (mut tasks, events, binds) = (JoinSet::new(), Events::default(), Events::default());
        let fleet = Members::follow(admin.cluster().registry(), &mut tasks, &events).await?;
        tasks.spawn(settings::settings(admin.cluster().config().clone(), events.clone()));
        let told = Told { events: events.clone(), binds: binds.clone() };
        tasks.spawn(totals::follow(admin.clone(), fleet.clone(), told));
        let registration = admin.cluster().registry().register(instance).await?;
        let audit = Audit::open(self.audit).await?;
        let (rates, read_only) = (Rates::new(self.rate), self.read_only);
        let (remembered, broadcasts, pace) = Default::default();
        let blocks = Blocks::new(admin.cluster().config().clone());
        let api = Api::new(Inner {
            admin,
            fleet,
            tokens,
            roles,
            approvals,
            policy,
            blocks,
            rates,
            audit,
            remembered,
            events,
            binds,
            broadcasts,
            pace,
            read_only,
            id,
        });
        let router = http::router(&api);
        let task = tokio::spawn(async move {
            let _tasks = tasks;
            http::serve(listener, router).await;
        });
        Ok(Started { name: "master".to_owned(), url, task, registration: Some(registration) })
    }
}

async fn bind(at: &str) -> Result<(TcpListener, SocketAddr)> {
    let failed = |e: std::io::Error| {
        Error::config(format!("the master cannot listen on {at}: {e}; choose another address")).because(e)
    };
    for addr in tokio::net::lookup_host(at).await.map_err(failed)? {
        if !addr.ip().is_loopback() {
            return Err(Error::config(format!(
                "the master cannot listen on {at}: without TLS it serves its own machine only; write 127.0.0.1:PORT, and \
                 reach it from elsewhere by a tunnel"
            )));
        }
    }
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

/// Where tokens are kept: in live settings, if they can be written.
fn token_source(admin: &Admin) -> Arc<dyn ConfigSource> {
    let config = admin.cluster().config();
    if config.capability().writable {
        return config.clone();
    }
    tracing::warn!("the source of live settings cannot be written: the tokens of this master end with it");
    Arc::new(memory::Memory::default())
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").field("id", &self.id).field("listen", &self.listen).finish_non_exhaustive()
    }
}
