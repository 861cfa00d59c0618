//! What goes wrong at a redis server, in due's words.

use due_core::{Error, Kind, Origin, Retry, Url};
use redis::{ErrorKind, RedisError, ServerError};

/// Codes of a server that did nothing because it cannot now.
const AWAY: [&str; 6] = ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"];
const LOGIN: [&str; 3] = ["NOAUTH", "WRONGPASS", "NOPERM"];

/// Why there is no connection.
pub(super) fn connecting(url: &Url, cause: RedisError) -> Error {
    let text = cause.to_string();
    let is_login = cause.kind() == ErrorKind::AuthenticationFailed || LOGIN.iter().any(|code| text.contains(code));
    let error = match (is_login, cause.kind()) {
        (true, _) => {
            Error::config("the server refuses the log-in: give user and password as redis://user:password@host")
        }
        (_, ErrorKind::RESP3NotSupported) => Error::config("the server is older than redis 6"),
        _ => Error::new(Kind::BusDown, "no connection to redis").retry_as(Retry::Safe),
    };
    error.from_origin(Origin::Remote).context("url", url).because(text)
}

/// A server that did not do what it was asked.
pub(super) fn refused(url: &Url, cause: &ServerError) -> Error {
    let text = format!("{} {}", cause.code(), cause.details().unwrap_or_default());
    let error = match cause.code() {
        code if AWAY.contains(&code) => Error::new(Kind::BusDown, "redis cannot now").retry_as(Retry::Safe),
        code if LOGIN.contains(&code) => Error::config("the redis user may not do this: see its ACL"),
        "OOM" => Error::new(Kind::Full, "redis is out of memory"),
        _ => Error::new(Kind::Internal, "redis refused a request"),
    };
    error.from_origin(Origin::Remote).context("url", url).because(text)
}

/// Must the connection be made anew after this answer?
pub(super) fn is_elsewhere(cause: &ServerError) -> bool {
    matches!(cause.code(), "READONLY" | "MASTERDOWN" | "NOAUTH")
}

/// Nothing was sent, because there is no connection.
pub(super) fn down(url: &Url, why: &str) -> Error {
    Error::new(Kind::BusDown, "redis cannot be reached").retry_as(Retry::Safe).context("url", url).because(why)
}

/// What was sent may have arrived.
pub(super) fn unheard(url: &Url, why: &str) -> Error {
    Error::new(Kind::Timeout, "redis did not answer").context("url", url).because(why)
}

/// An answer that redis does not give.
pub(super) fn odd(what: &'static str) -> Error {
    Error::new(Kind::Internal, format!("redis answered a {what} oddly: does another program write under this ns?"))
}
