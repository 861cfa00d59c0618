//! From bytes to messages, without a socket.

use due_core::{
    error::{Error, Kind, Origin},
    net::{Scratch, Segments},
};

use super::frame::{Header, MAX_CONTROL, Opcode, Side, mask};

/// Reads the frames of one connection. It holds a few bytes while a header is incomplete and the message while its
/// frames come in; between messages it holds nothing.
pub(crate) struct Reader {
    side: Side,
    /// Bytes of the largest message.
    max: usize,
    /// An incomplete header or control frame, to be completed by the next read.
    tail: Vec<u8>,
    partial: Option<Box<Partial>>,
}

/// A message that is not complete.
struct Partial {
    opcode: Opcode,
    /// What came of it; stays empty for text, which is not kept.
    body: Vec<u8>,
    /// Bytes of its frames, the current one included.
    size: usize,
    /// Frames without a payload: they cost the sender almost nothing.
    empty: u16,
    frame: Option<Frame>,
    /// The last frame is here.
    done: bool,
}

/// The frame of a message that is being read.
struct Frame {
    fin: bool,
    left: usize,
    /// Turned so that it begins with the key of the next byte.
    mask: [u8; 4],
}

/// What the peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Against the protocol (1002).
    Protocol(&'static str),
    /// A close reason that is not UTF-8 (1007).
    Text,
    /// A message over the limit (1009).
    TooLarge,
}

impl Violation {
    /// The code of our close frame.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Text => 1007,
            Self::TooLarge => 1009,
        }
    }

    /// The same as an error of due.
    pub(crate) fn error(self) -> Error {
        let error = match self {
            Self::Protocol(what) => Error::new(Kind::Malformed, what),
            Self::Text => Error::new(Kind::Malformed, "a close reason that is not UTF-8"),
            Self::TooLarge => Error::new(Kind::TooLarge, "a message over max-message"),
        };
        error.from_origin(Origin::Client)
    }
}

/// Where a feed stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    /// Complete frames that were read, of any kind.
    pub(crate) frames: usize,
    pub(crate) stop: Stop,
}

/// Why a feed stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It needs more bytes.
    Hungry,
    /// The peer closed, with this code if it gave one. What follows is not read.
    Closed(Option<u16>),
    /// The peer broke a rule. What follows is not read.
    Broken(Violation),
}

/// Most frames without payload in one message.
const MAX_EMPTY: u16 = 1000;
/// No pong is added to an outbox that holds so much: the peer does not read, and only the last ping needs an answer.
const PONG_MARK: usize = 64 * 1024;

impl Reader {
    /// Reads messages of up to `max` bytes as `side` receives them.
    pub(crate) fn new(side: Side, max: usize) -> Self {
        Self { side, max, tail: Vec::new(), partial: None }
    }

    /// Copies what the last feed left over to the front of `space` and says how much it is. It stays until the next feed,
    /// so the caller may come back without having read anything.
    pub(crate) fn restore(&self, space: &mut [u8]) -> usize {
        for (to, from) in space.iter_mut().zip(&self.tail) {
            *to = *from;
        }
        self.tail.len()
    }

    /// Reads the first `filled` bytes of the scratch, which begin with what [`Reader::restore`] put there. Messages are
    /// noted in the scratch, pongs are appended to `out`.
    pub(crate) fn feed(&mut self, scratch: &mut Scratch, filled: usize, out: &mut Segments) -> Fed {
        self.tail = Vec::new();
        let (mut at, mut frames) = (0, 0);
        loop {
            match self.step(scratch, at..filled, out) {
                Ok(Step::Frame(size)) => (at, frames) = (at + size, frames + 1),
                Ok(Step::Part(size)) => at += size,
                Ok(Step::Hungry) => return Fed { frames, stop: Stop::Hungry },
                Ok(Step::Closed(code)) => return Fed { frames, stop: Stop::Closed(code) },
                Err(violation) => return Fed { frames, stop: Stop::Broken(violation) },
            }
        }
    }

    fn step(
        &mut self,
        scratch: &mut Scratch,
        at: std::ops::Range<usize>,
        out: &mut Segments,
    ) -> Result<Step, Violation> {
        let start = at.start;
        let bytes = scratch.space().get_mut(at).unwrap_or_default();
        if let Some(partial) = self.partial.as_mut().filter(|p| p.frame.is_some()) {
            let step = partial.take(bytes);
            if partial.done {
                self.complete(scratch);
            }
            return Ok(step);
        }
        let Some(header) = Header::read(bytes, self.side)? else {
            self.tail = bytes.to_vec();
            return Ok(Step::Hungry);
        };
        let body = bytes.get_mut(header.size..).unwrap_or_default();
        if header.opcode.is_control() {
            return self.control(header, bytes, out);
        }
        let len = self.admit(&header)?;
        match body.get_mut(..len) {
            Some(body) if header.fin && header.opcode != Opcode::Continuation => {
                if header.opcode == Opcode::Binary && len != 0 {
                    mask(body, header.mask);
                    let from = start + header.size;
                    scratch.push_message(from..from + len);
                }
                Ok(Step::Frame(header.size + len))
            }
            _ => {
                self.begin(&header, len)?;
                Ok(Step::Part(header.size))
            }
        }
    }

    /// Is this data frame in its place and its message within the limit? Returns the length of its payload.
    fn admit(&self, header: &Header) -> Result<usize, Violation> {
        let before = match (&self.partial, header.opcode) {
            (Some(partial), Opcode::Continuation) => partial.size,
            (None, Opcode::Text | Opcode::Binary) => 0,
            (None, _) => return Err(Violation::Protocol("a continuation of nothing")),
            (Some(_), _) => return Err(Violation::Protocol("a new message inside a fragmented one")),
        };
        let room = self.max.saturating_sub(before);
        usize::try_from(header.len).ok().filter(|len| *len <= room).ok_or(Violation::TooLarge)
    }

    /// Goes into a frame that is a fragment or not all here. Nothing is allocated for what has only been announced.
    fn begin(&mut self, header: &Header, len: usize) -> Result<(), Violation> {
        let partial = self.partial.get_or_insert_with(|| Box::new(Partial::new(header.opcode)));
        partial.size += len;
        partial.empty += u16::from(len == 0);
        if partial.empty > MAX_EMPTY {
            return Err(Violation::Protocol("too many empty fragments"));
        }
        partial.frame = Some(Frame { fin: header.fin, left: len, mask: header.mask });
        Ok(())
    }

    fn complete(&mut self, scratch: &mut Scratch) {
        if let Some(partial) = self.partial.take()
            && !partial.body.is_empty()
        {
            scratch.push_large(partial.body);
        }
    }

    fn control(&mut self, header: Header, bytes: &mut [u8], out: &mut Segments) -> Result<Step, Violation> {
        let len = usize::try_from(header.len).unwrap_or(MAX_CONTROL).min(MAX_CONTROL);
        let size = header.size + len;
        let Some(body) = bytes.get_mut(header.size..size) else {
            self.tail = bytes.to_vec();
            return Ok(Step::Hungry);
        };
        mask(body, header.mask);
        match header.opcode {
            Opcode::Close => return close_code(body).map(Step::Closed),
            Opcode::Ping if out.len() < PONG_MARK => write_control(self.side, Opcode::Pong, body, out),
            _ => {}
        }
        Ok(Step::Frame(size))
    }
}

impl Partial {
    fn new(opcode: Opcode) -> Self {
        Self { opcode, body: Vec::new(), size: 0, empty: 0, frame: None, done: false }
    }

    /// Takes what is there of the current frame.
    fn take(&mut self, bytes: &mut [u8]) -> Step {
        let Some(frame) = &mut self.frame else { return Step::Part(0) };
        let here = frame.left.min(bytes.len());
        if self.opcode == Opcode::Binary
            && let Some(bytes) = bytes.get_mut(..here)
        {
            mask(bytes, frame.mask);
            self.body.extend_from_slice(bytes);
        }
        frame.mask.rotate_left(here % 4);
        frame.left -= here;
        if frame.left != 0 {
            return if here == 0 { Step::Hungry } else { Step::Part(here) };
        }
        self.done = frame.fin;
        self.frame = None;
        Step::Frame(here)
    }
}

enum Step {
    /// This many bytes ended a frame.
    Frame(usize),
    /// This many bytes were taken and the frame goes on.
    Part(usize),
    Hungry,
    Closed(Option<u16>),
}

/// Appends a control frame of up to 125 bytes.
pub(crate) fn write_control(side: Side, opcode: Opcode, body: &[u8], out: &mut Segments) {
    let key = (side == Side::Client).then(rand::random::<[u8; 4]>);
    out.append_with(|out| {
        Header::write(opcode, body.len(), key, out);
        let from = out.len();
        out.extend_from_slice(body);
        if let (Some(key), Some(body)) = (key, out.get_mut(from..)) {
            mask(body, key);
        }
    });
}

/// The code of a close frame, whose payload is empty or a code and a text.
fn close_code(body: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match body {
        [] => return Ok(None),
        [_] => return Err(Violation::Protocol("a close frame of one byte")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol("a close code that may not be sent"));
    }
    std::str::from_utf8(reason).map_err(|_| Violation::Text)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::transcript;
    use proptest::prelude::*;

    fn frame(first: u8, body: &[u8], side: Side) -> Vec<u8> {
        let key = (side == Side::Server).then_some([0xa1, 0xb2, 0xc3, 0xd4]);
        let mut bytes = Vec::new();
        Header::write(Opcode::Binary, body.len(), key, &mut bytes);
        bytes[0] = first;
        let from = bytes.len();
        bytes.extend_from_slice(body);
        mask(&mut bytes[from..], key.unwrap_or_default());
        bytes
    }

    fn whole(bytes: &[u8], side: Side) -> (Vec<Vec<u8>>, Stop) {
        transcript(side, bytes, |_| usize::MAX)
    }

    #[test]
    fn every_cut_gives_the_same_messages() {
        for side in [Side::Server, Side::Client] {
            let mut bytes = Vec::new();
            for (first, body) in [
                (0x82, &b"one"[..]),
                (0x02, b"tw"),
                (0x89, b"ping"),
                (0x00, b""),
                (0x80, b"o"),
                (0x81, b"ignored"),
                (0x82, b""),
                (0x8a, b""),
                (0x82, &[7; 300]),
                (0x88, &[0x03, 0xe8, b'!']),
            ] {
                bytes.extend(frame(first, body, side));
            }
            let want = (vec![b"one".to_vec(), b"two".to_vec(), vec![7; 300]], Stop::Closed(Some(1000)));
            assert_eq!(whole(&bytes, side), want);
            for cut in 1..bytes.len() {
                assert_eq!(transcript(side, &bytes, |at| if at == 0 { cut } else { usize::MAX }), want, "cut at {cut}");
                assert_eq!(transcript(side, &bytes, |_| cut), want, "steps of {cut}");
            }
        }
    }

    #[test]
    fn a_reader_between_messages_holds_nothing() {
        let (mut scratch, mut out) = (Scratch::new(), Segments::default());
        let mut reader = Reader::new(Side::Client, 1 << 20);
        let bytes = frame(0x82, &[1; 60_000], Side::Client);
        for part in bytes.chunks(25_000) {
            scratch.clear();
            let kept = reader.restore(scratch.space());
            scratch.space()[kept..kept + part.len()].copy_from_slice(part);
            reader.feed(&mut scratch, kept + part.len(), &mut out);
        }
        assert_eq!(scratch.messages().map(<[u8]>::len).collect::<Vec<_>>(), [60_000]);
        assert!(reader.partial.is_none() && reader.tail.capacity() == 0);
        assert!(size_of::<Reader>() <= 64);
    }

    /// proves due-A2: memory follows what has come, not what was announced
    #[test]
    fn an_announced_message_is_not_allocated() {
        let (mut scratch, mut out) = (Scratch::new(), Segments::default());
        let mut reader = Reader::new(Side::Client, 1 << 30);
        let bytes = frame(0x82, &[1; 70_000], Side::Client);
        scratch.space()[..100].copy_from_slice(&bytes[..100]);
        assert_eq!(reader.feed(&mut scratch, 100, &mut out), Fed { frames: 0, stop: Stop::Hungry });
        assert!(reader.partial.unwrap().body.capacity() < 1024);
    }

    #[test]
    fn pings_are_not_answered_into_a_full_outbox() {
        let (mut scratch, mut out) = (Scratch::new(), Segments::default());
        let mut reader = Reader::new(Side::Server, 4096);
        let ping = frame(0x89, &[1; 125], Side::Server);
        let mut answered = 0;
        for _ in 0..2000 {
            scratch.space()[..ping.len()].copy_from_slice(&ping);
            let before = out.len();
            assert_eq!(reader.feed(&mut scratch, ping.len(), &mut out).frames, 1);
            answered += usize::from(out.len() > before);
        }
        assert!(out.len() < PONG_MARK + 127 && answered == PONG_MARK.div_ceil(127), "{answered}");
    }

    #[test]
    fn a_limit_counts_the_whole_message() {
        let at_limit = [frame(0x02, &[1; 4000], Side::Client), frame(0x80, &[1; 96], Side::Client)].concat();
        assert_eq!(whole(&at_limit, Side::Client), (vec![vec![1; 4096]], Stop::Hungry));
        for over in [
            frame(0x82, &[1; 4097], Side::Client),
            frame(0x81, &[b'a'; 4097], Side::Client),
            [frame(0x02, &[1; 4000], Side::Client), frame(0x80, &[1; 97], Side::Client)].concat(),
        ] {
            assert_eq!(whole(&over, Side::Client), (vec![], Stop::Broken(Violation::TooLarge)));
        }
    }

    #[test]
    fn the_corpus_reads_the_same_in_pieces() {
        let mut corpus: Vec<Vec<u8>> = vec![
            vec![],
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            [frame(0x02, b"a", Side::Server), frame(0x00, b"", Side::Server).repeat(1100)].concat(),
            frame(0x82, &[9; 200], Side::Server).repeat(400),
            frame(0x89, &[9; 125], Side::Client).repeat(400),
        ];
        for first in 0..=255 {
            corpus.push(
                [
                    frame(0x02, b"x", Side::Server),
                    frame(first, b"\x03\xe8", Side::Server),
                    frame(0x80, b"y", Side::Server),
                ]
                .concat(),
            );
            corpus.push(vec![first; 40]);
            corpus.push(vec![0x82, first, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4]);
        }
        corpus.iter().for_each(|data| crate::fuzz::ws(data));
    }

    proptest! {
        #[test]
        fn any_bytes_read_the_same_in_pieces(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            crate::fuzz::ws(&data);
        }

        #[test]
        fn any_messages_come_out_as_they_went_in(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..20),
            cuts in proptest::collection::vec(1usize..80, 1..40),
            fragment in 1usize..120,
        ) {
            let mut bytes = Vec::new();
            for message in &messages {
                let last = message.chunks(fragment).count() - 1;
                for (i, part) in message.chunks(fragment).enumerate() {
                    let first = if i == 0 { 0x02 } else { 0x00 } | if i == last { 0x80 } else { 0 };
                    bytes.extend(frame(first, part, Side::Server));
                    bytes.extend(frame(0x89, part.get(..4).unwrap_or_default(), Side::Server));
                }
            }
            let mut cuts = cuts.iter().cycle();
            let read = transcript(Side::Server, &bytes, |_| cuts.next().copied().unwrap_or(1));
            prop_assert_eq!(read, (messages, Stop::Hungry));
        }
    }
}
