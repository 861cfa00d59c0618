//! Query keys of `ws://` URLs, and whom a listener lets in.

use std::{collections::BTreeMap, time::Duration};

use due_core::{
    Url,
    error::{Error, Result},
    net::RequestHead,
    units,
};
use serde::Deserialize;

use crate::tcp::settings::{self, always};

/// Bytes of the largest message where nothing is said: 64 KiB and the protocol's header.
pub(crate) const MAX_MESSAGE: usize = 65_536 + 64;
/// No one may ask for more: a length has to fit everywhere.
const MOST: usize = 1 << 30;

/// Whom a listener lets in, and how large their messages may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    path: Option<String>,
    origins: Vec<String>,
    pub(crate) max_message: usize,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Listen {
    path: Option<String>,
    origins: String,
    #[serde(with = "units::serde_size")]
    max_message: usize,
    backlog: u32,
    reuseport: bool,
    #[serde(deserialize_with = "always")]
    nodelay: (),
}

impl Default for Listen {
    fn default() -> Self {
        let tcp = settings::Listen::default();
        Self {
            path: None,
            origins: String::new(),
            max_message: MAX_MESSAGE,
            backlog: tcp.backlog,
            reuseport: tcp.reuseport,
            nodelay: (),
        }
    }
}

impl Rules {
    /// Reads the URL of a listener.
    pub(crate) fn listen(url: &Url) -> Result<(Self, settings::Listen)> {
        let keys: Listen = url.query()?;
        let origins = keys.origins.split(',').map(str::trim).filter(|o| !o.is_empty()).map(str::to_owned).collect();
        let rules = Self { path: listen_path(url, keys.path)?, origins, max_message: checked(url, keys.max_message)? };
        Ok((rules, settings::Listen { backlog: keys.backlog, reuseport: keys.reuseport, nodelay: keys.nodelay }))
    }

    /// The URL to connect to, of one to listen at.
    pub(crate) fn address(&self, url: &Url) -> Result<Url> {
        let mut text = format!("{}://{}", url.scheme(), url.host());
        escape(self.path.as_deref().unwrap_or_default(), PATH, &mut text);
        if self.max_message != MAX_MESSAGE {
            text.push_str(&format!("?max-message={}", self.max_message));
        }
        Url::parse(&text)
    }

    /// Does the listener upgrade on this path?
    pub(crate) fn serves(&self, path: &str) -> bool {
        match self.path.as_deref() {
            None => true,
            Some(tree) if tree.ends_with('/') => path.starts_with(tree),
            Some(exact) => path == exact,
        }
    }

    /// May a page of this origin connect? A browser always says where the page is from; other clients need not.
    pub(crate) fn welcomes(&self, head: &RequestHead) -> bool {
        let Some(origin) = head.header("origin") else { return true };
        let host = head.header("host").map(without_port);
        let own = origin.split_once("://").map(|(_, authority)| without_port(authority));
        let same_host = own.zip(host).is_some_and(|(a, b)| !a.is_empty() && a.eq_ignore_ascii_case(b));
        same_host || self.origins.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
    }
}

/// How a client connects.
pub(crate) struct Dial {
    pub(crate) connect_timeout: Duration,
    pub(crate) max_message: usize,
    pub(crate) origin: Option<String>,
    /// What stands after the host in the request.
    pub(crate) target: String,
}

impl Dial {
    /// Reads the URL of a server: keys that are not ours belong to it.
    pub(crate) fn read(url: &Url) -> Result<Self> {
        let mut keys: BTreeMap<String, String> = url.query()?;
        let wrong = |e: Error| e.context("url", url);
        let mut dial = Self {
            connect_timeout: settings::Dial::default().connect_timeout,
            max_message: MAX_MESSAGE,
            origin: keys.remove("origin"),
            target: String::new(),
        };
        if let Some(text) = keys.remove("connect-timeout") {
            dial.connect_timeout = units::duration(&text).map_err(wrong)?;
        }
        if let Some(text) = keys.remove("max-message") {
            dial.max_message = checked(url, units::size(&text).map_err(wrong)?)?;
        }
        if keys.remove("nodelay").is_some_and(|v| !matches!(v.as_str(), "" | "on" | "true" | "1")) {
            return Err(Error::config(format!("nodelay=off is not offered, in {url}")));
        }
        if dial.origin.as_ref().is_some_and(|o| o.contains(char::is_control)) {
            return Err(Error::config(format!("a control character in the origin of {url}")));
        }
        dial.target = target(url.path(), &keys);
        Ok(dial)
    }
}

fn listen_path(url: &Url, key: Option<String>) -> Result<Option<String>> {
    let path = match (key, url.path()) {
        (Some(key), "" | "/") => key,
        (None, path) => path.to_owned(),
        (Some(key), path) if key == path => key,
        (Some(_), _) => return Err(Error::config(format!("two different paths in {url}: keep one"))),
    };
    match path.as_str() {
        "" | "/" => Ok(None),
        p if p.starts_with('/') => Ok(Some(path)),
        _ => Err(Error::config(format!("the path {path:?} in {url} does not begin with a `/`"))),
    }
}

fn checked(url: &Url, max_message: usize) -> Result<usize> {
    if (1..=MOST).contains(&max_message) {
        return Ok(max_message);
    }
    Err(Error::config(format!("max-message={max_message} in {url}: choose from 1 to 1GiB")))
}

/// The host of `host[:port]`; an IPv6 host keeps its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn target(path: &str, query: &BTreeMap<String, String>) -> String {
    let mut out = if path.is_empty() { "/".to_owned() } else { String::new() };
    escape(path, PATH, &mut out);
    for (i, (key, value)) in query.iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        escape(key, b"-._~", &mut out);
        out.push('=');
        escape(value, b"-._~", &mut out);
    }
    out
}

/// What stands in a path as it is, beside letters and digits.
const PATH: &[u8] = b"/-._~!$&'()*+,;=:@";

fn escape(text: &str, kept: &[u8], out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || kept.contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(url: &str) -> Rules {
        Rules::listen(&Url::parse(url).unwrap()).unwrap().0
    }

    fn head(host: &str, origin: Option<&str>) -> RequestHead {
        let mut headers = vec![("host".to_owned(), host.to_owned())];
        headers.extend(origin.map(|o| ("origin".to_owned(), o.to_owned())));
        RequestHead { headers, ..RequestHead::default() }
    }

    /// proves B105, conformance 16
    #[test]
    fn pages_of_the_same_host_and_listed_ones_are_welcome() {
        for (url, host, origin, welcome) in [
            ("ws://h:1", "game.example:3553", None, true),
            ("ws://h:1", "game.example:3553", Some("https://game.example"), true),
            ("ws://h:1", "GAME.example", Some("http://game.Example:8080"), true),
            ("ws://h:1", "[::1]:3553", Some("http://[::1]:80"), true),
            ("ws://h:1", "game.example", Some("https://evil.example"), false),
            ("ws://h:1", "game.example", Some("https://game.example.evil"), false),
            ("ws://h:1", "game.example", Some("null"), false),
            ("ws://h:1", "", Some("http://"), false),
            ("ws://h:1?origins=https://a.example,https://b.example", "game", Some("https://b.example"), true),
            ("ws://h:1?origins=https://a.example", "game", Some("https://a.example:81"), false),
            ("ws://h:1?origins=*", "game", Some("https://evil.example"), true),
        ] {
            assert_eq!(rules(url).welcomes(&head(host, origin)), welcome, "{url} {host} {origin:?}");
        }
    }

    /// proves conformance 16
    #[test]
    fn a_path_is_exact_a_tree_or_any() {
        for (url, path, served) in [
            ("ws://h:1", "/any/thing", true),
            ("ws://h:1/", "/any", true),
            ("ws://h:1?path=/ws", "/ws", true),
            ("ws://h:1?path=/ws", "/ws/more", false),
            ("ws://h:1/ws", "/", false),
            ("ws://h:1?path=/ws/", "/ws/more", true),
        ] {
            assert_eq!(rules(url).serves(path), served, "{url} {path}");
        }
        let address = |url: &str| rules(url).address(&Url::parse(url).unwrap()).unwrap().to_string();
        assert_eq!(address("ws://h:1?path=/w%20s&origins=*&backlog=3"), "ws://h:1/w s");
        assert_eq!(address("ws://h:1?max-message=1KiB&reuseport=on"), "ws://h:1?max-message=1024");
        assert!(Rules::listen(&Url::parse("ws://h:1?path=ws").unwrap()).is_err());
        assert!(Rules::listen(&Url::parse("ws://h:1/a?path=/b").unwrap()).is_err());
        assert!(Rules::listen(&Url::parse("ws://h:1?pat=/b").unwrap()).is_err());
        assert!(Rules::listen(&Url::parse("ws://h:1?max-message=0").unwrap()).is_err());
        assert!(Rules::listen(&Url::parse("ws://h:1?nodelay=off").unwrap()).is_err());
    }

    #[test]
    fn a_client_keeps_its_keys_and_sends_the_others() {
        let url =
            Url::parse("ws://h:1/a%20b/%25?token=x%26y&connect-timeout=1s&max-message=9&origin=http://o").unwrap();
        let dial = Dial::read(&url).unwrap();
        assert_eq!(dial.target, "/a%20b/%25?token=x%26y");
        assert_eq!((dial.connect_timeout, dial.max_message), (Duration::from_secs(1), 9));
        assert_eq!(dial.origin.as_deref(), Some("http://o"));
        assert_eq!(Dial::read(&Url::parse("ws://h:1").unwrap()).unwrap().target, "/");
        assert!(Dial::read(&Url::parse("ws://h:1?origin=a%0d%0ab").unwrap()).is_err());
    }
}
