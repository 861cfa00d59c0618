//! The little of consul's HTTP API that settings need.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use due_core::{Error, Kind, Origin, Result, Retry, Url};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::HeaderValue};
use serde::{Deserialize, Serialize};

/// Largest answer: a list of 64 MiB in base64, and what stands between.
const LARGEST: usize = 96 * 1024 * 1024;
/// Largest text of an error.
const LONGEST_TEXT: usize = 4096;
const CONNECT: Duration = Duration::from_secs(2);
/// Longest time of a request that does not wait for anything.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a query waits for a change. Consul adds up to a sixteenth.
const WAIT: &str = "5s";
const WAITED: Duration = Duration::from_secs(8);

/// A connection to one agent.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<HeaderValue>,
}

/// Pairs of the store, and where a query that waits for changes goes on.
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    pub(super) index: u64,
}

/// One pair of the store.
#[derive(Debug, Deserialize)]
pub(super) struct Pair {
    #[serde(rename = "Key")]
    pub(super) key: String,
    #[serde(rename = "ModifyIndex")]
    pub(super) version: u64,
    /// Base64; nothing for an empty value.
    #[serde(rename = "Value", default)]
    value: Option<String>,
}

/// What a transaction does, in this order or not at all.
#[derive(Debug, Serialize)]
#[serde(tag = "Verb", rename_all = "kebab-case")]
pub(super) enum Step<'a> {
    Set {
        #[serde(rename = "Key")]
        key: &'a str,
        #[serde(rename = "Value")]
        value: &'a str,
    },
    /// 0: only if the key is absent.
    Cas {
        #[serde(rename = "Key")]
        key: &'a str,
        #[serde(rename = "Value")]
        value: &'a str,
        #[serde(rename = "Index")]
        version: u64,
    },
    CheckIndex {
        #[serde(rename = "Key")]
        key: &'a str,
        #[serde(rename = "Index")]
        version: u64,
    },
    CheckNotExists {
        #[serde(rename = "Key")]
        key: &'a str,
    },
    Delete {
        #[serde(rename = "Key")]
        key: &'a str,
    },
}

/// What a transaction did.
pub(super) enum Done {
    /// All of it; the version of the key that it wrote, if it wrote one.
    Version(Option<u64>),
    /// Nothing: a key was not as expected.
    Refused,
}

impl Pair {
    pub(super) fn value(&self) -> Option<Bytes> {
        BASE64_STANDARD.decode(self.value.as_deref().unwrap_or_default()).ok().map(Bytes::from)
    }
}

impl Client {
    /// Connects when it is first used. Errors: `Config`.
    pub(super) fn new(url: &Url, token: Option<&str>) -> Result<Self> {
        let base = format!("http://{}/v1/", agent(url)?);
        // A proxy of the environment is for the web, not for the agent. A kept connection may be a dead one, and a write on
        // it has an unknown end: questions are few, each opens its own.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT).pool_max_idle_per_host(0);
        let http = http.redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|e| Error::config(format!("{url}: {e}")))?;
        let header = |token: &str| {
            let no_token = |_| Error::config(format!("{url}: no token: printable characters only"));
            let mut value = HeaderValue::from_str(token).map_err(no_token)?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        Ok(Self { http, base, token: token.map(header).transpose()? })
    }

    /// One key; none if it is absent.
    pub(super) async fn get(&self, key: &str) -> Result<Pairs> {
        self.pairs(&format!("kv/{key}"), &[("consistent", "")], REQUEST).await
    }

    /// All keys under a prefix.
    pub(super) async fn list(&self, prefix: &str) -> Result<Pairs> {
        self.pairs(&format!("kv/{prefix}"), &[("consistent", ""), ("recurse", "")], REQUEST).await
    }

    /// [`Self::list`] once the index has moved on, or after a few seconds.
    pub(super) async fn wait(&self, prefix: &str, index: u64) -> Result<Pairs> {
        let index = index.to_string();
        let query = [("consistent", ""), ("recurse", ""), ("index", &index), ("wait", WAIT)];
        self.pairs(&format!("kv/{prefix}"), &query, WAITED).await
    }

    /// A transaction.
    pub(super) async fn run(&self, steps: &[Step<'_>]) -> Result<Done> {
        #[derive(Serialize)]
        struct Op<'a> {
            #[serde(rename = "KV")]
            step: &'a Step<'a>,
        }
        let body: Vec<_> = steps.iter().map(|step| Op { step }).collect();
        let response = self.send(self.request(Method::PUT, "txn", REQUEST).json(&body)).await?;
        let status = response.status();
        let text = self.body(response).await?;
        if status == StatusCode::CONFLICT {
            return self.conflict(&String::from_utf8_lossy(&text));
        }
        self.good(status, &text)?;
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "Results", default)]
            results: Option<Vec<Result1>>,
        }
        #[derive(Deserialize)]
        struct Result1 {
            #[serde(rename = "KV")]
            pair: Pair,
        }
        let answer: Answer = serde_json::from_slice(&text).map_err(|e| self.odd("a transaction").because(e))?;
        Ok(Done::Version(answer.results.unwrap_or_default().last().map(|r| r.pair.version)))
    }

    /// Missing rights come as a conflict too.
    fn conflict(&self, text: &str) -> Result<Done> {
        if !text.contains("Permission denied") {
            return Ok(Done::Refused);
        }
        self.good(StatusCode::FORBIDDEN, text.as_bytes())?;
        Ok(Done::Refused)
    }

    async fn pairs(&self, path: &str, query: &[(&str, &str)], limit: Duration) -> Result<Pairs> {
        let response = self.send(self.request(Method::GET, path, limit).query(query)).await?;
        let status = response.status();
        let index = response.headers().get("x-consul-index").and_then(|v| v.to_str().ok()?.parse().ok());
        let text = self.body(response).await?;
        let pairs = match status {
            // Absent keys; an unknown path has no index.
            StatusCode::NOT_FOUND if index.is_some() => Vec::new(),
            status => {
                self.good(status, &text)?;
                serde_json::from_slice(&text).map_err(|e| self.odd("a list of keys").because(e))?
            }
        };
        Ok(Pairs { pairs, index: index.ok_or_else(|| self.odd("X-Consul-Index"))? })
    }

    fn request(&self, method: Method, path: &str, limit: Duration) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base)).timeout(limit);
        match &self.token {
            Some(token) => request.header("X-Consul-Token", token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        request.send().await.map_err(|e| self.broken(e))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(
                    self.error(Kind::TooLarge, format!("an answer of over {LARGEST} bytes: use a longer prefix"))
                );
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

    fn good(&self, status: StatusCode, text: &[u8]) -> Result<()> {
        if status.is_success() {
            return Ok(());
        }
        let text: String = String::from_utf8_lossy(text).trim().chars().take(LONGEST_TEXT).collect();
        let says = format!("consul says {}: {text}", status.as_u16());
        Err(match status {
            StatusCode::FORBIDDEN if !text.contains("ACL not found") => {
                self.error(Kind::Forbidden, format!("{says}: give the token that permission"))
            }
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                self.error(Kind::Unauthorized, format!("{says}: correct the token"))
            }
            StatusCode::PAYLOAD_TOO_LARGE => self.error(Kind::TooLarge, says),
            s if s.is_client_error() && s != StatusCode::TOO_MANY_REQUESTS => self.error(Kind::BadRequest, says),
            _ => self.error(Kind::Unavailable, says).retry_as(Retry::Unknown),
        })
    }

    fn odd(&self, what: &str) -> Error {
        self.error(Kind::Unavailable, format!("an answer without {what}: is this a consul agent?"))
    }

    fn error(&self, kind: Kind, text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(kind, text).from_origin(Origin::Remote).context("agent", &self.base)
    }
}

/// `host:port` of the one agent.
fn agent(url: &Url) -> Result<String> {
    let [host] = url.hosts() else {
        let count = url.hosts().len();
        let fix = "name one agent, as in consul://127.0.0.1:8500/namespace";
        return Err(Error::config(format!("{count} hosts in {url}: {fix}")));
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
