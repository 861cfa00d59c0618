//! The client's side of the upgrade.

use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};
use due_core::{
    Url,
    error::{Error, Kind, Origin, Result},
    net::RequestHead,
};
use httparse::{EMPTY_HEADER, Response, Status};
use tokio::net::TcpStream;

use super::{
    answer::accept_of,
    head::{MAX_HEAD, MAX_HEADERS, lists},
    rules::Dial,
};

/// Asks for the upgrade; returns what the server sent behind its answer.
pub(crate) async fn upgrade(stream: &TcpStream, url: &Url, dial: &Dial) -> Result<Vec<u8>> {
    let key = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    send(stream, request(url, dial, &key).as_bytes()).await.map_err(|e| broken(url).because(e))?;
    let mut bytes = Vec::new();
    loop {
        if receive(stream, &mut bytes).await.map_err(|e| broken(url).because(e))? == 0 {
            return Err(broken(url));
        }
        if let Some(size) = check(&bytes, &accept_of(&key)).map_err(|e| e.context("url", url))? {
            return Ok(bytes.split_off(size));
        }
        if bytes.len() >= MAX_HEAD {
            return Err(not_ours("the answer is over 16 KiB").context("url", url));
        }
    }
}

fn request(url: &Url, dial: &Dial, key: &str) -> String {
    let host = if url.host().starts_with(':') { format!("127.0.0.1{}", url.host()) } else { url.host().to_owned() };
    let origin = dial.origin.as_ref().map(|o| format!("Origin: {o}\r\n")).unwrap_or_default();
    format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\n{origin}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
        dial.target
    )
}

/// Bytes of a good answer at the start of `bytes`; `None` if more has to come.
fn check(bytes: &[u8], accept: &str) -> Result<Option<usize>> {
    let mut slots = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut slots);
    let size = match response.parse(bytes) {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) => return Ok(None),
        Err(e) => return Err(not_ours("the answer is no HTTP").because(e)),
    };
    match response.code.unwrap_or_default() {
        101 => {}
        status @ 500.. => {
            return Err(Error::new(Kind::Unavailable, "the server cannot upgrade now").context("status", status));
        }
        status => return Err(Error::new(Kind::Forbidden, "the server refused the upgrade").context("status", status)),
    }
    let fields =
        response.headers.iter().map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()));
    let head = RequestHead { headers: fields.collect(), ..RequestHead::default() };
    let good = lists(&head, "upgrade", "websocket")
        && lists(&head, "connection", "upgrade")
        && head.header("sec-websocket-accept").map(str::trim) == Some(accept);
    // We offered none.
    let extended =
        ["sec-websocket-extensions", "sec-websocket-protocol"].iter().any(|name| head.header(name).is_some());
    if !good || extended {
        return Err(not_ours("the answer does not fit the request"));
    }
    Ok(Some(size))
}

async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn receive(stream: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 2048];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut piece) {
            Ok(n) => {
                bytes.extend_from_slice(piece.get(..n).unwrap_or_default());
                return Ok(n);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

fn broken(url: &Url) -> Error {
    Error::new(Kind::Unavailable, "the connection broke during the upgrade").context("url", url)
}

fn not_ours(text: &'static str) -> Error {
    Error::new(Kind::Malformed, text).from_origin(Origin::Remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(extra: &str) -> String {
        format!(
            "HTTP/1.1 101 OK\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: abc=\r\n{extra}\r\n"
        )
    }

    #[test]
    fn only_a_fitting_answer_passes() {
        let good = answer("");
        assert_eq!(check(good.as_bytes(), "abc=").unwrap(), Some(good.len()));
        assert_eq!(check(&good.as_bytes()[..50], "abc=").unwrap(), None);
        for (text, kind) in [
            (good.replace("abc=", "abd="), Kind::Malformed),
            (good.replace("Upgrade: WebSocket\r\n", ""), Kind::Malformed),
            (answer("Sec-WebSocket-Extensions: permessage-deflate\r\n"), Kind::Malformed),
            (answer("Sec-WebSocket-Protocol: due\r\n"), Kind::Malformed),
            (good.replace("101", "403"), Kind::Forbidden),
            (good.replace("101", "301"), Kind::Forbidden),
            (good.replace("101", "503"), Kind::Unavailable),
            ("SSH-2.0-OpenSSH\r\n".to_owned(), Kind::Malformed),
        ] {
            assert_eq!(check(text.as_bytes(), "abc=").unwrap_err().kind(), kind, "{text}");
        }
    }
}
