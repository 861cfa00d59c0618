//! How a record becomes a line.

mod escape;
mod json;
mod text;

use crate::record::Record;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-21T21:14:03.000451Z  INFO game: a room is open room=7`
    Text,
    /// The same with colours for terminals.
    Colour,
    /// One JSON object: `time`, `level`, `target`, `message`, and if there are any `fields`, `spans`, `repeated`.
    Json,
}

impl Format {
    /// Appends a record as one line with its end. Control characters, and those that turn the direction of text around,
    /// are escaped in all formats: nobody can write a second line or move a terminal's cursor.
    pub fn write(self, record: &Record, out: &mut String) {
        match self {
            Self::Text => text::write(record, out, text::PLAIN),
            Self::Colour => text::write(record, out, text::COLOURED),
            Self::Json => json::write(record, out),
        }
        out.push('\n');
    }
}
