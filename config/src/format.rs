//! The languages that settings are written in.
//!
//! ```
//! use due_config::format::Format;
//! use due_core::config::{Live, Validate};
//!
//! #[derive(Default, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Limits { players: u32 }
//! impl Validate for Limits {}
//!
//! let limits: Live<Limits> = Live::new(Format::Toml.decoder());
//! assert!(limits.check(b"players = 7").is_ok());
//! assert!(limits.check(b"playres = 7").is_err_and(|why| why.contains("line 1")));
//! ```

use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// Deepest nesting of an XML document.
const DEEPEST: usize = 128;

/// A language for settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `.json`
    Json,
    /// `.yaml`, `.yml`. Only `true` and `false` are booleans; a key may stand once.
    Yaml,
    /// `.toml`
    Toml,
    /// `.xml`. For typed values only: read into a map of anything, every text would be a map.
    Xml,
}

impl Format {
    /// The format that the end of a file's name says.
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "xml" => Some(Self::Xml),
            _ => None,
        }
    }

    /// Reads a value. The error names the line where the format knows it.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|e| e.to_string()),
            Self::Yaml => yaml(bytes),
            Self::Toml => toml_value(text(bytes)?),
            Self::Xml => {
                well_formed(text(bytes)?)?;
                quick_xml::de::from_str(text(bytes)?).map_err(|e| e.to_string())
            }
        }
    }

    /// Is this a whole document of the format, whatever is in it?
    pub fn check(self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Xml => well_formed(text(bytes)?),
            other => other.decode::<IgnoredAny>(bytes).map(drop),
        }
    }

    /// [`Self::decode`] as [`due_core::config::Live::new`] takes it.
    pub fn decoder<T: DeserializeOwned>(self) -> impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static {
        move |bytes| self.decode(bytes)
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 from byte {} on", e.valid_up_to()))
}

fn yaml<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|e| e.to_string())
}

fn toml_value<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map(|span| line_of(text, span.start));
        line.map_or_else(|| e.message().to_owned(), |line| format!("line {line}: {}", e.message()))
    })
}

/// The line of a byte, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn well_formed(text: &str) -> Result<(), String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        let at = |reader: &quick_xml::Reader<&[u8]>| line_of(text, reader.buffer_position() as usize);
        match reader.read_event() {
            Ok(Event::Start(_)) if depth == DEEPEST => return Err(format!("nested deeper than {DEEPEST}")),
            Ok(Event::Start(_)) => {
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(_)) => roots += usize::from(depth == 0),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::DocType(_)) => return Err(format!("line {}: a DOCTYPE is not taken", at(&reader))),
            Ok(Event::Eof) if depth == 0 && roots == 1 => return Ok(()),
            Ok(Event::Eof) => return Err("not one whole element".to_owned()),
            Ok(_) => {}
            Err(e) => return Err(format!("line {}: {e}", at(&reader))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        players: u32,
        word: String,
    }

    #[test]
    fn one_value_in_four_formats() {
        let wanted = Limits { players: 7, word: "no".into() };
        for (name, text) in [
            ("a.json", r#"{"players": 7, "word": "no"}"#),
            ("b/a.yaml", "players: 7\nword: no\n"),
            ("a.yml", "{players: 7, word: no}"),
            ("a.toml", "players = 7\nword = 'no'"),
            ("a.xml", "<limits><players>7</players><word>no</word></limits>"),
        ] {
            let format = Format::of(name).unwrap();
            assert_eq!(format.decode::<Limits>(text.as_bytes()).unwrap(), wanted, "{name}");
            format.check(text.as_bytes()).unwrap();
            let half = &text.as_bytes()[..text.len() / 2];
            assert!(format.decode::<Limits>(half).is_err(), "{name}");
        }
        assert_eq!(Format::of("limits"), None);
    }

    #[test]
    fn an_error_names_its_line() {
        for (format, text) in [
            (Format::Json, "{\n\"players\": 7,\n\"wrod\": 1}"),
            (Format::Yaml, "players: 7\n\nwrod: no\n"),
            (Format::Toml, "players = 7\n\nwrod = 'no'"),
        ] {
            let why = format.decode::<Limits>(text.as_bytes()).unwrap_err();
            assert!(why.contains("line 3") && why.contains("wrod"), "{why}");
        }
    }

    /// B127
    #[test]
    fn what_is_no_document_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
        let json = "[".repeat(10_000);
        let bombs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                     c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                     e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                     g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        for (format, text) in [
            (Format::Json, "\u{feff}{}"),
            (Format::Json, json.as_str()),
            (Format::Json, "{} {}"),
            (Format::Toml, "a = 1\na = 2"),
            (Format::Yaml, "a: 1\na: 2"),
            (Format::Yaml, bombs),
            (Format::Xml, deep.as_str()),
            (Format::Xml, "<a></b>"),
            (Format::Xml, "<a/><b/>"),
            (Format::Xml, "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
            (Format::Xml, "text"),
        ] {
            assert!(format.check(text.as_bytes()).is_err(), "{format:?} {:.60}", text);
        }
        assert!(Format::Toml.check(&[0xff, 0xfe]).is_err());
    }
}
