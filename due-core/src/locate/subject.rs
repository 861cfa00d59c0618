//! What can be bound, and where.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Kind, Result},
    id::Uid,
};

/// Longest kind, key or node name in bytes.
const MAX_NAME: usize = 128;

/// Who is bound. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A user.
    User(Uid),
    /// An actor. It has one slot, [`Place::Node`] with the name of the node that hosts its kind.
    Actor {
        /// Its kind (`room`): 1 to 128 bytes.
        kind: Arc<str>,
        /// Which one: 1 to 128 bytes.
        key: Arc<str>,
    },
}

impl Subject {
    /// An actor.
    pub fn actor(kind: impl Into<Arc<str>>, key: impl Into<Arc<str>>) -> Self {
        Self::Actor { kind: kind.into(), key: key.into() }
    }

    /// Refuses with `BadRequest` a uid that breaks [`Uid::check`] and names that are empty or too long.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::User(uid) => uid.check(),
            Self::Actor { kind, key } => is_name(kind).and_then(|()| is_name(key)),
        }
    }

    /// A key for stores, the same on every backend: `u:i<decimal>` or `u:s<base64url>` for users, `a:<kind>:<key>` with
    /// both in base64url for actors. `1`, `"1"` and a uid with `}` never meet.
    pub fn store_key(&self) -> String {
        match self {
            Self::User(Uid::Int(n)) => format!("u:i{n}"),
            Self::User(Uid::Str(s)) => format!("u:s{}", base64url(s)),
            Self::Actor { kind, key } => format!("a:{}:{}", base64url(kind), base64url(key)),
        }
    }
}

impl From<Uid> for Subject {
    fn from(uid: Uid) -> Self {
        Self::User(uid)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => uid.fmt(f),
            Self::Actor { kind, key } => write!(f, "{kind}/{key}"),
        }
    }
}

/// Which slot of a record. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The gate that has the user's connection.
    Gate,
    /// The node of this name (`game`) that serves the subject; `game/room` for an actor of kind `room` that a session is
    /// attached to. 1 to 128 bytes.
    Node(Arc<str>),
}

impl Place {
    /// The slot of a node name.
    pub fn node(name: impl Into<Arc<str>>) -> Self {
        Self::Node(name.into())
    }

    /// Refuses with `BadRequest` a name that is empty or too long.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Gate => Ok(()),
            Self::Node(name) => is_name(name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate => f.write_str("gate"),
            Self::Node(name) => write!(f, "node {name}"),
        }
    }
}

fn is_name(text: &str) -> Result<()> {
    match text.len() {
        1..=MAX_NAME => Ok(()),
        n => Err(Error::new(Kind::BadRequest, format!("a kind, key or node name has 1 to {MAX_NAME} bytes, not {n}"))),
    }
}

/// Base64 with `-` and `_`, without padding.
fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(text.len().div_ceil(3) * 4);
    for group in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0usize, |bits, i| (bits << 8) | usize::from(group.get(i).copied().unwrap_or(0)));
        for at in 0..=group.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * at)) & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_keys_never_meet() {
        for (text, encoded) in
            [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{3ff}\u{3ff}", "z7_Pvw")]
        {
            assert_eq!(base64url(text), encoded);
        }
        let keys = [
            Subject::from(Uid::from(1)),
            Subject::from(Uid::from("1")),
            Subject::from(Uid::from("a}b")),
            Subject::actor("u", "1"),
        ]
        .map(|s| s.store_key());
        assert_eq!(keys, ["u:i1", "u:sMQ", "u:sYX1i", "a:dQ:MQ"]);
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in [
            Subject::from(Uid::from(0)),
            Subject::from(Uid::from("")),
            Subject::actor("", "1"),
            Subject::actor("room", "x".repeat(129)),
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), Kind::BadRequest);
        }
        assert!(Place::node("").check().is_err());
        assert!(Place::node("game/room").check().is_ok());
    }
}
