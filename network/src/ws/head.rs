//! The request head: read, bounded, checked.

use due_core::net::RequestHead;
use httparse::{EMPTY_HEADER, Error, Header, Request, Status};

use super::{
    answer::{Refusal, accept_of, is_key},
    rules::Rules,
};

/// Bytes of the longest head.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
/// Most header fields.
pub(crate) const MAX_HEADERS: usize = 64;
/// Bytes of the longest request target.
const MAX_TARGET: usize = 8 * 1024;
/// The method, the version and what separates them.
const REQUEST_LINE: usize = MAX_TARGET + 32;

/// A head that may be upgraded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upgrade {
    pub(crate) head: RequestHead,
    /// Our `Sec-WebSocket-Accept`.
    pub(crate) accept: String,
    /// Bytes of the head.
    pub(crate) size: usize,
}

/// Reads the head at the start of `bytes`; `None` if more has to come.
pub(crate) fn read(bytes: &[u8], rules: &Rules) -> Result<Option<Upgrade>, Refusal> {
    let mut slots = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut slots);
    let size = match request.parse(bytes) {
        Ok(Status::Complete(size)) if size <= MAX_HEAD => size,
        Ok(_) => return room(bytes, request.path),
        Err(Error::TooManyHeaders) => return Err(Refusal::new(431, "more than 64 header fields")),
        Err(_) => return Err(Refusal::new(400, "not an HTTP request")),
    };
    room(bytes.get(..size).unwrap_or_default(), request.path)?;
    check_request(&request)?;
    let head = head(&request)?;
    check_upgrade(&head, rules)?;
    let accept = accept_of(head.header("sec-websocket-key").unwrap_or_default());
    Ok(Some(Upgrade { head, accept, size }))
}

/// May an incomplete head go on?
fn room(bytes: &[u8], target: Option<&str>) -> Result<Option<Upgrade>, Refusal> {
    let line = bytes.iter().take(REQUEST_LINE).any(|b| *b == b'\n');
    if target.map_or(0, str::len) > MAX_TARGET || !line && bytes.len() >= REQUEST_LINE {
        return Err(Refusal::new(414, "the URL is over 8 KiB"));
    }
    if bytes.len() >= MAX_HEAD {
        return Err(Refusal::new(431, "the head is over 16 KiB"));
    }
    Ok(None)
}

fn check_request(request: &Request<'_, '_>) -> Result<(), Refusal> {
    if request.method != Some("GET") {
        return Err(Refusal::new(405, "only GET upgrades"));
    }
    if request.version != Some(1) {
        return Err(Refusal::new(400, "only HTTP/1.1 upgrades"));
    }
    // A body would be taken for frames; both lengths at once is how requests are smuggled past proxies.
    let named = |name: &str| request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
    if named("transfer-encoding").is_some() || named("content-length").is_some_and(|h| h.value.trim_ascii() != b"0") {
        return Err(Refusal::new(400, "an upgrade has no body"));
    }
    Ok(())
}

fn head(request: &Request<'_, '_>) -> Result<RequestHead, Refusal> {
    let target = origin_form(request.path.unwrap_or_default()).ok_or(Refusal::new(400, "a path begins with `/`"))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = request.headers.iter().map(field).collect();
    Ok(RequestHead { path: path.to_owned(), query: query.to_owned(), headers })
}

fn field(header: &Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
}

/// The target without scheme and host, which a proxy may have left in.
fn origin_form(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "ws"].iter().any(|s| s.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    Some(rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"))
}

fn check_upgrade(head: &RequestHead, rules: &Rules) -> Result<(), Refusal> {
    for single in ["host", "origin", "sec-websocket-key", "sec-websocket-version"] {
        if head.headers.iter().filter(|(name, _)| name == single).count() > 1 {
            return Err(Refusal::new(400, "a header field twice that may stand once"));
        }
    }
    if head.header("host").is_none() {
        return Err(Refusal::new(400, "no Host"));
    }
    if !rules.serves(&head.path) {
        return Err(Refusal::new(404, "nothing is here"));
    }
    if !lists(head, "upgrade", "websocket") {
        return Err(Refusal::new(426, "this is a WebSocket"));
    }
    if !lists(head, "connection", "upgrade") {
        return Err(Refusal::new(400, "Connection does not list Upgrade"));
    }
    if head.header("sec-websocket-version") != Some("13") {
        return Err(Refusal::new(426, "only version 13"));
    }
    if !head.header("sec-websocket-key").is_some_and(is_key) {
        return Err(Refusal::new(400, "no good Sec-WebSocket-Key"));
    }
    if !rules.welcomes(head) {
        return Err(Refusal::new(403, "pages of this origin may not connect"));
    }
    Ok(())
}

/// Does a comma-separated header list this token?
pub(crate) fn lists(head: &RequestHead, name: &str, token: &str) -> bool {
    let values = head.headers.iter().filter(|(n, _)| n == name);
    values.flat_map(|(_, value)| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /a?b=c HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn check(text: &str) -> Result<Option<Upgrade>, u16> {
        read(text.as_bytes(), &Rules::default()).map_err(|r| r.status)
    }

    #[test]
    fn a_good_head_is_read_once_it_is_complete() {
        for cut in 0..GOOD.len() {
            assert_eq!(check(&GOOD[..cut]), Ok(None), "{cut}");
        }
        let upgrade = check(&format!("{GOOD}early")).unwrap().unwrap();
        assert_eq!((upgrade.size, upgrade.head.path.as_str(), upgrade.head.query.as_str()), (GOOD.len(), "/a", "b=c"));
        assert_eq!(upgrade.head.header("connection"), Some("keep-alive, Upgrade"));
    }

    #[test]
    fn a_proxy_may_leave_the_host_in() {
        for (target, path) in [("http://h/x", "/x"), ("WS://h:1", "/"), ("/", "/")] {
            let upgrade = check(&GOOD.replace("/a?b=c", target)).unwrap().unwrap();
            assert_eq!(upgrade.head.path, path);
        }
        assert_eq!(check(&GOOD.replace("/a?b=c", "*")), Err(400));
        assert_eq!(check(&GOOD.replace("/a?b=c", "ftp://h/")), Err(400));
    }

    /// proves B094, B095, B096, B097, B098, conformance 16
    #[test]
    fn a_bad_head_gets_its_status() {
        let long = "x".repeat(9000);
        let fields = |n: usize| GOOD.replace("Host", &format!("{}Host", "X: y\r\n".repeat(n)));
        for (text, status) in [
            (fields(60), 431),
            (fields(10_000), 431),
            (GOOD.replace("Host", &format!("X: {}\r\nHost", long.repeat(2))), 431),
            (format!("GET /{}", long.repeat(7)), 414),
            (GOOD.replace("/a", &format!("/{long}")), 414),
            (GOOD.replace("Host", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nHost"), 400),
            (GOOD.replace("Host", "Content-Length: 5\r\nHost"), 400),
            (GOOD.replace("Sec-WebSocket-Key", "X-Key"), 400),
            (GOOD.replace("dGhl", "===="), 400),
            (GOOD.replace("Version: 13", "Version: 8"), 426),
            (GOOD.replace("Sec-WebSocket-Version: 13\r\n", ""), 426),
            (GOOD.replace("GET", "POST"), 405),
            (GOOD.replace("HTTP/1.1", "HTTP/1.0"), 400),
            (GOOD.replace("HTTP/1.1", "HTTP/2.0"), 400),
            (GOOD.replace("Upgrade: WebSocket\r\n", ""), 426),
            (GOOD.replace("WebSocket\r", "h2c\r"), 426),
            (GOOD.replace("keep-alive, Upgrade", "keep-alive"), 400),
            (GOOD.replace("Host: h\r\n", ""), 400),
            (GOOD.replace("Host: h\r\n", "Host: h\r\nHost: i\r\n"), 400),
            (GOOD.replace("Host: h", "Origin: https://evil.example\r\nHost: h"), 403),
            (GOOD.replace("Host: h", "Host : h"), 400),
            ("\x16\x03\x01\x02".to_owned(), 400),
        ] {
            assert_eq!(check(&text), Err(status), "{}", &text[..text.len().min(200)]);
        }
    }

    #[test]
    fn sixty_four_fields_and_an_8_kib_url_pass() {
        let text = GOOD.replace("Host", &format!("{}Host", "X: y\r\n".repeat(59)));
        assert!(check(&text).unwrap().is_some());
        let text = GOOD.replace("/a?b=c", &format!("/{}", "x".repeat(MAX_TARGET - 1)));
        assert!(check(&text).unwrap().is_some());
    }
}
