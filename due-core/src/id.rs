//! Names of things: users, sessions, instances, epochs.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

use crate::error::{Error, Kind};

/// A user: an `i64` or a string of 1 to 64 bytes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Uid {
    /// A number, 1 or more.
    Int(i64),
    /// A text of 1 to 64 bytes.
    Str(Arc<str>),
}

impl Uid {
    /// Longest string form in bytes.
    pub const MAX_LEN: usize = 64;

    /// Refuses 0, negative numbers, the empty string and strings over [`Uid::MAX_LEN`] bytes with `BadRequest`.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Uid::Int(n) if *n > 0 => Ok(()),
            Uid::Str(s) if (1..=Self::MAX_LEN).contains(&s.len()) => Ok(()),
            _ => Err(Error::new(Kind::BadRequest, "a uid is a number above 0 or a string of 1 to 64 bytes")),
        }
    }
}

impl From<i64> for Uid {
    fn from(n: i64) -> Self {
        Uid::Int(n)
    }
}

impl From<&str> for Uid {
    fn from(s: &str) -> Self {
        Uid::Str(s.into())
    }
}

impl From<String> for Uid {
    fn from(s: String) -> Self {
        Uid::Str(s.into())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uid::Int(n) => n.fmt(f),
            Uid::Str(s) => s.fmt(f),
        }
    }
}

/// A session as the outside sees it: 128 random bits, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub u128);

impl SessionId {
    /// A new random id.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The id of a running part (`gate-1`): unique in its namespace, chosen by its operator or made up at start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceId(pub Arc<str>);

impl From<&str> for InstanceId {
    fn from(s: &str) -> Self {
        Self(s.into())
    }
}

impl From<String> for InstanceId {
    fn from(s: String) -> Self {
        Self(s.into())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 64 random bits per process start; compared for equality only, never by size or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// A new random incarnation.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

/// One life of one instance: what owns a binding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Which instance.
    pub id: InstanceId,
    /// Which life of it.
    pub incarnation: Incarnation,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:016x}", self.id, self.incarnation.0)
    }
}

/// A fencing epoch: rises strictly per uid; stays below 2^53 so that every store can hold it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
