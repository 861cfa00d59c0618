//! The head of a request before anybody understands it: its size, its time, and what it must not hold.
//!
//! Each connection carries one request. That costs little here, and leaves no place for a second request in the body of the
//! first.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::problem::Problem;

/// Bytes of a head, with the line of the request.
const HEAD: usize = 16 * 1024;
/// Bytes of the line of the request.
const LINE: usize = 8 * 1024;
/// Lines of headers.
const HEADERS: usize = 64;
/// How long a head may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection whose first bytes were read already.
pub(super) struct Begun {
    read: Vec<u8>,
    at: usize,
    socket: TcpStream,
}

/// Reads to the end of the head. An error is to be answered, if it says what, and the connection closed.
pub(super) async fn begin(mut socket: TcpStream) -> Result<Begun, (TcpStream, Option<Problem>)> {
    let mut read = Vec::with_capacity(1024);
    let checked = match timeout(PATIENCE, fill(&mut socket, &mut read)).await {
        Ok(checked) => checked,
        Err(_) => Err(Some(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the head did not come within 5 s"))),
    };
    match checked {
        Ok(()) => Ok(Begun { read, at: 0, socket }),
        Err(problem) => Err((socket, problem)),
    }
}

async fn fill(socket: &mut TcpStream, read: &mut Vec<u8>) -> Result<(), Option<Problem>> {
    let mut buffer = [0; 2048];
    loop {
        let n = socket.read(&mut buffer).await.map_err(|_| None)?;
        read.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        check(read.get(..end.unwrap_or(read.len())).unwrap_or_default(), end.is_some()).map_err(Some)?;
        match (n, end) {
            (_, Some(_)) => return Ok(()),
            (0, None) => return Err(None),
            _ => {}
        }
    }
}

/// What is there of a head so far.
fn check(head: &[u8], whole: bool) -> Result<(), Problem> {
    let large = |what: &str| {
        Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too_large", format!("{what}: send less"))
    };
    let mut lines = head.split(|b| *b == b'\n');
    if lines.next().map_or(0, <[u8]>::len) > LINE {
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "too_large", "the URL is longer than 8 KiB"));
    }
    if head.len() > HEAD {
        return Err(large("the head is larger than 16 KiB"));
    }
    if lines.clone().count() > HEADERS {
        return Err(large("there are more than 64 headers"));
    }
    if !whole {
        return Ok(());
    }
    let (mut lengths, mut encodings) = (0, 0);
    for line in lines {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        lengths += usize::from(name.eq_ignore_ascii_case(b"content-length"));
        encodings += usize::from(name.eq_ignore_ascii_case(b"transfer-encoding"));
        let folded = matches!(name.first(), Some(b' ' | b'\t'));
        if folded || name.last().is_some_and(u8::is_ascii_whitespace) && name != b"\r" {
            return Err(Problem::invalid("a header is folded, or has a space before its colon"));
        }
    }
    match lengths + encodings {
        0 | 1 => Ok(()),
        _ => Err(Problem::invalid("the length of the body is given twice: send Content-Length or Transfer-Encoding")),
    }
}

impl AsyncRead for Begun {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.read.get(self.at..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, into);
        }
        let n = left.len().min(into.remaining());
        into.put_slice(left.get(..n).unwrap_or_default());
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_head(head: &str, expected: Option<u16>) {
        assert_eq!(check(head.as_bytes(), true).err().map(|p| p.status), expected, "{head:.80}");
    }

    #[test] // B094, B095, B096
    fn heads_that_are_too_large_or_say_two_lengths_are_refused() {
        check_head("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3", None);
        check_head(&format!("GET /{} HTTP/1.1\r\nHost: a", "x".repeat(64 * 1024)), Some(414));
        check_head(&format!("GET / HTTP/1.1{}", "\r\na: b".repeat(10_000)), Some(431));
        check_head(&format!("GET / HTTP/1.1{}", "\r\na: b".repeat(65)), Some(431));
        check_head(&format!("GET / HTTP/1.1\r\na: {}", "x".repeat(HEAD)), Some(431));
        check_head("POST / HTTP/1.1\r\nContent-Length: 3\r\ntransfer-encoding: chunked", Some(400));
        check_head("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4", Some(400));
        check_head("POST / HTTP/1.1\r\nContent-Length : 3", Some(400));
        check_head("POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 3", Some(400));
    }
}
