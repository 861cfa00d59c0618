//! Reading a dialect from tables and URLs.

use std::fmt;

use due_core::{error::Result, units, url::Url};
use serde::{Deserialize, Deserializer, de};

use super::dialect::{Dialect, HeartbeatTime, Order, Settings, refused};

impl Dialect {
    /// The query keys that a dialect reads.
    pub const KEYS: &'static [&'static str] =
        &["route-bytes", "seq-bytes", "order", "heartbeat-time", "ws-size", "max-body"];

    /// Reads the keys of a dialect from a listener's URL and gives the URL without them, for the next reader. Keys of
    /// others are left alone; a `Config` error names the wrong key, its value and what is accepted.
    pub fn from_url(url: &Url) -> Result<(Self, Url)> {
        let word = |key| url.value(key).map(|v| Word(v.to_owned()));
        let written = Written {
            route_bytes: word("route-bytes"),
            seq_bytes: word("seq-bytes"),
            order: word("order"),
            heartbeat_time: word("heartbeat-time"),
            ws_size: word("ws-size"),
            max_body: word("max-body"),
        };
        Ok((written.dialect()?, url.without(Self::KEYS)))
    }
}

impl<'de> Deserialize<'de> for Dialect {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(from)?;
        written.dialect().map_err(|e| de::Error::custom(e.text()))
    }
}

/// The settings as somebody wrote them.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    route_bytes: Option<Word>,
    seq_bytes: Option<Word>,
    order: Option<Word>,
    heartbeat_time: Option<Word>,
    ws_size: Option<Word>,
    max_body: Option<Word>,
}

impl Written {
    fn dialect(&self) -> Result<Dialect> {
        let unset = Settings::default();
        Dialect::new(Settings {
            route_bytes: read("route-bytes", &self.route_bytes, "1, 2 or 4", digits)?.unwrap_or(unset.route_bytes),
            seq_bytes: read("seq-bytes", &self.seq_bytes, "0, 1, 2 or 4", digits)?.unwrap_or(unset.seq_bytes),
            order: read("order", &self.order, "big or little", order)?.unwrap_or(unset.order),
            heartbeat_time: read("heartbeat-time", &self.heartbeat_time, "off, ms or ns", heartbeat_time)?
                .unwrap_or(unset.heartbeat_time),
            ws_size: read("ws-size", &self.ws_size, "on or off", switch)?.unwrap_or(unset.ws_size),
            max_body: read("max-body", &self.max_body, "a size from 64 to 8MiB", |text| units::size(text).ok())?
                .unwrap_or(unset.max_body),
        })
    }
}

fn read<T>(key: &str, word: &Option<Word>, accepted: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(Word(text)) = word else { return Ok(None) };
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(refused(key, format_args!("{text:?}"), accepted)),
    }
}

fn digits(text: &str) -> Option<u8> {
    text.parse().ok()
}

fn order(text: &str) -> Option<Order> {
    match text {
        "big" => Some(Order::Big),
        "little" => Some(Order::Little),
        _ => None,
    }
}

fn heartbeat_time(text: &str) -> Option<HeartbeatTime> {
    match text {
        "off" | "false" => Some(HeartbeatTime::Off),
        "ms" => Some(HeartbeatTime::Ms),
        "ns" => Some(HeartbeatTime::Ns),
        _ => None,
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "1" => Some(true),
        "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// A value of any simple type as its text: a URL knows only texts, a table also numbers and switches.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyWord)
    }
}

struct AnyWord;

impl de::Visitor<'_> for AnyWord {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word, a number or a switch")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Word, E> {
        Ok(Word(n.to_string()))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Word, E> {
        Ok(Word(n.to_string()))
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Word, E> {
        Ok(Word(on.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, want: Settings) {
        let url = Url::parse(&format!("tcp://h:1/?{query}")).unwrap();
        assert_eq!(url.query::<Dialect>().unwrap().settings(), &want, "{query}");
        assert_eq!(Dialect::from_url(&url).unwrap().0.settings(), &want, "{query}");
    }

    #[test]
    fn every_key_reads_from_a_url() {
        let unset = Settings::default();
        check("", unset);
        check("route-bytes=4&seq-bytes=0", Settings { route_bytes: 4, seq_bytes: 0, ..unset });
        check(
            "order=little&heartbeat-time=ns",
            Settings { order: Order::Little, heartbeat_time: HeartbeatTime::Ns, ..unset },
        );
        check("ws-size=off&heartbeat-time=ms", *Dialect::readme().settings());
        check("max-body=1MiB", Settings { max_body: 1 << 20, ..unset });
    }

    #[test]
    fn a_table_takes_numbers_and_switches_too() {
        let table = serde_json::json!({"route-bytes": 1, "seq-bytes": "4", "ws-size": false, "max-body": 5000});
        let dialect: Dialect = serde_json::from_value(table).unwrap();
        let want = Settings { route_bytes: 1, seq_bytes: 4, ws_size: false, max_body: 5000, ..Settings::default() };
        assert_eq!(dialect.settings(), &want);
    }

    #[test]
    fn a_wrong_value_names_key_value_and_accepted_form() {
        for (query, parts) in [
            ("route-bytes=3", ["route-bytes", "3", "1, 2 or 4"]),
            ("route-bytes=two", ["route-bytes", "two", "1, 2 or 4"]),
            ("seq-bytes=-1", ["seq-bytes", "-1", "0, 1, 2 or 4"]),
            ("order=middle", ["order", "middle", "big or little"]),
            ("heartbeat-time=us", ["heartbeat-time", "us", "off, ms or ns"]),
            ("ws-size=maybe", ["ws-size", "maybe", "on or off"]),
            ("max-body=1GiB", ["max-body", "1073741824", "8MiB"]),
            ("max-body=big", ["max-body", "big", "8MiB"]),
        ] {
            let url = Url::parse(&format!("tcp://h:1/?{query}")).unwrap();
            for e in [url.query::<Dialect>().unwrap_err(), Dialect::from_url(&url).unwrap_err()] {
                assert!(parts.iter().all(|p| e.to_string().contains(p)), "{query}: {e}");
            }
        }
    }

    #[test]
    fn keys_of_others_are_left_or_refused() {
        let url = Url::parse("tcp://h:1/?route-bytes=4&nodelay=on").unwrap();
        let (dialect, rest) = Dialect::from_url(&url).unwrap();
        assert_eq!(dialect.settings().route_bytes, 4);
        assert_eq!((rest.value("route-bytes"), rest.value("nodelay")), (None, Some("on")));
        assert!(url.query::<Dialect>().unwrap_err().to_string().contains("nodelay"));
    }
}
