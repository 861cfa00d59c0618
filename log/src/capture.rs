//! What an event or a span says, within bounds.

use std::{
    error::Error,
    fmt::{self, Write},
};

use tracing::field::{Field as Name, Visit};

use crate::{
    hide,
    record::{Field, Value},
};

/// Most bytes of text in all fields and the message.
const MOST_BYTES: usize = 16 * 1024;
/// Most bytes of text in the fields of a span.
const MOST_OF_SPAN: usize = 1024;
/// Most bytes of one text.
const MOST_TEXT: usize = 8 * 1024;
/// Most fields; further ones are left out.
const MOST_FIELDS: usize = 64;
/// Causes of an error that are shown.
const MOST_CAUSES: usize = 16;
/// Stands where a text was cut.
const CUT: &str = "…";

/// Takes the fields of one event or span.
pub(crate) struct Capture {
    pub(crate) message: String,
    pub(crate) fields: Vec<Field>,
    room: usize,
}

impl Capture {
    pub(crate) fn of_event() -> Self {
        Self { message: String::new(), fields: Vec::new(), room: MOST_BYTES }
    }

    /// More of a span that has these fields already.
    pub(crate) fn of_span(before: &[Field]) -> Self {
        let len = |field: &Field| if let Value::Text(text) = &field.value { text.len() } else { 0 };
        let taken: usize = before.iter().map(len).sum();
        Self { room: MOST_OF_SPAN.saturating_sub(taken), ..Self::of_event() }
    }

    fn push(&mut self, name: &Name, value: Value) {
        let name = name.name();
        // Those of records that came from the crate `log`: their target is known already.
        if self.fields.len() < MOST_FIELDS && !name.starts_with("log.") {
            self.fields.push(Field { name: name.strip_prefix("r#").unwrap_or(name), value });
        }
    }

    fn text(&mut self, name: &Name, value: fmt::Arguments<'_>) {
        let is_message = name.name() == "message";
        if !is_message && hide::is_secret(name.name()) {
            return self.push(name, Value::Text(hide::hidden()));
        }
        let text = text(value, self.room.min(MOST_TEXT));
        self.room = self.room.saturating_sub(text.len());
        match is_message {
            true => self.message = text,
            false => self.push(name, Value::Text(text)),
        }
    }
}

/// The text of whatever it is, cut after so many bytes.
pub(crate) fn text(value: fmt::Arguments<'_>, most: usize) -> String {
    let mut bounded = Bounded { text: String::new(), room: most, cut: false };
    // It takes all it is given. An error could come from the value only; what it said until then stays.
    let _ = bounded.write_fmt(value);
    let Bounded { text, cut, .. } = bounded;
    let mut text = hide::hide(text, cut);
    if cut {
        text.push_str(CUT);
    }
    text
}

impl Visit for Capture {
    fn record_f64(&mut self, field: &Name, value: f64) {
        self.push(field, Value::Float(value));
    }

    fn record_i64(&mut self, field: &Name, value: i64) {
        self.push(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Name, value: u64) {
        self.push(field, Value::Uint(value));
    }

    fn record_bool(&mut self, field: &Name, value: bool) {
        self.push(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Name, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Name, value: &(dyn Error + 'static)) {
        self.text(field, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Name, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

/// An error with its causes.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |&cause| cause.source());
        causes.take(MOST_CAUSES).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// Keeps the beginning. It never fails: a failure would be a panic in many a `Display`.
struct Bounded {
    text: String,
    room: usize,
    cut: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Ok(());
        }
        let fits = text.floor_char_boundary(self.room.min(text.len()));
        self.text.push_str(text.get(..fits).unwrap_or_default());
        self.room -= fits;
        self.cut = fits < text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(text(format_args!("{}", "é".repeat(10)), 5), "éé…");
        assert_eq!(text(format_args!("ab{}", "cde"), 5), "abcde");
        assert_eq!(text(format_args!("{:?}", vec![0_u8; 1 << 20]), 1_000).len(), 1_000 + CUT.len());
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let why = due_core::Error::config("no file").because(std::io::Error::other("the disk is gone"));
        let shown = Chain(&why).to_string();
        assert!(shown.contains("no file") && shown.contains("the disk is gone"), "{shown}");
    }
}
