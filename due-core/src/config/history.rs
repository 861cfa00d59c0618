//! The last versions of a key, and the way back.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::{ConfigSource, Entry, Expect, LARGEST, Version, Write, check_key};
use crate::error::{Error, Kind, Result};

/// Writes settings so that they can be taken back. Each write is recorded beside its key: in one step with it where the
/// source can ([`ConfigSource::write_together`]), else before it, and marked behind it.
///
/// Records stand under `.history/<key>/<number>`; the last 10 that took effect and the last 10 that did not are kept.
#[derive(Clone)]
pub struct History {
    source: Arc<dyn ConfigSource>,
}

/// One write of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Rises with each write of this key.
    pub number: u64,
    /// Who wrote.
    pub author: String,
    /// When, by the writer's clock.
    pub time: SystemTime,
    /// What was written; `None` for a deletion.
    pub value: Option<Bytes>,
    /// Whether it took effect.
    pub outcome: Outcome,
}

/// Whether a recorded write took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did, with this version.
    Applied(Version),
    /// It was refused, or its writer died: nobody knows.
    Attempt,
}

const KEPT: usize = 10;
/// Room for what stands before a value in its record.
const HEADER: usize = 1024;
const LONGEST_AUTHOR: usize = 128;
const MAGIC: &str = "due-history 1";
/// In a record: it was written in one step with its key, so its version is that of the key.
const TOGETHER: &str = "together";
/// Numbers that others may take before this writer gives up.
const NUMBERS: usize = 16;

impl History {
    /// The history of the keys of `source`.
    pub fn new(source: Arc<dyn ConfigSource>) -> Self {
        Self { source }
    }

    /// [`ConfigSource::store`] with a record. `author` is shown to people: at most 128 characters of it are kept.
    pub async fn store(&self, key: &str, value: Bytes, expect: Expect, author: &str) -> Result<Version> {
        if value.len() + HEADER > LARGEST {
            return Err(
                Error::new(Kind::TooLarge, "the value leaves no room for its record").context("bytes", value.len())
            );
        }
        self.write(key, Some(value), expect, author).await
    }

    /// [`ConfigSource::delete`] with a record.
    pub async fn delete(&self, key: &str, expect: Expect, author: &str) -> Result<Version> {
        self.write(key, None, expect, author).await
    }

    /// What is recorded of a key, newest first. Records that cannot be read are left out.
    pub async fn records(&self, key: &str) -> Result<Vec<Record>> {
        check_key(key)?;
        let stored = self.source.list(&folder(key)).await?;
        let mut records: Vec<_> = stored.iter().filter_map(|(k, e)| Record::read(key, k, e)).collect();
        records.sort_by_key(|r| std::cmp::Reverse(r.number));
        if let Some(entry) = self.source.load(key).await? {
            settle(&mut records, &entry);
        }
        Ok(records)
    }

    /// Writes what record `to` wrote, as a new version on top of the one that stands now, and records that. Errors: `Gone`
    /// if there is no such record any more, `Duplicate` if the key has that value, `Stale` if it changed meanwhile.
    pub async fn roll_back(&self, key: &str, to: u64, author: &str) -> Result<Version> {
        let records = self.records(key).await?;
        let gone = || Error::new(Kind::Gone, "no such version is kept").context("key", key).context("number", to);
        let record = records.into_iter().find(|r| r.number == to).ok_or_else(gone)?;
        let now = self.source.load(key).await?;
        if now.as_ref().map(|e| &e.value) == record.value.as_ref() {
            return Err(Error::new(Kind::Duplicate, "the key has this value already").context("key", key));
        }
        let expect = now.map_or(Expect::Absent, |e| Expect::Version(e.version));
        self.write(key, record.value, expect, author).await
    }

    async fn write(&self, key: &str, value: Option<Bytes>, expect: Expect, author: &str) -> Result<Version> {
        let record = self.next(key, value, author).await?;
        let version = match self.together(key, record.clone(), &expect).await {
            Err(e) if e.kind() == Kind::Unsupported => self.apart(key, record, expect).await?,
            outcome => outcome?,
        };
        // The write has happened: what fails from here on costs an old record, not the answer.
        if let Err(error) = self.prune(key).await {
            tracing::warn!(key, %error, "old versions of a setting stay");
        }
        Ok(version)
    }

    /// The write and its record in one step. One that is refused is recorded as an attempt.
    async fn together(&self, key: &str, mut record: Record, expect: &Expect) -> Result<Version> {
        for _ in 0..NUMBERS {
            let (at, bytes) = (record.key(key).into(), record.bytes(TOGETHER));
            let note = Write { key: at, value: Some(bytes), expect: Expect::Absent };
            let write = Write { key: key.into(), value: record.value.clone(), expect: expect.clone() };
            match self.source.write_together(vec![note, write]).await {
                Err(e) if matches!(e.kind(), Kind::Duplicate | Kind::Stale) => {
                    if self.source.load(&record.key(key)).await?.is_none() {
                        self.begin(key, record).await?;
                        return Err(e);
                    }
                    record.number += 1;
                }
                outcome => return outcome,
            }
        }
        Err(crowded(key))
    }

    /// The record of an attempt, the write, and the mark of its success.
    async fn apart(&self, key: &str, record: Record, expect: Expect) -> Result<Version> {
        let mut record = self.begin(key, record).await?;
        let version = match record.value.clone() {
            Some(value) => self.source.store(key, value, expect).await?,
            None => self.source.delete(key, expect).await?,
        };
        record.outcome = Outcome::Applied(version.clone());
        // The write has happened: what fails from here on costs the mark, not the answer.
        let mark = record.bytes(&record.outcome.text());
        if let Err(error) = self.source.store(&record.key(key), mark, Expect::Any).await {
            tracing::warn!(key, %error, "the history of a setting is not complete");
        }
        Ok(version)
    }

    /// A record under the number that is probably next.
    async fn next(&self, key: &str, value: Option<Bytes>, author: &str) -> Result<Record> {
        let number = self.records(key).await?.first().map_or(1, |r| r.number + 1);
        let author = author.chars().filter(|c| !c.is_control()).take(LONGEST_AUTHOR).collect();
        Ok(Record { number, author, time: SystemTime::now(), value, outcome: Outcome::Attempt })
    }

    /// Records an attempt under the next free number.
    async fn begin(&self, key: &str, mut record: Record) -> Result<Record> {
        for _ in 0..NUMBERS {
            match self.source.store(&record.key(key), record.bytes(&record.outcome.text()), Expect::Absent).await {
                Ok(_) => return Ok(record),
                Err(e) if e.kind() == Kind::Duplicate => record.number += 1,
                Err(e) => return Err(e),
            }
        }
        Err(crowded(key))
    }

    async fn prune(&self, key: &str) -> Result<()> {
        let (applied, attempts): (Vec<_>, Vec<_>) =
            self.records(key).await?.into_iter().partition(|r| matches!(r.outcome, Outcome::Applied(_)));
        for old in applied.iter().skip(KEPT).chain(attempts.iter().skip(KEPT)) {
            self.source.delete(&old.key(key), Expect::Any).await?;
        }
        Ok(())
    }
}

fn folder(key: &str) -> String {
    format!(".history/{key}/")
}

/// A writer may die between its write and the mark: what stands now tells which attempt took effect.
fn settle(records: &mut [Record], now: &Entry) {
    let applied = |r: &Record| r.outcome == Outcome::Applied(now.version.clone());
    if records.iter().any(applied) {
        return;
    }
    let wrote_it = |r: &&mut Record| r.outcome == Outcome::Attempt && r.value.as_ref() == Some(&now.value);
    if let Some(record) = records.iter_mut().find(wrote_it) {
        record.outcome = Outcome::Applied(now.version.clone());
    }
}

impl Record {
    fn key(&self, of: &str) -> String {
        format!("{}{:016}", folder(of), self.number)
    }

    fn bytes(&self, outcome: &str) -> Bytes {
        let millis = self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let what = if self.value.is_some() { "store" } else { "delete" };
        let mut bytes = format!("{MAGIC}\n{}\n{millis}\n{what}\n{outcome}\n", self.author).into_bytes();
        bytes.extend_from_slice(self.value.as_deref().unwrap_or_default());
        bytes.into()
    }

    fn read(of: &str, key: &str, entry: &Entry) -> Option<Self> {
        let number = key.strip_prefix(&folder(of))?.parse().ok()?;
        let mut rest = entry.value.clone();
        let mut line = || {
            let end = rest.iter().take(HEADER).position(|b| *b == b'\n')?;
            let line = rest.split_to(end + 1);
            Some(std::str::from_utf8(line.get(..end)?).ok()?.to_owned())
        };
        (line()? == MAGIC).then_some(())?;
        let author = line()?;
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(line()?.parse().ok()?))?;
        let stored = line()? == "store";
        let outcome = Outcome::read(&line()?, &entry.version)?;
        Some(Self { number, author, time, value: stored.then_some(rest), outcome })
    }
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Self::Applied(Version::Number(n)) => format!("number {n}"),
            Self::Applied(Version::Tag(tag)) => format!("tag {tag}"),
            Self::Attempt => "none".to_owned(),
        }
    }

    /// What a record says that stands there with the version `own`.
    fn read(text: &str, own: &Version) -> Option<Self> {
        match text.split_once(' ') {
            Some(("number", n)) => Some(Self::Applied(Version::Number(n.parse().ok()?))),
            Some(("tag", tag)) => Some(Self::Applied(Version::Tag(tag.into()))),
            _ if text == TOGETHER => Some(Self::Applied(own.clone())),
            _ => (text == "none").then_some(Self::Attempt),
        }
    }
}

fn crowded(key: &str) -> Error {
    Error::new(Kind::Overloaded, "too many write this key at once").context("key", key)
}
