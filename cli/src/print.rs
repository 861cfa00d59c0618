//! What a command says: to people in words, to programs as one JSON value a line.

use std::io::{self, Write};

use serde_json::Value;

/// Writes to standard output.
#[derive(Debug)]
pub(crate) struct Printer {
    json: bool,
}

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Says the same in one of two ways.
    pub(crate) fn say(&self, words: impl FnOnce() -> String, value: impl FnOnce() -> Value) {
        match self.json {
            true => line(&value().to_string()),
            false => line(&words()),
        }
    }

    /// Says many at once: to people in words for all, to programs a line each.
    pub(crate) fn say_each(&self, all: &[Value], words: impl FnOnce() -> String) {
        match self.json {
            true => all.iter().for_each(|value| line(&value.to_string())),
            false => line(&words()),
        }
    }
}

/// Control characters of what a server sent would command the terminal: they are shown, not obeyed.
pub(crate) fn escaped(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

fn line(text: &str) {
    // Whoever closed our output does not read any more.
    let _ = writeln!(io::stdout(), "{text}");
}

/// A failure, on standard error.
pub(crate) fn complain(what: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "due: {}", escaped(&what.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_command_the_terminal_is_shown() {
        assert_eq!(escaped("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(escaped("grün"), "grün");
    }
}
