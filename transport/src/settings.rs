//! What the links of one process have in common: the query keys of their URL.

use std::{fmt, path::PathBuf, time::Duration};

use due_core::{Error, Result, Url, units};
use serde::Deserialize;

use crate::handshake::{Keys, MAX_NAMESPACE};

/// Shortest secret in bytes.
const SHORTEST: usize = 32;
/// Most secrets at a time: one that goes, one that comes, and some room for mistakes.
const MOST: usize = 8;

/// The settings of a transport.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What proves membership.
    pub(crate) keys: Keys,
    /// There is a secret: links off loopback are possible.
    pub(crate) secured: bool,
    /// How long a broken connection may take to come back before the link session is over.
    pub(crate) grace: Duration,
    /// Bytes under way in one direction from which on nothing more is taken.
    pub(crate) high: usize,
    /// Largest body in bytes.
    pub(crate) max_frame: usize,
    /// The host, or host and port, that others dial.
    pub(crate) advertise: Option<String>,
}

/// The query keys as they are written.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    namespace: Option<String>,
    grace: Option<Span>,
    high_water: Option<Size>,
    max_frame: Option<Size>,
    advertise: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
struct Span(#[serde(with = "units::serde_duration")] Duration);

#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
struct Size(#[serde(with = "units::serde_size")] usize);

impl Settings {
    /// Reads the query of `url`; a secret file is read now.
    pub(crate) fn open(url: &Url) -> Result<Self> {
        let written: Written = url.query()?;
        let secrets = secrets(&written, url)?;
        let namespace = written.namespace.as_deref().unwrap_or("default");
        if namespace.is_empty() || namespace.len() > MAX_NAMESPACE {
            return Err(Error::config(format!("`namespace` in {url} must have 1 to {MAX_NAMESPACE} bytes")));
        }
        let size = |name: &str, written: Option<Size>, default: usize, least: usize, most: usize| {
            let bytes = written.map_or(default, |s| s.0);
            if (least..=most).contains(&bytes) {
                return Ok(bytes);
            }
            Err(Error::config(format!("`{name}` in {url} is {bytes} bytes: write {least} to {most}, like 4MiB")))
        };
        Ok(Self {
            keys: Keys::new(&secrets, namespace)?,
            secured: !secrets.is_empty(),
            grace: written.grace.map_or(Duration::from_secs(20), |s| s.0),
            high: size("high-water", written.high_water, 4 << 20, 64 << 10, 1 << 30)?,
            max_frame: size("max-frame", written.max_frame, 16 << 20, 64 << 10, 1 << 30)?,
            advertise: written.advertise,
        })
    }

    /// Without a secret, whoever reaches the port would be a member: such links stay on loopback. `verb` is what the
    /// process was about to do there.
    pub(crate) fn permit(&self, address: std::net::SocketAddr, verb: &str, url: &Url) -> Result<()> {
        if self.secured || address.ip().is_loopback() {
            return Ok(());
        }
        Err(Error::config(format!(
            "cannot {verb} {url} ({}): off loopback a link needs a secret. Add `secret=` with {SHORTEST} bytes or more, \
             or `secret-file=`, to the transport URL of every process of the cluster",
            address.ip()
        )))
    }
}

fn secrets(written: &Written, url: &Url) -> Result<Vec<Vec<u8>>> {
    let text = match (&written.secret, &written.secret_file) {
        (Some(_), Some(_)) => {
            return Err(Error::config(format!("{url} has both `secret` and `secret-file`: keep one of them")));
        }
        (Some(secret), None) => secret.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|e| {
            let path = path.display();
            Error::config(format!("`secret-file` in {url}: {path:?} cannot be read as text")).because(e)
        })?,
        (None, None) => return Ok(Vec::new()),
    };
    let secrets: Vec<Vec<u8>> =
        text.split([',', '\n']).map(str::trim).filter(|s| !s.is_empty()).map(Into::into).collect();
    if secrets.is_empty() || secrets.len() > MOST {
        let found = secrets.len();
        return Err(Error::config(format!("{url} has {found} secrets: write 1 to {MOST}, with `,` or lines between")));
    }
    if let Some(short) = secrets.iter().position(|s| s.len() < SHORTEST) {
        return Err(Error::config(format!(
            "secret {} of {url} has less than {SHORTEST} bytes: make one with `openssl rand -base64 32`",
            short + 1
        )));
    }
    Ok(secrets)
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn open(query: &str) -> Result<Settings> {
        Settings::open(&Url::parse(&format!("link://127.0.0.1:0{query}")).unwrap())
    }

    fn fault(query: &str) -> String {
        let error = open(query).unwrap_err();
        assert_eq!(error.kind(), due_core::Kind::Config);
        error.to_string()
    }

    #[test]
    fn defaults_and_all_keys() {
        let bare = open("").unwrap();
        assert_eq!(
            (bare.secured, bare.grace, bare.high, bare.max_frame),
            (false, Duration::from_secs(20), 4 << 20, 16 << 20)
        );
        let query = format!("?secret={SECRET}&namespace=games&grace=5s&high-water=1MiB&max-frame=2MiB&advertise=a:1");
        let full = open(&query).unwrap();
        assert_eq!(
            (full.secured, full.grace, full.high, full.max_frame),
            (true, Duration::from_secs(5), 1 << 20, 2 << 20)
        );
        assert_eq!((full.keys.namespace(), full.advertise.as_deref()), ("games", Some("a:1")));
    }

    #[test]
    fn secrets_come_from_a_list_or_a_file() {
        let path = std::env::temp_dir().join(format!("due-link-secret-{}", std::process::id()));
        std::fs::write(&path, format!("{SECRET}\r\n\n  {SECRET}x \n")).unwrap();
        let file = open(&format!("?secret-file={}", path.display())).unwrap();
        std::fs::remove_file(&path).unwrap();
        let list = open(&format!("?secret={SECRET},{SECRET}x")).unwrap();
        assert_eq!(format!("{:?}", file.keys), "Keys { namespace: \"default\", count: 2 }");
        assert_eq!(format!("{:?}", list.keys), format!("{:?}", file.keys));
    }

    #[test]
    fn a_wrong_key_names_itself_and_the_fix_and_shows_no_secret() {
        for (query, says) in [
            ("?secret=hunter2", "openssl rand"),
            ("?secret=,", "0 secrets"),
            ("?secret-file=/nowhere/at/all", "cannot be read"),
            ("?secret=a&secret-file=b", "both"),
            ("?high-water=1", "high-water"),
            ("?max-frame=2GiB", "max-frame"),
            ("?namespace=", "namespace"),
            ("?secrets=hunter2", "unknown field"),
        ] {
            let fault = fault(query);
            assert!(fault.contains(says) && !fault.contains("hunter2"), "{query}: {fault}");
        }
    }

    #[test]
    fn off_loopback_a_secret_is_needed() {
        let url = Url::parse("link://10.0.0.1:1").unwrap();
        let (far, near) = ("10.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap());
        let fault = open("").unwrap().permit(far, "listen at", &url).unwrap_err().to_string();
        assert!(fault.contains("`secret=`") && fault.contains("10.0.0.1"), "{fault}");
        open("").unwrap().permit(near, "listen at", &url).unwrap();
        open(&format!("?secret={SECRET}")).unwrap().permit(far, "dial", &url).unwrap();
    }
}
