//! Lines for programs.

use std::fmt::Write;

use super::escape::json as string;
use crate::{
    record::{Field, Record, Span, Value},
    time::Civil,
};

pub(super) fn write(record: &Record, out: &mut String) {
    let level = record.level().as_str().to_ascii_lowercase();
    let _ = write!(out, "{{\"time\":\"{}\",\"level\":\"{level}\",\"target\":", Civil::of(record.time()).rfc3339());
    string(record.target(), out);
    out.push_str(",\"message\":");
    string(record.message(), out);
    if !record.fields().is_empty() {
        out.push_str(",\"fields\":");
        fields(record.fields(), out);
    }
    if !record.spans().is_empty() {
        out.push_str(",\"spans\":");
        spans(record.spans(), out);
    }
    if record.repeated() > 0 {
        let _ = write!(out, ",\"repeated\":{}", record.repeated());
    }
    out.push('}');
}

fn spans(spans: &[Span], out: &mut String) {
    out.push('[');
    for (n, span) in spans.iter().enumerate() {
        out.push_str(if n == 0 { "{\"name\":" } else { ",{\"name\":" });
        string(span.name, out);
        if !span.fields().is_empty() {
            out.push_str(",\"fields\":");
            fields(span.fields(), out);
        }
        out.push('}');
    }
    out.push(']');
}

fn fields(fields: &[Field], out: &mut String) {
    out.push('{');
    for (n, Field { name, value }) in fields.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        string(name, out);
        out.push(':');
        match value {
            Value::Bool(b) => _ = write!(out, "{b}"),
            Value::Int(n) => _ = write!(out, "{n}"),
            Value::Uint(n) => _ = write!(out, "{n}"),
            Value::Float(n) if n.is_finite() => _ = write!(out, "{n}"),
            // JSON has no word for these numbers.
            Value::Float(n) => string(&n.to_string(), out),
            Value::Text(text) => string(text, out),
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tracing::Level;

    use super::*;
    use crate::format::Format;

    fn check(record: &Record, expected: serde_json::Value) {
        let mut out = String::new();
        Format::Json.write(record, &mut out);
        assert!(out.ends_with("}\n") && !out.trim_end().contains(|c: char| c.is_control()), "{out:?}");
        let mut read: serde_json::Value = serde_json::from_str(&out).unwrap();
        let time = read.as_object_mut().unwrap().remove("time").unwrap();
        assert_eq!(time, Civil::of(record.time()).rfc3339());
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_is_read_back_with_all_its_parts() {
        let mut record = Record::new(Level::WARN, "game", "lost")
            .with("n", Value::Int(-3))
            .with("big", Value::Uint(u64::MAX))
            .with("ratio", Value::Float(0.5))
            .with("odd", Value::Float(f64::NAN))
            .with("on", Value::Bool(true))
            .with("text", Value::Text("a".into()));
        record.spans = vec![Span { name: "room", fields: Arc::new(vec![Field { name: "id", value: Value::Uint(7) }]) }];
        record.repeated = 4_711;
        let fields = json!({"n": -3, "big": u64::MAX, "ratio": 0.5, "odd": "NaN", "on": true, "text": "a"});
        let spans = json!([{"name": "room", "fields": {"id": 7}}]);
        check(
            &record,
            json!({"level": "warn", "target": "game", "message": "lost", "fields": fields, "spans": spans, "repeated": 4711}),
        );
        check(&Record::new(Level::INFO, "game", ""), json!({"level": "info", "target": "game", "message": ""}));
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        let text = "\"quote\" \\ \n\r\t\x00\x1b\u{7f}\u{9b}\u{2028}\u{202e} é 😀";
        let record = Record::new(Level::INFO, "game", text).with("f", Value::Text(text.into()));
        check(&record, json!({"level": "info", "target": "game", "message": text, "fields": {"f": text}}));
    }
}
