//! Serving users' own tonic services.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{
    Result, Url,
    mesh::{self, Served},
    registry::{Instance, Registry},
};
use futures_util::{Stream, stream};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tonic::{body::Body, server::NamedService, service::Routes, transport::Server};
use tower_service::Service;

use super::{connection::Http2, counted::Counted};
use crate::mesh::{Bound, Connect, Serving, accept};

/// Connections that one server keeps at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// Calls that may run at once on one connection.
const STREAMS: u32 = 1024;
/// A peer that is silent for that long is asked, and given up when it does not answer for as long again.
const SILENCE: Duration = Duration::from_secs(4);

/// Services to serve together on one port.
pub struct Services {
    routes: Routes,
    names: Vec<String>,
}

/// A generated server, to be served; [`Services::and`] adds more.
pub fn service<S>(server: S) -> Services
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: NamedService + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Services { routes: Routes::new(server), names: vec![S::NAME.to_owned()] }
}

impl Services {
    /// Serves `server` as well.
    #[must_use]
    pub fn and<S>(mut self, server: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(server);
        self.names.push(S::NAME.to_owned());
        self
    }

    /// The full names of the services.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Serves at `grpc://host:port` without telling a registry: for who lists the endpoint on their own, or calls it by
    /// `direct://`. Runs on the caller's runtime. Errors: `Config` for an address that is busy or refused.
    pub async fn listen(self, url: &Url) -> Result<Serving> {
        let bound = Bound::at(url, Http2::SCHEME).await?;
        let (stop, stopped) = watch::channel(false);
        let server = Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_keepalive_interval(Some(SILENCE))
            .http2_keepalive_timeout(Some(SILENCE))
            .add_routes(self.routes);
        let (endpoint, incoming) = (bound.endpoint, incoming(bound.listener));
        let task = tokio::spawn(async move {
            if let Err(e) = server.serve_with_incoming_shutdown(incoming, ended(stopped)).await {
                tracing::warn!(error = %e, "a grpc server ended");
            }
        });
        Ok(Serving::new(endpoint, stop, task).named(self.names))
    }

    /// Serves at `grpc://host:port` and lists `instance` (a mesh) with this endpoint and the names of the services.
    /// Errors: those of [`Self::listen`] and of [`Registry::register`], and then nothing is served.
    pub async fn serve(self, registry: &dyn Registry, url: &Url, instance: Instance) -> Result<Serving> {
        self.listen(url).await?.register(registry, instance).await
    }
}

#[async_trait]
impl mesh::Service for Services {
    async fn listen(self: Box<Self>, url: &Url) -> Result<Box<dyn Served>> {
        Ok(Box::new((*self).listen(url).await?))
    }
}

async fn ended(mut stopped: watch::Receiver<bool>) {
    // Without its sender nobody serves any more.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn incoming(listener: TcpListener) -> impl Stream<Item = Result<Counted, Infallible>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    stream::unfold((listener, places), |(listener, places)| async move {
        let place = places.clone().acquire_owned().await.ok()?;
        let stream = accept(&listener).await;
        Some((Ok(Counted { stream, _place: place }), (listener, places)))
    })
}
