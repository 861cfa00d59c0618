//! Addresses of backends: `etcd://a:1,b:2/namespace?ttl=10s`.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::de::{DeserializeOwned, IntoDeserializer, value};

use crate::error::{Error, Result};

/// A small URL with a list of hosts. The user part and the values of query keys that look secret never print.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Arc<Parts>);

#[derive(Clone, PartialEq, Eq, Default)]
struct Parts {
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<String>,
    path: String,
    query: BTreeMap<String, String>,
}

/// Longest URL in bytes.
const MAX_LEN: usize = 4096;

impl Url {
    /// Reads `scheme://[user[:password]@]host[,host..][/path][?key=value&..]`. `%xx` is decoded in user, password, path
    /// and query.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("{why} in the URL {:?}: write scheme://host:port/path?key=value", hide_user(text)))
        };
        if text.len() > MAX_LEN {
            return Err(Error::config(format!("a URL of {} bytes is over the limit of {MAX_LEN}", text.len())));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("no `://`"))?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return Err(wrong("a bad scheme"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let mut parts = Parts { scheme: scheme.to_ascii_lowercase(), ..Parts::default() };
        if let Some(login) = login {
            let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
            parts.user = Some(decode(user).ok_or_else(|| wrong("a bad %-escape"))?);
            parts.password = password.map(decode).map(|p| p.ok_or_else(|| wrong("a bad %-escape"))).transpose()?;
        }
        parts.hosts = hosts.split(',').filter(|h| !h.is_empty()).map(str::to_owned).collect();
        if parts.hosts.iter().any(|h| h.contains(char::is_whitespace) || h.contains(char::is_control)) {
            return Err(wrong("white space"));
        }
        parts.path = decode(path).ok_or_else(|| wrong("a bad %-escape"))?;
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or_else(|| wrong("a bad %-escape"))?;
            if parts.query.insert(key.to_owned(), value).is_some() {
                return Err(wrong(&format!("the key {key:?} twice")));
            }
        }
        Ok(Self(Arc::new(parts)))
    }

    /// The part before `://`, in lower case.
    pub fn scheme(&self) -> &str {
        &self.0.scheme
    }

    /// The hosts, each `host:port` or as it was written.
    pub fn hosts(&self) -> &[String] {
        &self.0.hosts
    }

    /// The first host, or the empty string.
    pub fn host(&self) -> &str {
        self.0.hosts.first().map_or("", String::as_str)
    }

    /// The path with its leading `/`, or the empty string.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The user before `@`.
    pub fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    /// The password before `@`.
    pub fn password(&self) -> Option<&str> {
        self.0.password.as_deref()
    }

    /// One query value as text.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.query.get(key).map(String::as_str)
    }

    /// All query keys as a settings struct. Unknown keys are refused if the struct says `deny_unknown_fields`; durations
    /// and sizes use [`crate::units`].
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        let pairs = self.0.query.iter().map(|(k, v)| (k.as_str(), Text(v)));
        T::deserialize(value::MapDeserializer::new(pairs))
            .map_err(|e: value::Error| Error::config(format!("{e} in the query of {self}")))
    }

    /// The same address with other hosts, for a listener that was given port 0.
    #[must_use]
    pub fn with_host(&self, host: impl Into<String>) -> Self {
        let mut parts = Parts::clone(&self.0);
        parts.hosts = vec![host.into()];
        Self(Arc::new(parts))
    }

    /// The same address with this value of a query key.
    #[must_use]
    pub fn with(&self, key: &str, value: impl Into<String>) -> Self {
        let mut parts = Parts::clone(&self.0);
        parts.query.insert(key.to_owned(), value.into());
        Self(Arc::new(parts))
    }

    /// The same address without the given query keys: what one layer has read, the next need not know.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Self {
        let mut parts = Parts::clone(&self.0);
        parts.query.retain(|k, _| !keys.contains(&k.as_str()));
        Self(Arc::new(parts))
    }

    /// The same address with none but the given query keys.
    #[must_use]
    pub fn only(&self, keys: &[&str]) -> Self {
        let mut parts = Parts::clone(&self.0);
        parts.query.retain(|k, _| keys.contains(&k.as_str()));
        Self(Arc::new(parts))
    }
}

impl FromStr for Url {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.0;
        write!(f, "{}://", p.scheme)?;
        if p.user.is_some() {
            f.write_str("***@")?;
        }
        f.write_str(&p.hosts.join(","))?;
        f.write_str(&p.path)?;
        for (i, (key, value)) in p.query.iter().enumerate() {
            let shown = if is_secret(key) { "***" } else { value };
            write!(f, "{}{key}={shown}", if i == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn is_secret(key: &str) -> bool {
    ["secret", "password", "token", "key"].iter().any(|word| key.contains(word))
}

fn hide_user(text: &str) -> String {
    let short: String = text.chars().take(128).collect();
    match (short.find("://"), short.rfind('@')) {
        (Some(from), Some(to)) if from + 3 <= to => format!("{}://***{}", &short[..from], &short[to..]),
        (_, Some(to)) => format!("***{}", &short[to..]),
        _ => short,
    }
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let (high, low) = (bytes.next()?, bytes.next()?);
            let digit = |d: u8| (d as char).to_digit(16);
            out.push((digit(high)? * 16 + digit(low)?) as u8);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

/// A query value that becomes whatever type the settings struct asks for.
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, value::Error> for Text<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal;)*) => {$(
        fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
            match self.0.parse() {
                Ok(v) => visitor.$visit(v),
                Err(_) => Err(serde::de::Error::custom(format!("{:?} is not {}", self.0, $what))),
            }
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Text<'de> {
    type Error = value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_bool<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        match self.0 {
            "" | "on" | "true" | "1" => visitor.visit_bool(true),
            "off" | "false" | "0" => visitor.visit_bool(false),
            other => Err(serde::de::Error::custom(format!("{other:?} is neither on nor off"))),
        }
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    parsed! {
        deserialize_i8 visit_i8 "a number"; deserialize_i16 visit_i16 "a number"; deserialize_i32 visit_i32 "a number";
        deserialize_i64 visit_i64 "a number"; deserialize_u8 visit_u8 "a number of 0 or more";
        deserialize_u16 visit_u16 "a number from 0 to 65535"; deserialize_u32 visit_u32 "a number of 0 or more";
        deserialize_u64 visit_u64 "a number of 0 or more"; deserialize_f32 visit_f32 "a number"; deserialize_f64 visit_f64 "a number";
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::time::Duration;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
    struct Keys {
        #[serde(with = "crate::units::serde_duration")]
        ttl: Duration,
        retries: u32,
        wait_replicas: bool,
        name: Option<String>,
    }

    impl Default for Keys {
        fn default() -> Self {
            Self { ttl: Duration::from_secs(10), retries: 3, wait_replicas: false, name: None }
        }
    }

    #[test]
    fn a_list_of_hosts_path_and_typed_query() {
        let url = Url::parse("ETCD://u%40x:p@a:1,[::1]:2/ns/a?ttl=3s&wait-replicas=on&name=b").unwrap();
        assert_eq!(
            (url.scheme(), url.hosts(), url.path()),
            ("etcd", &["a:1".to_owned(), "[::1]:2".to_owned()][..], "/ns/a")
        );
        assert_eq!((url.user(), url.password()), (Some("u@x"), Some("p")));
        let keys: Keys = url.query().unwrap();
        assert_eq!(keys, Keys { ttl: Duration::from_secs(3), retries: 3, wait_replicas: true, name: Some("b".into()) });
    }

    #[test]
    fn an_unknown_key_or_a_bad_value_names_itself() {
        let e = Url::parse("tcp://a?nodelay=on").unwrap().query::<Keys>().unwrap_err().to_string();
        assert!(e.contains("nodelay") && e.contains("ttl"), "{e}");
        let e = Url::parse("tcp://a?retries=many").unwrap().query::<Keys>().unwrap_err().to_string();
        assert!(e.contains("many"), "{e}");
    }

    #[test]
    fn secrets_never_print() {
        let url = Url::parse("redis://root:hunter2@a:1/0?secret=hunter2&token=hunter2").unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        for wrong in ["redis://root:hunter2@a b", "redis//root:hunter2@a", "root:hunter2@a://b"] {
            let e = Url::parse(wrong).unwrap_err();
            assert!(!e.to_string().contains("hunter2"), "{e}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for wrong in ["", "a:1", "://a", "a b://c", "x://h?a=1&a=2", "x://h/%zz", "x://h\n"] {
            assert!(Url::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
