//! The probe port of a process: says little, and that without a token.

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use due_core::{Error, Result, Url};
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinHandle};

use super::Side;
use crate::app::{App, Part};

/// Serves `/livez`, `/readyz` and `/startupz` on a port of their own, from the beginning of the start on.
///
/// | path | 200 | 503 |
/// |---|---|---|
/// | `/livez` | the process answers | |
/// | `/startupz` | all its parts have started | until then |
/// | `/readyz` | it takes new work | starting, emptied, stopping, or not listed by the registry: the reasons are named |
#[derive(Clone)]
pub struct Probes {
    addr: String,
}

impl Probes {
    /// `addr` is `host:port`; port 0 picks a free one, `Running::url("probes")` tells which.
    pub fn new(addr: impl fmt::Display) -> Self {
        Self { addr: addr.to_string() }
    }

    pub(crate) async fn start(self, side: Arc<Side>) -> Result<(Url, JoinHandle<()>)> {
        let wrong = |e: std::io::Error| {
            Error::config(format!("probes cannot listen on {}: {e}; choose another address", self.addr)).because(e)
        };
        let listener = TcpListener::bind(&self.addr).await.map_err(wrong)?;
        let at: SocketAddr = listener.local_addr().map_err(wrong)?;
        let router = Router::new()
            .route("/livez", get(|| async { Json(Said::default()) }))
            .route("/startupz", get(startup))
            .route("/readyz", get(ready))
            .with_state(side);
        let task = tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, router).await {
                tracing::error!(error = %e, "probes ended");
            }
        });
        Ok((Url::parse(&format!("http://{at}"))?, task))
    }
}

#[derive(Default, Serialize)]
struct Said {
    reasons: Vec<String>,
}

async fn startup(State(side): State<Arc<Side>>) -> (StatusCode, Json<Said>) {
    match side.health.has_started() {
        true => (StatusCode::OK, Json(Said::default())),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(Said { reasons: vec!["starting".to_owned()] })),
    }
}

async fn ready(State(side): State<Arc<Side>>) -> (StatusCode, Json<Said>) {
    let reasons = side.health.reasons(&side);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Said { reasons }))
}

impl Part for Probes {
    fn add_to(self, app: &mut App) {
        app.probes.push(self);
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("addr", &self.addr).finish()
    }
}
