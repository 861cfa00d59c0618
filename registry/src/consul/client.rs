//! The little of consul's HTTP API that a registry needs.

use std::time::Duration;

use due_core::{Error, Kind, Origin, Result, Retry, Url};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

/// Largest answer.
const LARGEST: usize = 64 * 1024 * 1024;
/// Longest text of an error that is shown.
const LONGEST_TEXT: usize = 512;
const CONNECT: Duration = Duration::from_secs(2);

/// A connection to one agent.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<HeaderValue>,
}

/// A list, and where a query that waits for changes goes on.
pub(super) struct Indexed<T> {
    pub(super) value: T,
    pub(super) index: u64,
}

impl Client {
    /// Connects when it is first used. Errors: `Config`.
    pub(super) fn new(url: &Url, token: Option<&str>) -> Result<Self> {
        let base = format!("http://{}/v1/", agent(url)?);
        // A proxy of the environment is for the web, not for the agent.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT).pool_max_idle_per_host(8);
        let http = http.redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|e| Error::config(format!("{url}: {e}")))?;
        let header = |token: &str| {
            let mut value = HeaderValue::from_str(token)
                .map_err(|_| Error::config(format!("{url}: no token: printable characters only")))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        Ok(Self { http, base, token: token.map(header).transpose()? })
    }

    /// A list of the servers.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Indexed<T>> {
        let request = || self.request(Method::GET, path, limit).query(query);
        let response = match self.send(request()).await {
            // A connection that was kept had been closed meanwhile. Asking again does no harm.
            Err(e) if e.kind() == Kind::Unavailable && e.retry() == Retry::Unknown => self.send(request()).await?,
            answer => answer?,
        };
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        if header("x-consul-results-filtered-by-acls") == Some("true") {
            return Err(
                self.error(Kind::Forbidden, "the token may not read all of it: give it service:read and node:read")
            );
        }
        let index = header("x-consul-index").and_then(|text| text.parse().ok());
        let index = index
            .ok_or_else(|| self.error(Kind::Malformed, "an answer without X-Consul-Index").retry_as(Retry::Unknown))?;
        let bytes = self.body(response, LARGEST).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|e| self.error(Kind::Malformed, "not the list that was asked for").because(e))?;
        Ok(Indexed { value, index })
    }

    /// Tells the agent something; `false` if it does not know what this is about.
    pub(super) async fn put(&self, path: &str, body: Option<&impl Serialize>, limit: Duration) -> Result<bool> {
        let request = self.request(Method::PUT, path, limit);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        match self.send(request).await {
            Ok(response) => self.body(response, LARGEST).await.map(|_| true),
            Err(e) if e.kind() == Kind::Gone => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn request(&self, method: Method, path: &str, limit: Duration) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base)).timeout(limit);
        match &self.token {
            Some(token) => request.header("X-Consul-Token", token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|e| self.broken(e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = self.body(response, LONGEST_TEXT).await.unwrap_or_default();
        Err(self.refused(status, String::from_utf8_lossy(&text).trim()))
    }

    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
            if bytes.len() + chunk.len() > limit {
                return Err(self.error(Kind::TooLarge, format!("an answer of over {limit} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The request did not come through, or no answer came back.
    fn broken(&self, e: reqwest::Error) -> Error {
        // The URL is named once, by us.
        let e = e.without_url();
        match (e.is_connect(), e.is_timeout()) {
            (true, _) => {
                self.error(Kind::Unavailable, "the agent does not answer: start it, or correct the host").because(e)
            }
            (_, true) => self.error(Kind::Timeout, "the agent did not answer in time").because(e),
            _ => self.error(Kind::Unavailable, "the connection to the agent broke").retry_as(Retry::Unknown).because(e),
        }
    }

    fn refused(&self, status: StatusCode, text: &str) -> Error {
        let says = format!("consul says {}: {text}", status.as_u16());
        match status {
            StatusCode::NOT_FOUND => self.error(Kind::Gone, says),
            StatusCode::UNAUTHORIZED => self.error(Kind::Unauthorized, format!("{says}: correct the token")),
            StatusCode::FORBIDDEN if text.contains("ACL not found") => {
                self.error(Kind::Unauthorized, format!("{says}: correct the token"))
            }
            StatusCode::FORBIDDEN => self.error(Kind::Forbidden, format!("{says}: give the token that permission")),
            StatusCode::PAYLOAD_TOO_LARGE => self.error(Kind::TooLarge, says),
            s if s.is_client_error() && s != StatusCode::TOO_MANY_REQUESTS => self.error(Kind::BadRequest, says),
            _ => self.error(Kind::Unavailable, says).retry_as(Retry::Unknown),
        }
    }

    fn error(&self, kind: Kind, text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(kind, text).from_origin(Origin::Remote).context("agent", &self.base)
    }
}

/// `host:port` of the one agent.
fn agent(url: &Url) -> Result<String> {
    let [host] = url.hosts() else {
        let count = url.hosts().len();
        return Err(Error::config(format!(
            "{count} hosts in {url}: name one agent, as in consul://127.0.0.1:8500/namespace"
        )));
    };
    if url.user().is_some() {
        return Err(Error::config(format!("a user in {url}: consul knows tokens: write ?token=..")));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse::<u16>().ok().filter(|p| *p > 0)),
        _ => (host.as_str(), Some(8500)),
    };
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    let port = port.filter(|_| good).ok_or_else(|| Error::config(format!("{host:?} in {url}: write host:8500")))?;
    Ok(format!("{name}:{port}"))
}
