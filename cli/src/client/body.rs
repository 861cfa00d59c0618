//! Bodies as people type and read them.

use std::{fmt::Write, str};

use bytes::Bytes;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// What bodies are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// JSON; nothing stands for an empty body.
    #[default]
    Json,
    /// Text as it is.
    Text,
    /// Any bytes, two hexadecimal digits each.
    Hex,
}

impl Form {
    /// The body that was typed.
    pub(crate) fn read(self, typed: &str) -> Outcome<Bytes> {
        match self {
            Form::Json if typed.is_empty() => Ok(Bytes::new()),
            Form::Json => {
                let value: Value = serde_json::from_str(typed)
                    .map_err(|e| Failure::new(format!("the body {typed:?} is not JSON ({e}); text has quotes")))?;
                Ok(value.to_string().into())
            }
            Form::Text => Ok(typed.to_owned().into()),
            Form::Hex => unhex(typed),
        }
    }

    /// A body as a value, for programs and for comparison. One that is not what it should be is its bytes.
    pub(crate) fn value(self, body: &[u8]) -> Value {
        let value = match self {
            Form::Json if body.is_empty() => Some(Value::Null),
            Form::Json => serde_json::from_slice(body).ok(),
            Form::Text => str::from_utf8(body).ok().map(Value::from),
            Form::Hex => None,
        };
        value.unwrap_or_else(|| match self {
            Form::Hex => Value::from(hex(body)),
            _ => json!({ "hex": hex(body) }),
        })
    }

    /// A body for people.
    pub(crate) fn words(self, body: &[u8]) -> String {
        match (self, self.value(body)) {
            (Form::Json, Value::Null) if body.is_empty() => "(empty)".to_owned(),
            (Form::Text | Form::Hex, Value::String(text)) => text,
            (_, value) => value.to_string(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Outcome<Bytes> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| match pair {
        [a, b] => Some((char::from(*a).to_digit(16)? << 4 | char::from(*b).to_digit(16)?) as u8),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.map(Bytes::from).ok_or_else(|| Failure::new(format!("the body {text:?} is not pairs of hexadecimal digits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_reads_what_it_writes() {
        for (form, typed, words) in [
            (Form::Json, r#"{"a": [1, "x"]}"#, r#"{"a":[1,"x"]}"#),
            (Form::Json, "", "(empty)"),
            (Form::Text, "two words", "two words"),
            (Form::Hex, "00 fF 10", "00ff10"),
            (Form::Hex, "", ""),
        ] {
            assert_eq!(form.words(&form.read(typed).unwrap()), words);
        }
        assert_eq!(Form::Json.words(b"\xff\x00"), r#"{"hex":"ff00"}"#);
    }

    #[test]
    fn a_body_of_another_form_is_refused() {
        assert!(Form::Json.read("hello").unwrap_err().to_string().contains("text has quotes"));
        for wrong in ["f", "0g", "+1"] {
            assert!(Form::Hex.read(wrong).is_err(), "{wrong}");
        }
    }
}
