//! The `Mesh` part: stateless services that others call by name.

use std::{fmt, time::Duration};

use due_core::{
    Error, Owner, Result, Url,
    mesh::{SERVICES, Served, Service},
    registry::{Instance, InstanceKind, Registration, State},
};
use tokio::time::Instant;

use crate::cluster::Cluster;

/// A mesh: services of tonic, of tarpc or of whatever implements [`Service`], listed under one name.
///
/// It is an instance of its own in the registry, with an id, a state and a weight, and calls find it there: by
/// `discovery://` and its name, or the full name of one of its gRPC services. It is listed when it serves. A stop of the
/// application tells callers to go elsewhere, lets the calls that run end, and then takes it off the list.
///
/// ```
/// # use due_core::{Result, Url, mesh::{Served, Service}};
/// use due_cluster::{App, Cluster, Mesh};
///
/// # struct Dice;
/// # #[async_trait::async_trait]
/// # impl Service for Dice {
/// #     async fn listen(self: Box<Self>, url: &Url) -> Result<Box<dyn Served>> { Err(due_core::Error::config("no dice here")) }
/// # }
/// # fn dice(cluster: Cluster) -> Dice { Dice }
/// // `dice` makes a service of `due::grpc::service(..)` or `due::tarpc::service(..)`; it may keep the cluster.
/// let mesh = Mesh::new("dice").weight(2).serve("grpc://127.0.0.1:0", dice);
/// let app = App::new(due_core::Drivers::memory()).with(mesh);
/// ```
pub struct Mesh {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) weight: u32,
    services: Vec<(String, Make)>,
}

/// Makes a service that may use the cluster.
type Make = Box<dyn FnOnce(Cluster) -> Box<dyn Service> + Send>;

impl Mesh {
    /// A mesh of this name; several instances may share it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), id: None, weight: 1, services: Vec::new() }
    }

    /// The id in the registry; made up at start if not given.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The share of the calls beside others of its name; 0 takes none.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Serves what `make` makes at `url`; port 0 picks a free one, and `Running::url` with the name of the mesh tells
    /// which. Services of several protocols stand side by side, each at its own address.
    #[must_use]
    pub fn serve<S: Service>(
        mut self,
        url: impl Into<String>,
        make: impl FnOnce(Cluster) -> S + Send + 'static,
    ) -> Self {
        self.services.push((url.into(), Box::new(|cluster| Box::new(make(cluster)))));
        self
    }

    /// Lets the service of this scheme listen at `url` instead.
    pub(crate) fn move_to(&mut self, url: &str) -> Result<()> {
        let scheme = Url::parse(url)?.scheme().to_owned();
        let of_scheme = |at: &str| Url::parse(at).is_ok_and(|at| at.scheme() == scheme);
        match self.services.iter_mut().find(|(at, _)| of_scheme(at)) {
            Some((at, _)) => url.clone_into(at),
            None => {
                let name = &self.name;
                return Err(Error::config(format!(
                    "mesh.{name}.listen: this program has no service of {scheme}:// there: take the address out"
                )));
            }
        }
        Ok(())
    }

    /// Serves and lists it.
    pub(crate) async fn start(self, owner: Owner, cluster: &Cluster) -> Result<Serving> {
        let mut instance = Instance::new(InstanceKind::Mesh, owner.id, self.name.clone());
        (instance.incarnation, instance.state, instance.weight) = (owner.incarnation, State::Work, self.weight);
        let (mut services, mut names) = (Vec::new(), Vec::new());
        for (url, make) in self.services {
            let listening = make(cluster.clone()).listen(&Url::parse(&url)?).await;
            let served = listening.map_err(|e| e.context("mesh", &self.name))?;
            instance.endpoints.push(served.endpoint().to_string());
            names.extend(served.names().iter().cloned());
            services.push(served);
        }
        if !names.is_empty() {
            instance.labels.insert(SERVICES.to_owned(), names.join(","));
        }
        let registration = cluster.registry().register(instance).await?;
        Ok(Serving { name: self.name, services, registration })
    }
}

/// A mesh that runs.
pub(crate) struct Serving {
    pub(crate) name: String,
    pub(crate) services: Vec<Box<dyn Served>>,
    pub(crate) registration: Registration,
}

/// Lets the calls of services end; what had not ended at `until`.
pub(crate) async fn close(services: Vec<(String, Box<dyn Served>)>, until: Instant) -> Vec<String> {
    let closing = services.into_iter().map(|(name, service)| async move {
        let limit = until.saturating_duration_since(Instant::now()).max(SHORTEST);
        service.close(limit).await.err().map(|error| format!("calls of the mesh {name}: {error}"))
    });
    futures_util::future::join_all(closing).await.into_iter().flatten().collect()
}

/// What a service gets to end in even if the time is over.
const SHORTEST: Duration = Duration::from_millis(10);

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("name", &self.name).field("weight", &self.weight).finish_non_exhaustive()
    }
}
