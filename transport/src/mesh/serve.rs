//! The serving side: a port, and a place in the registry.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use due_core::{
    Error, Kind, Result, Url,
    mesh::Served,
    registry::{Instance, InstanceKind, Registration, Registry},
};
use serde::Deserialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::{SERVICES, target::addresses};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    /// Listen off loopback without TLS.
    insecure: bool,
    /// The `host` or `host:port` that others should dial.
    advertise: Option<String>,
}

/// Serves until it is dropped or closed. Dropping takes no new connections and lets calls end in the background.
#[must_use = "dropping it ends the serving"]
pub struct Serving {
    endpoint: Url,
    names: Vec<String>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    registration: Option<Registration>,
}

impl Serving {
    pub(crate) fn new(endpoint: Url, stop: watch::Sender<bool>, task: JoinHandle<()>) -> Self {
        Self { endpoint, names: Vec::new(), stop, task: Some(task), registration: None }
    }

    /// Found under these names as well.
    #[cfg(feature = "grpc")]
    pub(crate) fn named(mut self, names: Vec<String>) -> Self {
        self.names = names;
        self
    }

    /// The address for others, with the real port.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The entry in the registry, to change state or weight; none if it was only listened.
    pub fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    /// Lists the server as `instance`: its endpoint is added, its names are put under the label [`SERVICES`]. Errors: a
    /// `Config` error unless the instance is a mesh, and those of [`Registry::register`].
    pub(crate) async fn register(mut self, registry: &dyn Registry, instance: Instance) -> Result<Self> {
        let instance = listing(instance, &self.endpoint, &self.names)?;
        self.registration = Some(registry.register(instance).await?);
        Ok(self)
    }

    /// Deregisters, takes no new connections and waits until calls that run have ended, at most `limit`. Errors: those
    /// of the registry, and `Timeout` if calls still ran.
    pub async fn close(mut self, limit: Duration) -> Result<()> {
        let gone = match self.registration.take() {
            Some(registration) => registration.close().await,
            None => Ok(()),
        };
        self.stop.send_replace(true);
        let Some(mut task) = self.task.take() else { return gone };
        if tokio::time::timeout(limit, &mut task).await.is_err() {
            task.abort();
            return Err(Error::new(Kind::Timeout, "calls still ran").context("url", &self.endpoint));
        }
        gone
    }
}

#[async_trait]
impl Served for Serving {
    fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    async fn close(self: Box<Self>, limit: Duration) -> Result<()> {
        (*self).close(limit).await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// `instance` with the endpoint and the services.
fn listing(mut instance: Instance, endpoint: &Url, services: &[String]) -> Result<Instance> {
    if instance.kind != InstanceKind::Mesh {
        return Err(Error::config(format!(
            "{} is a {}: calls by name go to instances of the kind mesh",
            instance.id, instance.kind
        )));
    }
    instance.endpoints.push(endpoint.to_string());
    if !services.is_empty() {
        instance.labels.insert(SERVICES.to_owned(), services.join(","));
    }
    Ok(instance)
}

/// A bound port and the address to give to others.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) endpoint: Url,
}

impl Bound {
    /// Binds `scheme://host:port?insecure=on&advertise=host`. Errors: `Config` for a busy address, for one off loopback
    /// without `insecure`, for a wildcard that nothing is advertised for, and for another scheme.
    pub(crate) async fn at(url: &Url, scheme: &str) -> Result<Self> {
        if url.scheme() != scheme {
            return Err(Error::config(format!(
                "{url}: nobody would find this service there: write {scheme}://host:port"
            )));
        }
        let keys: Keys = url.query()?;
        let places = addresses(url.host(), keys.insecure, url).await?;
        let listener = TcpListener::bind(&*places)
            .await
            .map_err(|e| Error::config(format!("{url} cannot be listened at: choose another address")).because(e))?;
        let own = listener.local_addr().map_err(|e| Error::from(Kind::Internal).because(e))?;
        let endpoint = url.without(&["insecure", "advertise"]).with_host(advertised(url, keys.advertise, own)?);
        Ok(Self { listener, endpoint })
    }
}

fn advertised(url: &Url, advertise: Option<String>, own: SocketAddr) -> Result<String> {
    match advertise {
        Some(host) if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => Ok(host),
        Some(host) => Ok(format!("{host}:{}", own.port())),
        None if own.ip().is_unspecified() => Err(Error::config(format!(
            "{url} listens at every address and others need one to dial: add `advertise=host` to the URL"
        ))),
        None => Ok(own.to_string()),
    }
}

/// The next connection, with small writes sent at once. When the process has no file descriptors left it tries again
/// instead of spinning.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A connection that is gone already shows it at the first read.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
