//! Lines for people.

use std::fmt::Write;

use tracing::Level;

use super::escape::{is_unsafe, plain};
use crate::{
    record::{Field, Record, Value, thousands},
    time::Civil,
};

/// What is written around the parts of a line.
#[derive(Clone, Copy)]
pub(super) struct Style {
    dim: &'static str,
    bold: &'static str,
    end: &'static str,
    level: fn(Level) -> &'static str,
}

pub(super) const PLAIN: Style = Style { dim: "", bold: "", end: "", level: |_| "" };
pub(super) const COLOURED: Style = Style { dim: "\x1b[2m", bold: "\x1b[1m", end: "\x1b[0m", level: colour };

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

pub(super) fn write(record: &Record, out: &mut String, style: Style) {
    let Style { dim, bold, end, .. } = style;
    let (time, level) = (Civil::of(record.time()).rfc3339(), record.level());
    let paint = (style.level)(level);
    let _ = write!(out, "{dim}{time}{end} {paint}{level:>5}{end} {dim}");
    plain(record.target(), out);
    let _ = write!(out, ":{end} ");
    for span in record.spans() {
        out.push_str(bold);
        plain(span.name, out);
        out.push_str(end);
        if !span.fields().is_empty() {
            out.push('{');
            fields(span.fields(), out, style);
            out.push('}');
        }
        out.push_str(": ");
    }
    plain(record.message(), out);
    if !record.fields().is_empty() {
        // A message that is left out leaves no gap.
        if !record.message().is_empty() {
            out.push(' ');
        }
        fields(record.fields(), out, style);
    }
    if record.repeated() > 0 {
        let _ = write!(out, " .. repeated {} times", thousands(record.repeated()));
    }
}

fn fields(fields: &[Field], out: &mut String, Style { dim, end, .. }: Style) {
    for (n, Field { name, value }) in fields.iter().enumerate() {
        let gap = if n == 0 { "" } else { " " };
        let _ = write!(out, "{gap}{dim}");
        plain(name, out);
        let _ = write!(out, "={end}");
        match value {
            Value::Bool(b) => _ = write!(out, "{b}"),
            Value::Int(n) => _ = write!(out, "{n}"),
            Value::Uint(n) => _ = write!(out, "{n}"),
            Value::Float(n) => _ = write!(out, "{n}"),
            Value::Text(text) => value_text(text, out),
        }
    }
}

/// In quotes where it could be taken for more than one field.
fn value_text(text: &str, out: &mut String) {
    let alone = |c: char| c == '=' || c == '"' || c.is_whitespace() || is_unsafe(c);
    if !text.is_empty() && !text.contains(alone) {
        return out.push_str(text);
    }
    out.push('"');
    plain(&text.replace('"', "\\\""), out);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::{format::Format, record::Span};

    fn check(record: Record, line: &str) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut out = String::new();
        Format::Text.write(&record.at(time), &mut out);
        assert_eq!(out, format!("2023-11-14T22:13:20.000000Z {line}\n"));
    }

    #[test]
    fn a_line_has_time_level_target_message_and_fields() {
        check(Record::new(Level::INFO, "game", "open"), " INFO game: open");
        let record = Record::new(Level::ERROR, "game", "")
            .with("room", Value::Uint(7))
            .with("name", Value::Text("a b".into()))
            .with("who", Value::Text("ann".into()));
        check(record, "ERROR game: room=7 name=\"a b\" who=ann");
    }

    #[test]
    fn spans_stand_before_the_message() {
        let mut record = Record::new(Level::WARN, "game", "lost");
        let fields = vec![Field { name: "id", value: Value::Int(-1) }];
        record.spans =
            vec![Span { name: "room", fields: Arc::new(fields) }, Span { name: "turn", fields: Arc::default() }];
        record.repeated = 4_711;
        check(record, " WARN game: room{id=-1}: turn: lost .. repeated 4,711 times");
    }

    #[test]
    fn no_text_makes_a_second_line_field_or_cursor_movement() {
        let text = "a\nb\r\x1b[2J\u{7f}\u{9b}\u{202e}";
        let record = Record::new(Level::INFO, "game", text).with("name", Value::Text("x level=error \"y\"\n".into()));
        let escaped = "a\\nb\\r\\u{1b}[2J\\u{7f}\\u{9b}\\u{202e}";
        check(record, &format!(" INFO game: {escaped} name=\"x level=error \\\"y\\\"\\n\""));
    }

    #[test]
    fn colours_are_around_what_is_the_same_without() {
        let record = Record::new(Level::WARN, "game", "a\x1bb").with("n", Value::Int(1));
        let (mut plain, mut coloured) = (String::new(), String::new());
        Format::Text.write(&record, &mut plain);
        Format::Colour.write(&record, &mut coloured);
        assert!(coloured.contains("\x1b[33m WARN\x1b[0m"), "{coloured:?}");
        for code in ["\x1b[0m", "\x1b[2m", "\x1b[33m"] {
            coloured = coloured.replace(code, "");
        }
        assert_eq!(coloured, plain);
    }
}
