//! A cache on redis.
//!
//! ```text
//! redis://user:password@10.0.0.4:6379/1?ns=game
//! ```
//!
//! | key | default | |
//! |---|---|---|
//! | `ns` | `due` | what separates this application from others on the database: 1 to 64 of `A-Za-z0-9._-` |
//! | `timeout` | 900ms | for one request, 50ms to 10s |
//! | `max-value` | 16MiB | longest value that is written; a longer one is `TooLarge` |
//!
//! # What it promises
//!
//! Each request is one step at the server. A cache that is away is `Unavailable`/`Safe`; a write that was on its way when
//! the connection broke is `Timeout`/`Unknown`, and [`incr`](due_core::cache::Cache::incr) is never made twice. Set
//! `maxmemory-policy` at a server that is only a cache, and give locator and locks another: they must not be evicted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Url,
    cache::{Cache, CacheStore, Cached, Life, Write},
    units,
};
use redis::{Cmd, Pipeline, Value, cmd};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    fault,
    line::{Effect, Line},
    settings::Settings,
    target::Target,
};

const LONGEST: Duration = Duration::from_secs(10);
/// A hundred years: more than any server takes.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const OWN_KEYS: [&str; 1] = ["max-value"];

/// Opens the cache that the URL describes; fails if its server cannot be reached now.
pub async fn open(url: Url) -> Result<Arc<dyn Cache>> {
    let own: Own = url.only(&OWN_KEYS).query()?;
    let rest = url.without(&OWN_KEYS);
    let settings = Settings::read(&rest, LONGEST)?;
    if settings.wait_replicas > 0 {
        return Err(Error::config("wait-replicas at a cache: it may forget anything anyway; leave the key out"));
    }
    let line = Line::open(Arc::new(Target::new(&rest)?)).await?;
    Ok(Arc::new(Cached::new(Redis { line, settings, max_value: own.max_value })))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Own {
    #[serde(with = "units::serde_size")]
    max_value: usize,
}

impl Default for Own {
    fn default() -> Self {
        Self { max_value: 16 * 1024 * 1024 }
    }
}

struct Redis {
    line: Line,
    settings: Settings,
    max_value: usize,
}

impl Redis {
    fn key(&self, key: &str) -> String {
        self.settings.key(&format!("cache:{key}"))
    }

    async fn ask(&self, request: &Cmd, effect: Effect) -> Result<Value> {
        let mut pipe = Pipeline::new();
        pipe.add_command(request.clone());
        let mut answers = self.line.ask(&pipe, effect, Instant::now() + self.settings.timeout).await?;
        match answers.pop() {
            Some(Value::ServerError(cause)) => Err(fault::refused(self.line.target().url(), &cause)),
            Some(answer) => Ok(answer),
            None => Err(fault::odd("request")),
        }
    }
}

#[async_trait]
impl CacheStore for Redis {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        match self.ask(cmd("GET").arg(self.key(key)), Effect::Reads).await? {
            Value::BulkString(value) => Ok(Some(value.into())),
            Value::Nil => Ok(None),
            _ => Err(fault::odd("value")),
        }
    }

    async fn put(&self, key: &str, value: Bytes, life: Life, write: Write) -> Result<bool> {
        if value.len() > self.max_value {
            let text = format!("a value of {} bytes: max-value is {}", value.len(), self.max_value);
            return Err(Error::new(Kind::TooLarge, text).context("key", key));
        }
        let mut set = cmd("SET");
        set.arg(self.key(key)).arg(&value[..]);
        match life {
            Life::For(time) => drop(set.arg("PX").arg(millis(time))),
            Life::Keep => drop(set.arg("KEEPTTL")),
            Life::Forever => {}
        }
        let effect = match write {
            Write::Always => Effect::Repeatable,
            Write::IfAbsent => {
                set.arg("NX");
                // A second attempt would find the value of the first and say that it did nothing.
                Effect::Once
            }
        };
        Ok(self.ask(&set, effect).await? != Value::Nil)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.ask(cmd("DEL").arg(self.key(key)), Effect::Once).await? == Value::Int(1))
    }

    async fn incr(&self, key: &str, by: i64) -> Result<i64> {
        let sum = self.ask(cmd("INCRBY").arg(self.key(key)).arg(by), Effect::Once).await;
        match sum {
            Ok(Value::Int(sum)) => Ok(sum),
            Ok(_) => Err(fault::odd("counter")),
            Err(e) if e.kind() == Kind::Internal => {
                let text = "the value is no number, or would overflow";
                Err(Error::new(Kind::BadRequest, text).context("key", key).because(e))
            }
            Err(e) => Err(e),
        }
    }
}

fn millis(life: Duration) -> u64 {
    let life = life.min(LONGEST_LIFE).as_millis();
    u64::try_from(life).unwrap_or(u64::MAX).max(1)
}
