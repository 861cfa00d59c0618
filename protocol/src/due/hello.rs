//! Hello and welcome: how a client asks for what the old format lacks.

use std::fmt;

use due_core::{
    error::{Error, Kind, Result},
    net::Framing,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{code, dialect::Dialect};

/// The version of the extension that this crate speaks, the only one so far.
pub const VERSION: u32 = 1;

/// What the body of a hello begins with.
pub(super) const MAGIC: &[u8] = b"due1";

/// Longest body of a hello or welcome in bytes; a JSON value takes a multiple of it in memory.
const MAX: usize = 16 * 1024;
const MAX_FEATURES: usize = 64;
const MAX_WORD: usize = 64;

/// A client's first frame. Unknown fields are ignored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the extension that the client speaks.
    pub version: u32,
    /// What it can do, by name: at most 64 names of at most 64 bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// For the application, such as a login token; `Null` if absent. Never printed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
}

/// A server's answer to hello. Unknown fields are ignored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the extension that both speak from now on.
    pub version: u32,
    /// What the session has, by name: of the client's list what the server can do too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// What to show when resuming; absent without resume. Never printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How many data frames of the client the server has taken.
    #[serde(default)]
    pub received: u64,
    /// What became of the session that the client wanted back; absent if it wanted none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// What became of the session that a client wanted back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resume {
    /// It goes on.
    Resumed {
        /// So many frames are sent again.
        n: u64,
    },
    /// A new one begins; the application must load its state again.
    Fresh {
        /// Why, in one word.
        reason: String,
        /// How many frames are gone, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<u64>,
    },
}

impl Dialect {
    /// Appends a hello. `TooLarge` over 16 KiB or the limit of bodies.
    pub fn put_hello(&self, hello: &Hello, framing: Framing, out: &mut Vec<u8>) -> Result<()> {
        self.put_json(MAGIC, hello, framing, out)
    }

    /// Appends a welcome. `TooLarge` over 16 KiB or the limit of bodies.
    pub fn put_welcome(&self, welcome: &Welcome, framing: Framing, out: &mut Vec<u8>) -> Result<()> {
        self.put_json(&[], welcome, framing, out)
    }

    /// Reads the body of a client's hello. `Unsupported` if the listener has no seq or the version is unknown (the
    /// error's context says which are known), else `Malformed` or `TooLarge`. Each of them ends the connection.
    pub fn hello(&self, body: &[u8]) -> Result<Hello> {
        if !self.accepts_hello() {
            return Err(Error::new(Kind::Unsupported, "hello needs a listener with seq-bytes of 1, 2 or 4"));
        }
        let json = body.strip_prefix(MAGIC).ok_or_else(|| malformed("a hello that does not begin with due1"))?;
        let hello: Hello = parse(json)?;
        known(hello.version)?;
        bounded(&hello.features)?;
        Ok(hello)
    }

    /// Reads the body of a server's welcome; errors as for [`Dialect::hello`].
    pub fn welcome(&self, body: &[u8]) -> Result<Welcome> {
        let welcome: Welcome = parse(body)?;
        known(welcome.version)?;
        bounded(&welcome.features)?;
        Ok(welcome)
    }

    fn put_json<T: Serialize>(&self, magic: &[u8], value: &T, framing: Framing, out: &mut Vec<u8>) -> Result<()> {
        let mut body = magic.to_vec();
        serde_json::to_writer(&mut body, value).map_err(|e| Error::new(Kind::BadRequest, "not JSON").because(e))?;
        if body.len() > MAX + magic.len() {
            return Err(too_large(body.len()));
        }
        Ok(self.put_extension(code::HELLO, &body, framing, out)?)
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    if json.len() > MAX {
        return Err(too_large(json.len()));
    }
    // The library bounds the depth. Its text may quote the payload, so it is not kept.
    serde_json::from_slice(json).map_err(|_| malformed("not the JSON map of a hello or welcome"))
}

fn known(version: u32) -> Result<()> {
    if version == VERSION {
        return Ok(());
    }
    let unknown = Error::new(Kind::Unsupported, "an unknown version of the due extension");
    Err(unknown.context("version", version).context("min", VERSION).context("max", VERSION))
}

fn bounded(features: &[String]) -> Result<()> {
    if features.len() > MAX_FEATURES || features.iter().any(|f| f.len() > MAX_WORD) {
        return Err(malformed("more than 64 features, or one of more than 64 bytes"));
    }
    Ok(())
}

fn malformed(why: &'static str) -> Error {
    Error::new(Kind::Malformed, why)
}

fn too_large(len: usize) -> Error {
    Error::new(Kind::TooLarge, "a hello or welcome over 16 KiB").context("len", len)
}

impl Hello {
    /// A hello of the current version.
    pub fn new(payload: Value) -> Self {
        Self { version: VERSION, features: Vec::new(), payload }
    }
}

impl Welcome {
    /// A welcome of the current version, without resume.
    pub fn new() -> Self {
        Self { version: VERSION, features: Vec::new(), session: None, received: 0, resume: None }
    }
}

impl Default for Welcome {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("version", &self.version)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome")
            .field("version", &self.version)
            .field("features", &self.features)
            .field("received", &self.received)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use serde_json::json;

    #[test]
    fn a_hello_has_these_bytes_and_reads_back() {
        let dialect = Dialect::default();
        let mut out = Vec::new();
        dialect.put_hello(&Hello::new(json!({"token": "t"})), Framing::Stream, &mut out).unwrap();
        assert_eq!(out, b"\0\0\0\x2a\x01due1{\"version\":1,\"payload\":{\"token\":\"t\"}}");
        assert_eq!(dialect.hello(&out[5..]).unwrap(), Hello::new(json!({"token": "t"})));
    }

    #[test]
    fn a_welcome_reads_back_whole() {
        let dialect = Dialect::readme();
        for resume in
            [None, Some(Resume::Resumed { n: 3 }), Some(Resume::Fresh { reason: "expired".into(), lost: None })]
        {
            let welcome = Welcome {
                features: vec!["resume".into()],
                session: Some("s".into()),
                received: 9,
                resume,
                ..Welcome::new()
            };
            let mut out = Vec::new();
            dialect.put_welcome(&welcome, Framing::Messages, &mut out).unwrap();
            assert_eq!((out[0], out[1]), (code::HELLO, b'{'));
            assert_eq!(dialect.welcome(&out[1..]).unwrap(), welcome);
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_absent_ones_have_defaults() {
        let hello = Dialect::default().hello(br#"due1{"version":1,"later":[{}]}"#).unwrap();
        assert_eq!(hello, Hello::new(Value::Null));
    }

    #[test]
    fn what_is_wrong_with_a_hello_gives_its_kind() {
        let dialect = Dialect::default();
        let kind = |body: &[u8]| dialect.hello(body).unwrap_err().kind();
        for body in ["due1", "due1[]", "due1{}", "due1{\"version\":-1}", "due1{\"version\":1}x", "due2{\"version\":1}"]
        {
            assert_eq!(kind(body.as_bytes()), Kind::Malformed, "{body}");
        }
        let deep = format!("due1{{\"version\":1,\"payload\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(kind(deep.as_bytes()), Kind::Malformed);
        let long = format!("due1{{\"version\":1,\"payload\":\"{}\"}}", "x".repeat(MAX));
        assert_eq!(kind(long.as_bytes()), Kind::TooLarge);
        let many = json!({"version": 1, "features": vec!["f"; MAX_FEATURES + 1]});
        assert_eq!(kind(format!("due1{many}").as_bytes()), Kind::Malformed);
    }

    #[test]
    fn an_unknown_version_names_the_known_ones() {
        // proves B020
        let e = Dialect::default().hello(br#"due1{"version":2}"#).unwrap_err();
        assert_eq!(e.kind(), Kind::Unsupported);
        assert!(e.to_string().contains("min=1, max=1"), "{e}");
    }

    #[test]
    fn without_seq_there_is_no_hello() {
        let dialect = Dialect::new(Settings { seq_bytes: 0, ..Settings::default() }).unwrap();
        assert_eq!(dialect.hello(br#"due1{"version":1}"#).unwrap_err().kind(), Kind::Unsupported);
    }

    #[test]
    fn secrets_never_print() {
        let hello = Hello::new(json!("hunter2"));
        let welcome = Welcome { session: Some("hunter2".into()), ..Welcome::new() };
        assert!(!format!("{hello:?}{welcome:?}").contains("hunter2"));
        let e = Dialect::default().hello(br#"due1{"version":"hunter2"}"#).unwrap_err();
        assert!(!format!("{e:?}").contains("hunter2"));
    }
}
