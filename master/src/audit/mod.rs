//! What was done by whom: written before it is done, with its outcome behind it, each record chained to the one before.

mod file;
mod memory;
#[cfg(feature = "audit-redis")]
mod redis;

use async_trait::async_trait;
use due_core::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use utoipa::ToSchema;

pub use file::File;
pub use memory::Memory;
#[cfg(feature = "audit-redis")]
pub use redis::Redis;

use crate::{auth::hex, clock};

/// A record of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// Its number; the first is 1.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The id of the token.
    pub actor: String,
    /// The name of the token.
    pub actor_name: String,
    /// Who has let it be done, where that needs a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// What is done: `user.kick`.
    pub verb: String,
    /// To what: `user/ann`.
    pub resource: String,
    /// Why, in the words of whoever does it.
    pub reason: String,
    /// Only looked what would happen?
    pub dry_run: bool,
    /// What else was asked.
    #[schema(value_type = serde_json::Value)]
    pub detail: serde_json::Value,
    /// The record whose outcome this one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// `done`, `denied`, or the code of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The hash of the record before, in hexadecimal; empty in the first.
    pub prev: String,
    /// SHA-256 of the JSON of this record with an empty hash.
    pub hash: String,
}

impl Record {
    fn digest(&self) -> Result<String> {
        let bare = Record { hash: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&bare).map_err(|e| Error::new(Kind::Internal, "a record as JSON").because(e))?;
        Ok(hex(&Sha256::digest(&json)))
    }

    /// Does it come right behind `before`, and is it as it was written?
    pub(crate) fn follows(&self, before: Option<&Record>) -> bool {
        let (seq, prev) = before.map_or((1, ""), |b| (b.seq + 1, b.hash.as_str()));
        self.seq == seq && self.prev == prev && self.digest().is_ok_and(|digest| digest == self.hash)
    }
}

/// Which records.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only below this number.
    pub before: Option<u64>,
    /// Of this token, by its id or name.
    pub actor: Option<String>,
    /// Of resources that begin so.
    pub resource: Option<String>,
    /// Of verbs that begin so.
    pub verb: Option<String>,
    /// Not before this time, in milliseconds since 1970.
    pub from_ms: Option<u64>,
    /// Not after this time.
    pub until_ms: Option<u64>,
    /// Most records.
    pub limit: usize,
}

impl Query {
    pub(crate) fn takes(&self, r: &Record) -> bool {
        self.before.is_none_or(|n| r.seq < n)
            && self.actor.as_ref().is_none_or(|a| r.actor == *a || r.actor_name == *a)
            && self.resource.as_ref().is_none_or(|p| r.resource.starts_with(p))
            && self.verb.as_ref().is_none_or(|p| r.verb.starts_with(p))
            && self.from_ms.is_none_or(|t| r.time_ms >= t)
            && self.until_ms.is_none_or(|t| r.time_ms <= t)
    }
}

/// How often a record is offered while others write theirs.
const ATTEMPTS: usize = 100;

/// Where records are kept.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// The last record, after a look whether the chain is whole. Errors: `Config` where it is not, with its place.
    async fn open(&self) -> Result<Option<Record>>;

    /// Keeps a record; once this says `true` it outlives a crash of the process. `false`: the record that it follows is
    /// not the last one, as somebody else has written since; nothing is kept.
    async fn append(&self, record: &Record) -> Result<bool>;

    /// Records, newest first.
    async fn read(&self, query: Query) -> Result<Vec<Record>>;
}

/// The chain over a sink.
pub(crate) struct Audit {
    sink: Box<dyn Sink>,
    last: Mutex<Option<Record>>,
}

impl Audit {
    pub(crate) async fn open(sink: Box<dyn Sink>) -> Result<Self> {
        let last = Mutex::new(sink.open().await?);
        Ok(Self { sink, last })
    }

    /// Writes a record and answers its number.
    pub(crate) async fn write(&self, record: Record) -> Result<u64> {
        let mut last = self.last.lock().await;
        for _ in 0..ATTEMPTS {
            let record = chained(record.clone(), last.as_ref())?;
            if self.sink.append(&record).await? {
                let seq = record.seq;
                *last = Some(record);
                return Ok(seq);
            }
            let newest = Query { limit: 1, ..Query::default() };
            *last = self.sink.read(newest).await?.into_iter().next();
        }
        Err(Error::new(Kind::Overloaded, "others write to the audit log all the time"))
    }

    pub(crate) async fn read(&self, query: Query) -> Result<Vec<Record>> {
        self.sink.read(query).await
    }
}

/// The record as it stands behind `last`.
fn chained(record: Record, last: Option<&Record>) -> Result<Record> {
    let (seq, prev) = last.map_or((1, String::new()), |l| (l.seq + 1, l.hash.clone()));
    let mut record = Record { seq, prev, time_ms: clock::millis(), ..record };
    record.hash = record.digest()?;
    Ok(record)
}
