//! What goes wrong with a call and with a connection.

use std::{error::Error as StdError, fmt, time::Duration};

use due_core::{Code, CodecError, Error, Kind, Origin, Retry};

/// Why a call or notify failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered with an error.
    Refused {
        /// Its number: below 1000 due's own ([`Kind::from_code`]), else the application's.
        code: u32,
        /// The same for people.
        text: String,
    },
    /// No answer in time. A late one is dropped.
    Timeout,
    /// There is no connection, or it ended before the answer came.
    Gone {
        /// Why it ended.
        reason: Closed,
        /// The request may have reached the server.
        sent: bool,
    },
    /// The request cannot be encoded or encrypted, or the answer cannot be decrypted or decoded.
    Codec(CodecError),
    /// The connection's format cannot carry the request; the text names the setting.
    Unfit(String),
    /// A bounded queue of this client is full: wait with [`Client::ready`](crate::Client::ready).
    Full,
}

impl CallError {
    /// May the caller simply try again?
    pub fn retry(&self) -> Retry {
        match self {
            CallError::Refused { code, .. } => Kind::from_code(*code).map_or(Retry::Never, Kind::retry),
            CallError::Timeout | CallError::Gone { sent: true, .. } => Retry::Unknown,
            CallError::Gone { sent: false, .. } | CallError::Full => Retry::Safe,
            CallError::Codec(_) | CallError::Unfit(_) => Retry::Never,
        }
    }

    /// Did the server answer with this code?
    pub fn is(&self, code: Code) -> bool {
        matches!(self, CallError::Refused { code: number, .. } if *number == code.number())
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused { code, text } => write!(f, "refused: {text} ({code})"),
            CallError::Timeout => f.write_str("no answer in time"),
            CallError::Gone { reason, sent: true } => write!(f, "no answer before the end of the connection: {reason}"),
            CallError::Gone { reason, sent: false } => write!(f, "not sent, there is no connection: {reason}"),
            CallError::Codec(e) => e.fmt(f),
            CallError::Unfit(text) => f.write_str(text),
            CallError::Full => f.write_str(
                "too much waits to be sent or answered: await `Client::ready`, or raise `outbox` or `in-flight`",
            ),
        }
    }
}

impl StdError for CallError {}

impl From<CodecError> for CallError {
    fn from(e: CodecError) -> Self {
        CallError::Codec(e)
    }
}

/// Why a client has no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// It was built, but not opened yet.
    Unopened,
    /// This program ended it: `close`, the last handle dropped, or the runtime gone.
    Local,
    /// The server ended the session.
    Kicked {
        /// Why, as a number: below 1000 due's own ([`Kind::from_code`]).
        code: u32,
        /// The same for people.
        text: String,
    },
    /// The server goes away.
    GoAway {
        /// Why, as a number.
        reason: u32,
        /// When to connect again.
        retry_after: Duration,
    },
    /// The server closed the connection without a word.
    Server,
    /// The server sent nothing for two heartbeat intervals.
    Silent,
    /// The connection broke.
    Network {
        /// How.
        text: String,
    },
    /// The server broke the format, or speaks another one.
    Protocol {
        /// How.
        text: String,
    },
    /// The server does not want this client to connect again.
    Refused {
        /// Why.
        kind: Kind,
        /// The same for people.
        text: String,
    },
}

impl Closed {
    /// Can a new connection help? Not after `close`, a breach of the format, or a kick that says otherwise: a second
    /// login elsewhere, a ban, any code of the application.
    pub fn may_return(&self) -> bool {
        match self {
            Closed::Kicked { code, .. } => Kind::from_code(*code).is_some_and(|k| k.retry() == Retry::Safe),
            Closed::GoAway { .. } | Closed::Server | Closed::Silent | Closed::Network { .. } => true,
            Closed::Unopened | Closed::Local | Closed::Protocol { .. } | Closed::Refused { .. } => false,
        }
    }

    /// The end of a connection that broke with `e`.
    pub(crate) fn of(e: &Error) -> Self {
        let text = format!("{e:?}");
        match e.kind() {
            Kind::Malformed | Kind::TooLarge | Kind::Unsupported => Closed::Protocol { text },
            _ => Closed::Network { text },
        }
    }

    /// The end of the attempts to connect, if `e` says that no attempt can help.
    pub(crate) fn for_good(e: &Error) -> Option<Self> {
        match e.kind() {
            Kind::Config | Kind::Forbidden | Kind::Unauthorized | Kind::BadRequest | Kind::Unsupported => {
                Some(Closed::Refused { kind: e.kind(), text: format!("{e:?}") })
            }
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Closed::Unopened => Kind::NotReady,
            Closed::Local => Kind::Gone,
            Closed::Kicked { code, .. } => Kind::from_code(*code).unwrap_or(Kind::Forbidden),
            Closed::GoAway { .. } | Closed::Server | Closed::Silent | Closed::Network { .. } => Kind::Unavailable,
            Closed::Protocol { .. } => Kind::Malformed,
            Closed::Refused { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Unopened => f.write_str("the client is not open yet: call `Client::open`"),
            Closed::Local => f.write_str("closed by this program"),
            Closed::Kicked { code, text } => write!(f, "kicked: {text} ({code})"),
            Closed::GoAway { reason, .. } => write!(f, "the server goes away ({reason})"),
            Closed::Server => f.write_str("the server closed the connection"),
            Closed::Silent => f.write_str("the server was silent for two heartbeats"),
            Closed::Network { text } => write!(f, "the connection broke: {text}"),
            Closed::Protocol { text } => write!(f, "the server broke the format: {text}"),
            Closed::Refused { text, .. } => write!(f, "the server refused the connection: {text}"),
        }
    }
}

impl StdError for Closed {}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        let origin = if matches!(closed, Closed::Local | Closed::Unopened) { Origin::Local } else { Origin::Remote };
        let error = Error::new(closed.kind(), closed.to_string()).from_origin(origin);
        match closed {
            Closed::Kicked { code, .. } => error.context("code", code),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kicked(code: u32) -> Closed {
        Closed::Kicked { code, text: String::new() }
    }

    #[test]
    fn a_kick_allows_a_return_only_if_its_code_says_that_it_helps() {
        assert!(!kicked(Kind::Relogin.code()).may_return());
        assert!(!kicked(Kind::Forbidden.code()).may_return());
        assert!(!kicked(1001).may_return() && !kicked(999).may_return());
        assert!(kicked(Kind::Draining.code()).may_return() && kicked(Kind::Overloaded.code()).may_return());
        assert!(Closed::Server.may_return() && !Closed::Local.may_return());
    }

    #[test]
    fn what_was_never_sent_is_safe_to_repeat() {
        let gone = |sent| CallError::Gone { reason: Closed::Server, sent }.retry();
        assert_eq!((gone(true), gone(false)), (Retry::Unknown, Retry::Safe));
        let refused = |code| CallError::Refused { code, text: String::new() }.retry();
        assert_eq!((refused(10), refused(1001), refused(4)), (Retry::Safe, Retry::Never, Retry::Unknown));
    }

    #[test]
    fn a_code_is_recognised() {
        const TAKEN: Code = Code::new(1001, "taken");
        assert!(CallError::Refused { code: 1001, text: "x".into() }.is(TAKEN));
        assert!(!CallError::Refused { code: 1002, text: "x".into() }.is(TAKEN) && !CallError::Timeout.is(TAKEN));
    }
}
