//! The `Http` part: an axum router beside gates and nodes, with the cluster as its state.

use std::fmt;

use axum::{Router, serve::ListenerExt};
use due_core::{Error, Result, Url};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    app::{App, Part},
    cluster::Cluster,
};

/// Serves an axum router; its handlers take `State<Cluster>`.
pub struct Http {
    addr: String,
    router: Router<Cluster>,
}

impl Http {
    /// `addr` is `host:port`; port 0 picks a free one, `Running::url("http")` tells which.
    pub fn new(addr: impl fmt::Display, router: Router<Cluster>) -> Self {
        Self { addr: addr.to_string(), router }
    }

    pub(crate) async fn start(self, cluster: Cluster) -> Result<(String, Url, JoinHandle<()>)> {
        let listener = TcpListener::bind(&self.addr).await.map_err(|e| {
            Error::config(format!("http cannot listen on {}: {e}; choose another address", self.addr)).because(e)
        })?;
        let addr = listener.local_addr().map_err(|e| Error::config("http has no address").because(e))?;
        // Small answers must not wait for the acknowledgement of the one before.
        let listener = listener.tap_io(|socket| {
            let _ = socket.set_nodelay(true);
        });
        let router = self.router.with_state(cluster);
        let task = tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, router).await {
                tracing::error!(error = %e, "http ended");
            }
        });
        Ok(("http".to_owned(), Url::parse(&format!("http://{addr}"))?, task))
    }
}

impl Part for Http {
    fn add_to(self, app: &mut App) {
        app.https.push(self);
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("addr", &self.addr).finish_non_exhaustive()
    }
}
