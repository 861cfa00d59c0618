//! The five verbs.
//!
//! A service's id holds the incarnation, so that no process replaces the service of another: of two the one that was
//! created last counts, for everybody.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use due_core::{
    Error, Incarnation, Kind, Result, Url,
    registry::{Capability, Entry, Expect, Listing, Put, Reads, RegistryStore, Renew, UniqueIds, Value},
    units,
};
use serde::{Deserialize, Serialize};

use super::{
    client::{Client, Indexed},
    meta::{self, Meta, pack, plain, unpack},
};

/// Longest time of one request; a verb has 3 s for all of its own.
const REQUEST: Duration = Duration::from_millis(2800);
/// How long a query waits for a change. Consul adds up to a sixteenth.
const WAIT: &str = "3s";
const WAITED: Duration = Duration::from_secs(5);
/// Consul's least.
const FORGET: &str = "1m";
/// How much later than its lease an instance may go.
const LATE: Duration = Duration::from_secs(3);

/// Instances as services of an agent.
pub struct Store {
    client: Client,
    namespace: String,
    ttl: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    #[serde(with = "units::serde_duration")]
    ttl: Duration,
    token: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(10), token: None }
    }
}

impl Store {
    /// Reads the URL; connects when it is first used. Errors: `Config`.
    pub fn new(url: &Url) -> Result<Self> {
        let settings: Settings = url.query()?;
        if !(Duration::from_secs(2)..=Duration::from_secs(600)).contains(&settings.ttl) {
            return Err(Error::config(format!("ttl={} in {url}: give 2s to 10m", units::show(settings.ttl))));
        }
        let client = Client::new(url, settings.token.as_deref())?;
        Ok(Self { client, namespace: namespace(url)?, ttl: settings.ttl })
    }

    /// The lease that the URL asks for.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The name that all services of a kind have.
    fn service(&self, kind: &str) -> String {
        format!("{}-{kind}", self.namespace)
    }

    /// The id of the service of one incarnation.
    fn id(&self, key: &str, incarnation: Incarnation) -> Result<String> {
        let (kind, id) = parts(key)?;
        Ok(format!("{}-{}-{:016x}", self.service(kind), plain(id), incarnation.0))
    }

    /// Who holds a key now: whose check passes, and of two who was created last.
    async fn holder(&self, key: &str) -> Result<Option<Value>> {
        let (kind, id) = parts(key)?;
        let filter = format!("Service.Meta.{} == \"{}\"", meta::ID, plain(id));
        let found = self.find(kind, &[("filter", &filter), ("passing", "1"), ("consistent", "")], REQUEST).await?;
        let readable = found.value.into_iter().filter_map(|found| {
            let service = found.service;
            Some((service.created, unpack(&service.meta.unwrap_or_default())?))
        });
        Ok(readable.max_by_key(|(created, _)| *created).map(|(_, value)| value))
    }

    async fn find(&self, kind: &str, query: &[(&str, &str)], limit: Duration) -> Result<Indexed<Vec<Found>>> {
        self.client.list(&format!("health/service/{}", self.service(kind)), query, limit).await
    }

    async fn register(&self, key: &str, value: &Value, ttl: Duration) -> Result<()> {
        let (kind, id) = parts(key)?;
        let meta = pack(id, value).ok_or_else(|| {
            Error::new(Kind::TooLarge, format!("{key} has over {} bytes: shorten its labels", meta::LARGEST))
        })?;
        let service_id = self.id(key, value.incarnation)?;
        let (address, port) = address(&value.bytes).unzip();
        let check = NewCheck { id: &check(&service_id), ttl: &units::show(ttl), status: "passing", forget: FORGET };
        let name = self.service(kind);
        let service = NewService { id: &service_id, name: &name, address, port, meta, check };
        self.client.put("agent/service/register?replace-existing-checks=true", Some(&service), REQUEST).await.map(drop)
    }

    async fn deregister(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        let path = format!("agent/service/deregister/{}", self.id(key, incarnation)?);
        self.client.put(&path, None::<&()>, REQUEST).await.map(drop)
    }
}

#[async_trait]
impl RegistryStore for Store {
    async fn put(&self, key: &str, value: Value, ttl: Duration, expect: Expect) -> Result<Put> {
        let before = self.holder(key).await?;
        if let Some(holder) = &before
            && !allows(expect, holder.incarnation, value.incarnation)
        {
            return Ok(Put::Held(holder.clone()));
        }
        self.register(key, &value, ttl).await?;
        if let Some(old) = before.filter(|old| old.incarnation != value.incarnation) {
            // Works on this agent only; elsewhere the old one ends with its lease and counts less until then.
            let _ = self.deregister(key, old.incarnation).await;
        }
        match self.holder(key).await? {
            Some(other) if other.incarnation != value.incarnation => {
                self.deregister(key, value.incarnation).await?;
                Ok(Put::Held(other))
            }
            _ => Ok(Put::Ok),
        }
    }

    async fn renew(&self, key: &str, incarnation: Incarnation, _: Duration) -> Result<Renew> {
        let path = format!("agent/check/pass/{}", check(&self.id(key, incarnation)?));
        if !self.client.put(&path, None::<&()>, REQUEST).await? {
            return Ok(Renew::Lost);
        }
        match self.holder(key).await? {
            Some(other) if other.incarnation != incarnation => {
                let _ = self.deregister(key, incarnation).await;
                Ok(Renew::Held(other))
            }
            _ => Ok(Renew::Ok),
        }
    }

    async fn delete(&self, key: &str, incarnation: Incarnation) -> Result<()> {
        self.deregister(key, incarnation).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        let (kind, _) = parts(prefix)?;
        let found = self.find(kind, &[("passing", "1"), ("consistent", "")], REQUEST).await?;
        let entries = found.value.into_iter().map(|found| found.service.entry(kind)).collect();
        Ok(Listing { entries, cursor: found.index })
    }

    async fn wait(&self, prefix: &str, cursor: u64) -> Result<()> {
        let (kind, _) = parts(prefix)?;
        let index = cursor.to_string();
        self.find(kind, &[("passing", "1"), ("index", &index), ("wait", WAIT)], WAITED).await.map(drop)
    }

    fn capability(&self, ttl: Duration) -> Capability {
        Capability {
            unique_ids: UniqueIds::Detected,
            list: Reads::Linearizable,
            expiry: (ttl, ttl + LATE),
            max_metadata: meta::LARGEST,
        }
    }
}

fn allows(expect: Expect, holder: Incarnation, newcomer: Incarnation) -> bool {
    match expect {
        Expect::Absent => false,
        Expect::Mine => holder == newcomer,
        Expect::Incarnation(old) => holder == old || holder == newcomer,
    }
}

/// Kind and id of `node/n1`, kind of `node/`.
fn parts(key: &str) -> Result<(&str, &str)> {
    key.split_once('/').ok_or_else(|| Error::new(Kind::BadRequest, "a registry key is kind/id").context("key", key))
}

fn check(service: &str) -> String {
    format!("service:{service}")
}

/// What consul's own tools show: the first endpoint, where it is an address.
fn address(json: &[u8]) -> Option<(IpAddr, u16)> {
    #[derive(Deserialize)]
    struct Endpoints {
        endpoints: Vec<String>,
    }
    let all: Endpoints = serde_json::from_slice(json).ok()?;
    let first = Url::parse(all.endpoints.first()?).ok()?;
    let address: std::net::SocketAddr = first.host().parse().ok()?;
    (!address.ip().is_unspecified()).then(|| (address.ip(), address.port()))
}

fn namespace(url: &Url) -> Result<String> {
    let name = match url.path().trim_matches('/') {
        "" => "due",
        name => name,
    };
    if name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Ok(name.to_owned());
    }
    Err(Error::config(format!("the path of {url} is no namespace: write up to 64 letters, digits, `-` or `_`")))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    service: Service,
}

#[derive(Debug, Deserialize)]
struct Service {
    #[serde(rename = "Meta", default)]
    meta: Option<Meta>,
    #[serde(rename = "CreateIndex")]
    created: u64,
}

impl Service {
    /// What cannot be read has no bytes, and is counted by whoever looks for an instance in them.
    fn entry(self, kind: &str) -> Entry {
        let meta = self.meta.unwrap_or_default();
        let id = meta.get(meta::ID).and_then(|id| meta::id(id)).unwrap_or_default();
        let bytes = unpack(&meta).map(|value| value.bytes).unwrap_or_default();
        Entry { key: format!("{kind}/{id}"), bytes, created: self.created }
    }
}

#[derive(Serialize)]
struct NewService<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Address", skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(rename = "Port", skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(rename = "Meta")]
    meta: Meta,
    #[serde(rename = "Check")]
    check: NewCheck<'a>,
}

#[derive(Serialize)]
struct NewCheck<'a> {
    #[serde(rename = "CheckID")]
    id: &'a str,
    #[serde(rename = "TTL")]
    ttl: &'a str,
    #[serde(rename = "Status")]
    status: &'a str,
    #[serde(rename = "DeregisterCriticalServiceAfter")]
    forget: &'a str,
}
