//! HTTP answers of the server.

use base64::{Engine, prelude::BASE64_STANDARD};
use due_core::{
    error::{Error, Kind, Origin},
    net::Segments,
};
use sha1::{Digest, Sha1};

/// A refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) text: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, text: &'static str) -> Self {
        Self { status, text }
    }

    /// The same as an error of due.
    pub(crate) fn error(self) -> Error {
        let kind = match self.status {
            403 | 404 => Kind::Forbidden,
            414 | 431 => Kind::TooLarge,
            _ => Kind::Malformed,
        };
        Error::new(kind, self.text).from_origin(Origin::Client).context("status", self.status)
    }
}

/// Sent before the socket is closed for lack of descriptors.
pub(crate) const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Appends the answer that upgrades the connection.
pub(crate) fn switch(accept: &str, out: &mut Segments) {
    for part in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        accept,
        "\r\n\r\n",
    ] {
        out.append(part.as_bytes());
    }
}

/// Appends an answer that refuses, with a short text. A status that is no refusal becomes 403.
pub(crate) fn refuse(status: u16, text: &str, out: &mut Segments) {
    let status = if (300..600).contains(&status) { status } else { 403 };
    let (reason, fields) = meaning(status);
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\n{fields}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    out.append(head.as_bytes());
    out.append(text.as_bytes());
}

/// The `Sec-WebSocket-Accept` of a `Sec-WebSocket-Key`.
pub(crate) fn accept_of(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finalize())
}

/// Is it a `Sec-WebSocket-Key`: 16 bytes in base64?
pub(crate) fn is_key(key: &str) -> bool {
    BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The reason phrase and the header fields that a status requires.
fn meaning(status: u16) -> (&'static str, &'static str) {
    const CLOSE: &str = "Connection: close\r\n";
    match status {
        400 => ("Bad Request", CLOSE),
        401 => ("Unauthorized", CLOSE),
        403 => ("Forbidden", CLOSE),
        404 => ("Not Found", CLOSE),
        405 => ("Method Not Allowed", "Connection: close\r\nAllow: GET\r\n"),
        408 => ("Request Timeout", CLOSE),
        414 => ("URI Too Long", CLOSE),
        426 => {
            ("Upgrade Required", "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        }
        429 => ("Too Many Requests", CLOSE),
        431 => ("Request Header Fields Too Large", CLOSE),
        503 => ("Service Unavailable", CLOSE),
        _ => ("Refused", CLOSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_standard_example() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(!is_key("short") && !is_key("") && !is_key("dGhlIHNhbXBsZSBub25jZQAA"));
    }
}
