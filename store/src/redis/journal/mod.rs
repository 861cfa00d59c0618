//! Numbered entries in a stream on redis, which any number of processes append to.
//!
//! ```text
//! redis://user:password@10.0.0.4:6379/0?ns=game
//! ```
//!
//! | key | default | |
//! |---|---|---|
//! | `ns` | `due` | what separates this application from others on the database: 1 to 64 of `A-Za-z0-9._-` |
//! | `wait-replicas` | 0 | replicas that must have an entry before it is acknowledged, 0 to 16 |
//! | `timeout` | 900ms | for one request, 50ms to 5s |
//!
//! # What it promises
//!
//! Each entry stands right behind the one that its writer saw last, or nowhere: what a chain of hashes needs. Entries are
//! never taken away. How long an acknowledged one lives is up to the server: set `appendonly yes`, and `appendfsync
//! always` if it must outlive a crash of the machine.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use due_core::{Error, Kind, Result, Url};
use redis::{Pipeline, Value, cmd};
use tokio::time::Instant;

use super::{
    fault,
    line::Effect,
    script::{Lines, Run, Script},
    settings::Settings,
    target::{Target, bytes},
};

const LONGEST: Duration = Duration::from_secs(5);
/// Largest entry, in bytes.
pub const LONGEST_ENTRY: usize = 1024 * 1024;
/// Most entries that one request reads.
pub const MOST: usize = 256;

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("append.lua")));

/// An entry with its number; the first is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub number: u64,
    /// What was appended.
    pub data: Bytes,
}

/// A stream of entries under one name.
pub struct Journal {
    lines: Lines,
    settings: Settings,
    key: String,
}

impl Journal {
    /// Opens the stream; fails if its server cannot be reached now. The name is the program's own: short, and plain.
    pub async fn open(url: &Url, name: &str) -> Result<Self> {
        let settings = Settings::read(url, LONGEST)?;
        let lines = Lines::open(&Arc::new(Target::new(url)?), &settings).await?;
        let key = settings.key(&format!("journal:{name}"));
        Ok(Self { lines, settings, key })
    }

    /// Appends an entry as number `number`, if the one before it is the last that there is; else it answers `false`.
    /// Asked again with the same entry it answers `true` and appends nothing. Errors: `Timeout` where it may have been
    /// appended, `TooLarge`, `Unavailable`.
    pub async fn append(&self, number: u64, data: &[u8]) -> Result<bool> {
        if data.len() > LONGEST_ENTRY {
            return Err(Error::new(Kind::TooLarge, format!("an entry has at most {LONGEST_ENTRY} bytes")));
        }
        let (before, number) = (number.saturating_sub(1).to_string(), number.to_string());
        let args = [before.as_bytes(), number.as_bytes(), data];
        let run = Run { script: &APPEND, key: &self.key, args: &args };
        match self.lines.write(run, self.by()).await?.first().and_then(bytes) {
            Some(b"ours") => Ok(true),
            Some(b"no") => Ok(false),
            _ => Err(fault::odd("journal")),
        }
    }

    /// Up to [`MOST`] entries from `number` on, in their order.
    pub async fn from(&self, number: u64) -> Result<Vec<Entry>> {
        self.range("XRANGE", [&format!("{number}-0"), "+"]).await
    }

    /// Up to [`MOST`] entries below `number`, or the last ones without: the newest first.
    pub async fn before(&self, number: Option<u64>) -> Result<Vec<Entry>> {
        let from = number.map_or_else(|| "+".to_owned(), |number| format!("{number}-0"));
        self.range("XREVRANGE", [&from, "-"]).await
    }

    async fn range(&self, command: &str, ends: [&str; 2]) -> Result<Vec<Entry>> {
        let mut pipe = Pipeline::new();
        let mut range = cmd(command);
        range.arg(&self.key).arg(&ends).arg("COUNT").arg(MOST);
        pipe.add_command(range);
        let answer = self.lines.line.ask(&pipe, Effect::Reads, self.by()).await?.pop();
        match answer {
            Some(Value::Array(entries)) => {
                entries.iter().map(|e| entry(e).ok_or_else(|| fault::odd("range"))).collect()
            }
            Some(Value::ServerError(cause)) => Err(fault::refused(self.lines.line.target().url(), &cause)),
            _ => Err(fault::odd("range")),
        }
    }

    fn by(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }
}

/// `[id, [field, data]]`.
fn entry(value: &Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [id, Value::Array(fields)] = &parts[..] else { return None };
    let [_, data] = &fields[..] else { return None };
    let (number, _) = std::str::from_utf8(bytes(id)?).ok()?.split_once('-')?;
    Some(Entry { number: number.parse().ok()?, data: Bytes::copy_from_slice(bytes(data)?) })
}
