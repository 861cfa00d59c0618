//! Errors that quote a stranger's bytes, but not many of them.

use std::fmt::{self, Display, Write};

use due_core::CodecError;

/// Bytes of the library's text that an error keeps: a wrong body of 10 MB must not become a log line of 10 MB.
const TEXT_MAX: usize = 256;

/// An error of `format` with the first 256 bytes of what `cause` prints.
pub(crate) fn refusal(format: &'static str, cause: impl Display) -> CodecError {
    let mut text = Short(String::new());
    if write!(text, "{cause}").is_err() {
        text.0.push_str("...");
    }
    CodecError::new(format, text.0)
}

/// Takes text up to the limit, then fails: printing stops there.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = TEXT_MAX - self.0.len();
        let fits = more.floor_char_boundary(room);
        self.0.push_str(&more[..fits]);
        if fits == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn a_long_cause_is_cut_on_a_letter() {
        let text = refusal("json", "é".repeat(1000)).to_string();
        assert!(text.starts_with("json body: éé") && text.ends_with("é..."), "{text}");
        assert!(text.len() < 300);
        assert_eq!(refusal("json", "short").to_string(), "json body: short");
    }
}
