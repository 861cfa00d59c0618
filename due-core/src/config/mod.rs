//! Live settings: values under keys that change while the program runs.
//!
//! | | |
//! |---|---|
//! | [`ConfigSource`] | where they are kept: memory, file, etcd, consul, redis |
//! | [`Live`] | one of them, decoded and validated: readers only ever see a whole, valid value |
//! | [`History`] | the last versions of a key, and the way back |
//!
//! No order holds between keys and nothing is atomic over them: put what must agree into one key.

mod feed;
mod history;
mod live;
pub mod memory;

use std::{cmp::Ordering, collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

pub use feed::{Feed, Watch, feed};
pub use history::{History, Outcome, Record};
pub use live::{Live, Status, Validate};

/// Where settings are kept.
///
/// Keys are paths of 1 to 256 bytes (`game/limits.toml`): see [`check_key`]. Values are at most 1 MiB, larger ones are
/// `TooLarge`. A source that cannot be reached answers `Unavailable`, one without leave to write `Forbidden`.
#[async_trait]
pub trait ConfigSource: Send + Sync + 'static {
    /// What this source can do.
    fn capability(&self) -> Capability;

    /// The newest value of a key; `None` if it was never stored or is deleted.
    async fn load(&self, key: &str) -> Result<Option<Entry>>;

    /// All keys that begin with `prefix`, with their newest values.
    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, Entry>>;

    /// Follows all keys that begin with `prefix` (`""`: all). The first update is the full set. State, not history:
    /// values that were replaced quickly may be skipped, the newest one never is. After every break the full set comes
    /// again. Changes of one key come in the order of the source; no order between keys. The watch ends only when it is
    /// dropped or the source is.
    async fn watch(&self, prefix: &str) -> Result<Watch>;

    /// Writes a value if the key is as `expect` says, and answers its new version. Errors: `Stale` if the key has
    /// another version, `Duplicate` if it was to be absent. Whether one of two writers at the same moment can be
    /// overwritten unseen says [`Cas`]. A dropped future may have written.
    async fn store(&self, key: &str, value: Bytes, expect: Expect) -> Result<Version>;

    /// Deletes a key if it is as `expect` says, and answers the version of its absence, which a later
    /// [`Expect::Absent`] or [`Expect::Any`] write replaces. A key that is absent already is no error.
    async fn delete(&self, key: &str, expect: Expect) -> Result<Version>;

    /// Makes all of these writes of different keys, or none, and answers the one version that all of them got. Errors are
    /// those of [`ConfigSource::store`], for any key that is not as expected; `Unsupported`, with nothing done, if this
    /// source cannot do so, or not with writes of this size. A dropped future may have written.
    async fn write_together(&self, writes: Vec<Write>) -> Result<Version> {
        let _ = writes;
        Err(Error::new(Kind::Unsupported, "this source writes one key at a time"))
    }
}

/// One of several writes that happen together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Arc<str>,
    /// Its new value; `None` deletes it.
    pub value: Option<Bytes>,
    /// How the key must be.
    pub expect: Expect,
}

impl Write {
    /// Refuses what [`ConfigSource::store`] would: a bad key, or a value that is too large. For backends.
    pub fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        match &self.value {
            Some(value) if value.len() > LARGEST => {
                Err(Error::new(Kind::TooLarge, "a config value is at most 1 MiB").context("bytes", value.len()))
            }
            _ => Ok(()),
        }
    }
}

/// The longest value in bytes.
pub const LARGEST: usize = 1024 * 1024;

/// Refuses keys that are not plain relative paths: 1 to 256 bytes, parts of letters, digits, `.`, `_`, `-` between
/// slashes, no part `.` or `..`.
pub fn check_key(key: &str) -> Result<()> {
    let part =
        |p: &str| !matches!(p, "" | "." | "..") && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if key.len() <= 256 && key.split('/').all(part) {
        return Ok(());
    }
    Err(Error::new(Kind::BadRequest, "a config key is a path of letters, digits, `.`, `_` and `-`, up to 256 bytes"))
}

/// What a source can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// How far a conditional write can be trusted.
    pub cas: Cas,
    /// May this process write?
    pub writable: bool,
}

/// How far a conditional write can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// No update is ever lost.
    Atomic,
    /// Two writers on different hosts may overwrite each other unseen.
    BestEffort,
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The bytes.
    pub value: Bytes,
    /// Changes with every write.
    pub version: Version,
}

/// The version of a key: compare for equality. Numbers of one key rise unless its source was restored from a backup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    /// A revision of the source.
    Number(u64),
    /// A checksum or the like.
    Tag(Arc<str>),
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Version::Number(a), Version::Number(b)) => Some(a.cmp(b)),
            (a, b) => (a == b).then_some(Ordering::Equal),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Number(n) => n.fmt(f),
            Version::Tag(tag) => tag.fmt(f),
        }
    }
}

/// The state in which a write finds its key, else it does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Any.
    Any,
    /// Never stored, or deleted.
    Absent,
    /// Exactly this version.
    Version(Version),
}

impl Expect {
    /// Is a key whose live value has the version `found` as expected? For backends.
    pub fn check(&self, found: Option<&Version>) -> Result<()> {
        match (self, found) {
            (Expect::Any, _) | (Expect::Absent, None) => Ok(()),
            (Expect::Absent, Some(v)) => Err(Error::new(Kind::Duplicate, "the key exists").context("version", v)),
            (Expect::Version(want), Some(v)) if want == v => Ok(()),
            (Expect::Version(want), found) => {
                let found = found.map_or_else(|| "none".to_owned(), Version::to_string);
                Err(Error::new(Kind::Stale, "the key has changed").context("expected", want).context("found", found))
            }
        }
    }
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// The full set: a key that is not in it is absent.
    All(BTreeMap<Arc<str>, Entry>),
    /// One key has a new value, or none any more.
    Key(Arc<str>, Option<Entry>),
}
