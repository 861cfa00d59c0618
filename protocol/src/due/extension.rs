//! Extension frames with fixed fields: error, kick, goaway.
//!
//! Integers are in the listener's byte order. Texts are cut to [`TEXT_MAX`] bytes at a character.

use due_core::net::Framing;

use super::{dialect::Dialect, encode::EncodeError, frame::FrameError};

/// The extension codes: the low seven bits of a header, told only to clients that said hello.
pub mod code {
    /// Up: hello. Down: welcome.
    pub const HELLO: u8 = 1;
    /// How many data frames have arrived, both ways. Kept for resume; nothing sends it yet.
    pub const ACK: u8 = 2;
    /// The server goes away.
    pub const GOAWAY: u8 = 3;
    /// The answer to a request that failed.
    pub const ERROR: u8 = 4;
    /// The server ends the session and says why.
    pub const KICK: u8 = 5;
    /// Kept for the exchange of session keys; nothing sends it yet.
    pub const KEY_EXCHANGE: u8 = 6;
}

/// Longest text of an error or kick in bytes.
const TEXT_MAX: usize = 1024;

/// The answer to a request that failed: `route i32 | seq u32 | code u32 | text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The route of the request.
    pub route: i32,
    /// Its sequence number, the bits of the client's own; 0 if it is about no request.
    pub seq: u32,
    /// What went wrong, as a number.
    pub code: u32,
    /// The same for people.
    pub text: &'a str,
}

/// The end of a session: `code u32 | text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kick<'a> {
    /// Why, as a number.
    pub code: u32,
    /// The same for people.
    pub text: &'a str,
}

/// A request to connect elsewhere: `retry_ms u32 | reason u32 | token`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GoAway<'a> {
    /// Connect again after so many milliseconds.
    pub retry_ms: u32,
    /// Why, as a number.
    pub reason: u32,
    /// What to show at the next connection; may be empty. Never printed.
    pub token: &'a [u8],
}

impl Dialect {
    /// Appends an extension frame with any body.
    pub fn put_extension(&self, code: u8, body: &[u8], framing: Framing, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.put_extension_head(code, body.len(), framing, out)?;
        out.extend_from_slice(body);
        Ok(())
    }

    /// Appends an error frame. Fits every dialect.
    pub fn put_failure(&self, failure: &Failure<'_>, framing: Framing, out: &mut Vec<u8>) {
        let numbers = [failure.route.cast_unsigned(), failure.seq, failure.code];
        self.put_numbers_and_text((code::ERROR, &numbers), failure.text, framing, out);
    }

    /// Appends a kick frame. Fits every dialect.
    pub fn put_kick(&self, kick: &Kick<'_>, framing: Framing, out: &mut Vec<u8>) {
        self.put_numbers_and_text((code::KICK, &[kick.code]), kick.text, framing, out);
    }

    /// Appends a goaway frame. A token over the limit of bodies is an error: half a token is none.
    pub fn put_goaway(&self, away: &GoAway<'_>, framing: Framing, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.put_extension_head(code::GOAWAY, 8 + away.token.len(), framing, out)?;
        self.order().put_u32(away.retry_ms, out);
        self.order().put_u32(away.reason, out);
        out.extend_from_slice(away.token);
        Ok(())
    }

    /// Reads the body of an error frame.
    pub fn failure<'a>(&self, body: &'a [u8]) -> Result<Failure<'a>, FrameError> {
        let (route, rest) = self.number(body)?;
        let (seq, rest) = self.number(rest)?;
        let (code, rest) = self.number(rest)?;
        Ok(Failure { route: route.cast_signed(), seq, code, text: text(rest)? })
    }

    /// Reads the body of a kick frame.
    pub fn kick<'a>(&self, body: &'a [u8]) -> Result<Kick<'a>, FrameError> {
        let (code, rest) = self.number(body)?;
        Ok(Kick { code, text: text(rest)? })
    }

    /// Reads the body of a goaway frame.
    pub fn goaway<'a>(&self, body: &'a [u8]) -> Result<GoAway<'a>, FrameError> {
        let (retry_ms, rest) = self.number(body)?;
        let (reason, token) = self.number(rest)?;
        Ok(GoAway { retry_ms, reason, token })
    }

    fn put_numbers_and_text(&self, (code, numbers): (u8, &[u32]), text: &str, framing: Framing, out: &mut Vec<u8>) {
        // `Dialect::MIN_BODY` leaves room for the numbers of every frame.
        let room = (self.max_size() - 1).saturating_sub(4 * numbers.len()).min(TEXT_MAX);
        let (text, _) = text.split_at(text.floor_char_boundary(room));
        if self.put_extension_head(code, 4 * numbers.len() + text.len(), framing, out).is_ok() {
            numbers.iter().for_each(|n| self.order().put_u32(*n, out));
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn number<'a>(&self, bytes: &'a [u8]) -> Result<(u32, &'a [u8]), FrameError> {
        let (number, rest) = bytes.split_first_chunk().ok_or(FrameError::Malformed("an extension frame cut short"))?;
        Ok((self.order().u32(*number), rest))
    }
}

fn text(bytes: &[u8]) -> Result<&str, FrameError> {
    std::str::from_utf8(bytes).map_err(|_| FrameError::Malformed("a text that is not UTF-8"))
}

impl std::fmt::Debug for GoAway<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { retry_ms, reason, token } = self;
        write!(f, "GoAway {{ retry_ms: {retry_ms}, reason: {reason}, token: {} bytes }}", token.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Order, Settings};

    fn dialects() -> [Dialect; 2] {
        [Order::Big, Order::Little].map(|order| Dialect::new(Settings { order, ..Settings::default() }).unwrap())
    }

    #[test]
    fn fixed_frames_have_these_bytes_and_read_back() {
        let [big, little] = dialects();
        let failure = Failure { route: -2, seq: 7, code: 1001, text: "no" };
        let mut out = Vec::new();
        big.put_failure(&failure, Framing::Stream, &mut out);
        assert_eq!(out, b"\0\0\0\x0f\x04\xff\xff\xff\xfe\0\0\0\x07\0\0\x03\xe9no");
        assert_eq!(big.failure(&out[5..]), Ok(failure));

        let kick = Kick { code: 26, text: "é" };
        out.clear();
        little.put_kick(&kick, Framing::Messages, &mut out);
        assert_eq!(out, b"\x07\0\0\0\x05\x1a\0\0\0\xc3\xa9");
        assert_eq!(little.kick(&out[5..]), Ok(kick));

        let away = GoAway { retry_ms: 500, reason: 28, token: b"t\xff" };
        out.clear();
        Dialect::readme().put_goaway(&away, Framing::Messages, &mut out).unwrap();
        assert_eq!(out, b"\x03\0\0\x01\xf4\0\0\0\x1ct\xff");
        assert_eq!(big.goaway(&out[1..]), Ok(away));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let [big, _] = dialects();
        let mut out = Vec::new();
        let text = "a".to_owned() + &"é".repeat(2000);
        big.put_kick(&Kick { code: 1, text: &text }, Framing::Stream, &mut out);
        assert_eq!(big.kick(&out[5..]).unwrap().text, &text[..1023]);
        let small =
            Dialect::new(Settings { route_bytes: 1, seq_bytes: 0, max_body: 64, ..Settings::default() }).unwrap();
        out.clear();
        small.put_failure(&Failure { route: 1, seq: 0, code: 1, text: &text }, Framing::Stream, &mut out);
        assert!(out.len() <= small.max_frame());
        assert_eq!(small.failure(&out[5..]).unwrap().text, &text[..53]);
        let token = [0; 65];
        assert!(
            small.put_goaway(&GoAway { retry_ms: 0, reason: 0, token: &token }, Framing::Stream, &mut out).is_err()
        );
    }

    #[test]
    fn a_body_cut_short_or_not_utf8_is_malformed() {
        let [big, _] = dialects();
        for cut in 0..12 {
            assert!(big.failure(&[0; 12][..cut]).is_err(), "{cut}");
        }
        assert!(big.kick(&[0; 3]).is_err() && big.goaway(&[0; 7]).is_err());
        assert!(big.kick(b"\0\0\0\x01\xff").is_err());
    }

    #[test]
    fn a_token_never_prints() {
        let shown = format!("{:?}", GoAway { retry_ms: 1, reason: 2, token: b"hunter2" });
        assert!(shown.contains("7 bytes") && !shown.contains("104"), "{shown}");
    }
}
