//! The one error of due: a closed list of kinds, each with its retry class.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// `Result` with due's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The list is closed for users to match on; every part of due uses it and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The caller gave up.
    Cancelled,
    /// The request cannot be understood or breaks a rule of the callee.
    BadRequest,
    /// No answer within the deadline.
    Timeout,
    /// The handle is stale: what it named is not there any more.
    Gone,
    /// A fault of the program.
    Internal,
    /// Log in first.
    Unauthorized,
    /// Not allowed, logged in or not.
    Forbidden,
    /// Nobody serves this route.
    NoRoute,
    /// A shared queue is full; slow down.
    Overloaded,
    /// The part that would do it cannot be reached now.
    Unavailable,
    /// The route needs a binding that this user does not have.
    NotBound,
    /// The owner of the user or actor died while it had the request.
    OwnerLost,
    /// The message reached an instance that does not own the target.
    NotOwner,
    /// The owner has handed the target over.
    Moved,
    /// The message carries an epoch lower than one already seen.
    Stale,
    /// The user is connected nowhere.
    Offline,
    /// It exists already, or was asked for already.
    Duplicate,
    /// Bytes that follow no known format.
    Malformed,
    /// Over a size limit.
    TooLarge,
    /// Over a rate limit.
    RateLimited,
    /// A call to oneself that could never be answered.
    WouldDeadlock,
    /// The backend or the peer does not offer this.
    Unsupported,
    /// The peer sent something before its turn.
    NotReady,
    /// Messages were lost on the way.
    Lost,
    /// The same user logged in elsewhere.
    Relogin,
    /// The peer did not read for too long.
    Slow,
    /// The instance is going away.
    Draining,
    /// A bounded queue of this process is full (never leaves the process).
    Full,
    /// The event bus is not connected (never leaves the process).
    BusDown,
    /// Another live process has this instance id (never leaves the process).
    AlreadyRunning,
    /// Another incarnation took this instance id over (never leaves the process).
    Superseded,
    /// A wrong setting (never leaves the process).
    Config,
}

/// May the caller simply try again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Trying again cannot help.
    Never,
    /// It certainly did not happen: trying again is safe.
    Safe,
    /// It may have happened.
    Unknown,
}

/// Who found the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This process.
    Local,
    /// A peer of the cluster or a server outside.
    Remote,
    /// The client of a session.
    Client,
}

/// Name and client number of every kind; the kinds below 1000 of `code` mirror it.
const TABLE: &[(Kind, u32, Retry, &str)] = &[
    (Kind::Cancelled, 1, Retry::Unknown, "cancelled"),
    (Kind::BadRequest, 3, Retry::Never, "bad request"),
    (Kind::Timeout, 4, Retry::Unknown, "no answer in time"),
    (Kind::Gone, 5, Retry::Never, "gone"),
    (Kind::Internal, 6, Retry::Never, "internal error"),
    (Kind::Unauthorized, 7, Retry::Never, "log in first"),
    (Kind::Forbidden, 8, Retry::Never, "forbidden"),
    (Kind::NoRoute, 9, Retry::Never, "no such route"),
    (Kind::Overloaded, 10, Retry::Safe, "too many requests"),
    (Kind::Unavailable, 11, Retry::Safe, "unavailable"),
    (Kind::NotBound, 12, Retry::Never, "not bound"),
    (Kind::OwnerLost, 13, Retry::Unknown, "owner lost"),
    (Kind::NotOwner, 14, Retry::Safe, "not the owner"),
    (Kind::Moved, 15, Retry::Safe, "moved"),
    (Kind::Stale, 16, Retry::Never, "stale epoch"),
    (Kind::Offline, 17, Retry::Never, "offline"),
    (Kind::Duplicate, 18, Retry::Never, "duplicate"),
    (Kind::Malformed, 19, Retry::Never, "malformed"),
    (Kind::TooLarge, 20, Retry::Never, "too large"),
    (Kind::RateLimited, 21, Retry::Safe, "rate limited"),
    (Kind::WouldDeadlock, 22, Retry::Never, "would deadlock"),
    (Kind::Unsupported, 23, Retry::Never, "unsupported"),
    (Kind::NotReady, 24, Retry::Safe, "not ready"),
    (Kind::Lost, 25, Retry::Unknown, "lost"),
    (Kind::Relogin, 26, Retry::Never, "logged in elsewhere"),
    (Kind::Slow, 27, Retry::Never, "reading too slowly"),
    (Kind::Draining, 28, Retry::Safe, "going away"),
    (Kind::Full, 10, Retry::Safe, "queue full"),
    (Kind::BusDown, 11, Retry::Safe, "event bus down"),
    (Kind::AlreadyRunning, 6, Retry::Never, "already running"),
    (Kind::Superseded, 6, Retry::Never, "superseded"),
    (Kind::Config, 6, Retry::Never, "configuration"),
];

impl Kind {
    fn row(self) -> (u32, Retry, &'static str) {
        TABLE.iter().find(|r| r.0 == self).map_or((6, Retry::Never, "internal error"), |r| (r.1, r.2, r.3))
    }

    /// The number a client sees. Kinds that never leave the process answer with the nearest public one.
    pub fn code(self) -> u32 {
        self.row().0
    }

    /// The kind a client number stands for; `None` for an application's own codes and unknown numbers.
    pub fn from_code(code: u32) -> Option<Self> {
        TABLE.iter().find(|r| r.1 == code).map(|r| r.0)
    }

    /// The retry class an error of this kind has unless the raiser knows better.
    pub fn retry(self) -> Retry {
        self.row().1
    }

    /// A short text for people.
    pub fn text(self) -> &'static str {
        self.row().2
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// One boxed struct: kind, retry class, origin, text, context pairs, source.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    retry: Retry,
    origin: Origin,
    text: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error found in this process.
    pub fn new(kind: Kind, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: kind.retry(),
            origin: Origin::Local,
            text: text.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// A wrong setting; say the key, the value and the fix.
    pub fn config(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config, text)
    }

    /// Replaces the retry class that the kind implies.
    #[must_use]
    pub fn retry_as(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says who found the fault.
    #[must_use]
    pub fn from_origin(mut self, origin: Origin) -> Self {
        self.0.origin = origin;
        self
    }

    /// Adds a key and value for the log; add it once, where it is known.
    #[must_use]
    pub fn context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// May the caller try again?
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Who found it.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The text without context and cause.
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self::new(kind, kind.text())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.0;
        match e.text.as_ref() {
            text if text == e.kind.text() => f.write_str(text)?,
            text => write!(f, "{}: {text}", e.kind)?,
        }
        for (i, (key, value)) in e.context.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { " (" } else { ", " })?;
        }
        if !e.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut at = self.source();
        while let Some(cause) = at {
            write!(f, ": {cause}")?;
            at = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_kind_maps_to_its_number_and_back() {
        for (kind, code, ..) in TABLE.iter().take(27) {
            assert_eq!(kind.code(), *code);
            assert_eq!(Kind::from_code(*code), Some(*kind));
        }
        assert_eq!(Kind::from_code(2), None);
        assert_eq!(Kind::from_code(1001), None);
    }

    #[test]
    fn an_error_prints_kind_text_context_and_cause() {
        let e = Error::new(Kind::Unavailable, "connect").context("url", "etcd://a").because("refused");
        assert_eq!(e.to_string(), "unavailable: connect (url=etcd://a)");
        assert_eq!(format!("{e:?}"), "unavailable: connect (url=etcd://a): refused");
        assert_eq!(e.retry(), Retry::Safe);
    }
}
