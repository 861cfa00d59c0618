//! Locks on redis, with a fencing token.
//!
//! ```text
//! redis://user:password@10.0.0.4:6379/0?ns=game
//! ```
//!
//! | key | default | |
//! |---|---|---|
//! | `ns` | `due` | what separates this application from others on the database: 1 to 64 of `A-Za-z0-9._-` |
//! | `wait-replicas` | 0 | replicas that must have a write before it is acknowledged, 0 to 16 |
//! | `timeout` | 900ms | for one request, 50ms to 5s; keep it well below the shortest time to live |
//!
//! # What it promises
//!
//! Who holds a lock is decided by the clock of the server, in one step. While no acknowledged write is lost one holder
//! has it. A failover, a wipe or a restore can give it to a second one: its token is higher all the same, because tokens
//! are lifted to the clock, so whatever the lock protects can refuse the first. A lock nobody has held for 48 h and its
//! time to live is forgotten.
//!
//! Names are 1 to 512 bytes. Who waits asks again every 20 to 60 ms.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Error, Kind, Result, Url,
    lock::{Holder, Kept, Lock, LockStore, Renewed, Taken},
};
use redis::Value;
use tokio::time::Instant;

use super::{
    fault,
    script::{Lines, Run, Script},
    settings::Settings,
    target::{Target, bytes},
};

const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_NAME: usize = 512;
/// How long a lock is remembered beyond its time to live.
const KEPT: Duration = Duration::from_secs(48 * 3600);

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// Opens the locks that the URL describes; fails if their server cannot be reached now.
pub async fn open(url: Url) -> Result<Arc<dyn Lock>> {
    Ok(Arc::new(Kept::new(Redis::open(&url).await?)))
}

struct Redis {
    lines: Lines,
    settings: Settings,
}

impl Redis {
    async fn open(url: &Url) -> Result<Self> {
        let settings = Settings::read(url, LONGEST)?;
        let lines = Lines::open(&Arc::new(Target::new(url)?), &settings).await?;
        Ok(Self { lines, settings })
    }

    async fn run(&self, script: &Script, name: &str, holder: Holder, ttl: Duration) -> Result<Vec<Value>> {
        if !(1..=LONGEST_NAME).contains(&name.len()) {
            return Err(Error::new(Kind::BadRequest, format!("the name of a lock has 1 to {LONGEST_NAME} bytes")));
        }
        let (key, holder) = (self.settings.key(&format!("lock:{name}")), format!("{:032x}", holder.0));
        let (ttl, kept) = (ttl.as_micros().to_string(), (ttl + KEPT).as_millis().to_string());
        let args = [holder.as_bytes(), ttl.as_bytes(), kept.as_bytes()];
        let (run, by) = (Run { script, key: &key, args: &args }, Instant::now() + self.settings.timeout);
        self.lines.write(run, by).await.map_err(|e| e.context("lock", name))
    }
}

#[async_trait]
impl LockStore for Redis {
    async fn take(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Taken> {
        let answer = self.run(&TAKE, name, holder, ttl).await?;
        match (answer.first().and_then(bytes), answer.get(1).and_then(number)) {
            (Some(b"ours"), Some(token)) => Ok(Taken::Ours { token }),
            (Some(b"no"), _) => Ok(Taken::Held),
            _ => Err(fault::odd("lock")),
        }
    }

    async fn renew(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Renewed> {
        match self.run(&RENEW, name, holder, ttl).await?.first().and_then(bytes) {
            Some(b"ours") => Ok(Renewed::Ours),
            Some(b"no") => Ok(Renewed::Lost),
            _ => Err(fault::odd("renewal")),
        }
    }

    async fn release(&self, name: &str, holder: Holder) -> Result<()> {
        self.run(&RELEASE, name, holder, Duration::ZERO).await.map(drop)
    }
}

fn number(value: &Value) -> Option<u64> {
    std::str::from_utf8(bytes(value)?).ok()?.parse().ok()
}
