//! Bytes on their way out: a write that fails in the middle of a line goes on there.

use std::io::{self, ErrorKind, Write};

/// As much is collected before it is written.
pub(super) const CHUNK: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// The first of them is not the first of a line.
    within: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK
    }

    /// Writes all of it; what could not be written stays. Says how much was written, also beside an error.
    pub(super) fn drain(&mut self, to: &mut impl Write) -> (usize, io::Result<()>) {
        let mut at = 0;
        let outcome = loop {
            match self.bytes.get(at..) {
                None | Some([]) => break Ok(()),
                Some(rest) => match to.write(rest) {
                    Ok(0) => break Err(ErrorKind::WriteZero.into()),
                    Ok(n) => at += n,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => break Err(e),
                },
            }
        };
        if let Some(last) = at.checked_sub(1) {
            self.within = self.bytes.get(last) != Some(&b'\n');
        }
        self.bytes.drain(..at.min(self.bytes.len()));
        (at, outcome)
    }

    /// What comes goes to another place: the rest of a line whose beginning is elsewhere is no use there.
    pub(super) fn begin_anew(&mut self) {
        if std::mem::take(&mut self.within) {
            let end = self.bytes.iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |at| at + 1);
            self.bytes.drain(..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then none until it is given more.
    struct Narrow {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let n = self.room.min(bytes.len()).min(3);
            self.room -= n;
            self.got.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_write_that_failed_goes_on_where_it_was() {
        let mut outbox = Outbox::default();
        let mut narrow = Narrow { room: 7, got: Vec::new() };
        outbox.push("one\n");
        outbox.push("two\n");
        let (n, outcome) = outbox.drain(&mut narrow);
        assert_eq!((n, outcome.unwrap_err().kind(), outbox.len()), (7, ErrorKind::StorageFull, 1));
        outbox.push("three\n");
        narrow.room = 100;
        assert!(outbox.drain(&mut narrow).1.is_ok());
        assert_eq!(narrow.got, b"one\ntwo\nthree\n");
    }

    #[test]
    fn half_a_line_does_not_move_to_another_file() {
        let mut outbox = Outbox::default();
        let mut narrow = Narrow { room: 5, got: Vec::new() };
        outbox.push("one\ntwo\nthree\n");
        assert!(outbox.drain(&mut narrow).1.is_err());
        outbox.begin_anew();
        outbox.begin_anew();
        let mut other = Vec::new();
        assert!(outbox.drain(&mut other).1.is_ok());
        assert_eq!(other, b"three\n");
    }
}
