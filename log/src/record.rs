//! One line before it has a form.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use tracing::Level;

/// What happened, as it was when it happened: bounded in size, and without secrets as far as they can be told.
#[derive(Clone, Debug)]
pub struct Record {
    pub(crate) time: SystemTime,
    pub(crate) level: Level,
    pub(crate) target: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) spans: Vec<Span>,
    pub(crate) repeated: u64,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, as the program wrote it.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

/// The value of a field. Text is as it came: a sink escapes it in the way of its format.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
}

/// A span around a record.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its name.
    pub name: &'static str,
    pub(crate) fields: Arc<Vec<Field>>,
}

impl Span {
    /// Its fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

impl Record {
    /// A record of now that no event made.
    pub fn new(level: Level, target: &'static str, message: impl Into<String>) -> Self {
        Self {
            time: SystemTime::now(),
            level,
            target: Cow::Borrowed(target),
            message: message.into(),
            fields: Vec::new(),
            spans: Vec::new(),
            repeated: 0,
        }
    }

    /// The same record of another time: for tests of sinks.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = time;
        self
    }

    /// The same record with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.fields.push(Field { name, value });
        self
    }

    /// When it happened, by the clock of the system.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// How bad it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Who says it: the module, if the program names nothing else.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields, in the order of the program.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The spans around it, the outermost first.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many more such lines there were that are not written; 0 for a line of its own.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Bytes that it holds in memory, more or less.
    pub(crate) fn size(&self) -> usize {
        let of_fields = |fields: &[Field]| fields.iter().map(Field::size).sum::<usize>();
        let spans: usize = self.spans.iter().map(|span| size_of::<Span>() + of_fields(&span.fields)).sum();
        size_of::<Self>() + self.target.len() + self.message.len() + of_fields(&self.fields) + spans
    }
}

impl Field {
    fn size(&self) -> usize {
        let text = match &self.value {
            Value::Text(text) => text.len(),
            _ => 0,
        };
        size_of::<Self>() + text
    }
}

/// `4,711`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (4_711, "4,711"), (1_000_000, "1,000,000")] {
            assert_eq!(thousands(n), text);
        }
    }
}
