//! The page: one file, served with the addresses filled in.

use std::sync::Arc;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{Html, IntoResponse},
    routing::get,
};
use due::{Url, prelude::Cluster};
use tokio::sync::SetOnce;

const FILE: &str = include_str!("page.html");

/// The page as browsers get it. They wait for it until the addresses are known.
#[derive(Clone, Default)]
pub(crate) struct Page(Arc<SetOnce<String>>);

impl Page {
    pub(super) fn router(&self) -> Router<Cluster> {
        let page = self.0.clone();
        // The ports may be others the next time.
        let page = async move || ([(header::CACHE_CONTROL, "no-store")], Html(page.wait().await.clone()));
        let icon = async || StatusCode::NO_CONTENT.into_response();
        Router::new().route("/", get(page)).route("/favicon.ico", get(icon))
    }

    /// Fills in the port of WebSocket clients, the keys if there are some, and the address for terminals.
    pub(super) fn fill(&self, ws: &Url, tcp: &Url, keys: &str) {
        let port = ws.host().rsplit(':').next().unwrap_or_default();
        let filled = FILE.replace("{{ws-port}}", port).replace("{{keys}}", keys).replace("{{tcp}}", &tcp.to_string());
        // A second address would be a second program: the first one stands.
        let _ = self.0.set(filled);
    }
}
