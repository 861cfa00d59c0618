//! The client's side of the format.

use due_core::{error::Result, net::Framing};

use super::{
    assembler::{Assembler, Flow},
    code,
    dialect::Dialect,
    encode::{EncodeError, Head},
    extension::{Failure, GoAway, Kick},
    frame::{Frame, FrameError, Peer},
    hello::{Hello, Welcome},
};

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// An answer (seq of the request) or a push (seq 0).
    Data {
        /// Route and seq.
        head: Head,
        /// The body.
        body: &'a [u8],
    },
    /// A sign of life.
    Heartbeat {
        /// The server's time in nanoseconds since 1970, if it sends one.
        unix_nanos: Option<u64>,
    },
    /// The answer to hello.
    Welcome(Welcome),
    /// A request failed.
    Failure(Failure<'a>),
    /// The session ends.
    Kick(Kick<'a>),
    /// Connect elsewhere.
    GoAway(GoAway<'a>),
}

/// One connection of a client: encodes what it sends, cuts and decodes what it reads.
#[derive(Debug)]
pub struct Client {
    dialect: Dialect,
    framing: Framing,
    inbound: Assembler,
}

impl Client {
    /// A client whose settings equal the listener's.
    pub fn new(dialect: Dialect, framing: Framing) -> Self {
        Self { dialect, framing, inbound: Assembler::new(Peer::Server, framing) }
    }

    /// The format.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Appends a hello; it must be the first frame of the connection.
    pub fn put_hello(&self, hello: &Hello, out: &mut Vec<u8>) -> Result<()> {
        self.dialect.put_hello(hello, self.framing, out)
    }

    /// Appends a request (seq above 0) or a notify (seq 0).
    pub fn put_request(&self, head: Head, body: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.dialect.put_data(head, body, self.framing, out)
    }

    /// Appends a heartbeat.
    pub fn put_heartbeat(&self, out: &mut Vec<u8>) {
        self.dialect.put_plain_heartbeat(self.framing, out);
    }

    /// Takes what was read (a chunk, or one whole message) and gives what it holds to `each`, in order. Pausing is as in
    /// [`Assembler::feed`]. Empty and short frames, and extension frames kept for later, are skipped. An error is final.
    pub fn feed<F: FnMut(Received<'_>) -> Flow>(&mut self, chunk: &[u8], each: F) -> Result<Flow> {
        let mut reader = Reader { dialect: self.dialect, each, broken: None };
        let flow = self.inbound.feed(&self.dialect, chunk, |frame| reader.take(frame));
        reader.end(flow)
    }

    /// Goes on after a pause.
    pub fn resume<F: FnMut(Received<'_>) -> Flow>(&mut self, each: F) -> Result<Flow> {
        let mut reader = Reader { dialect: self.dialect, each, broken: None };
        let flow = self.inbound.resume(&self.dialect, |frame| reader.take(frame));
        reader.end(flow)
    }
}

/// Decodes frames on their way to `each`; the first that cannot be decoded stops the flow.
struct Reader<F> {
    dialect: Dialect,
    each: F,
    broken: Option<due_core::Error>,
}

impl<F: FnMut(Received<'_>) -> Flow> Reader<F> {
    fn take(&mut self, frame: Frame<'_>) -> Flow {
        match self.dialect.received(frame) {
            Ok(Some(received)) => (self.each)(received),
            Ok(None) => Flow::Continue,
            Err(e) => {
                self.broken = Some(e);
                Flow::Stop
            }
        }
    }

    fn end(self, flow: Result<Flow, FrameError>) -> Result<Flow> {
        match self.broken {
            Some(e) => Err(e),
            None => Ok(flow?),
        }
    }
}

impl Dialect {
    /// What a server's frame says; `None` for one that says nothing.
    pub fn received<'a>(&self, frame: Frame<'a>) -> Result<Option<Received<'a>>> {
        Ok(Some(match frame {
            Frame::Data { route, seq, body } => Received::Data { head: Head { route, seq }, body },
            Frame::Heartbeat(body) => Received::Heartbeat { unix_nanos: self.server_time(body) },
            Frame::Extension { code: code::HELLO, body } => Received::Welcome(self.welcome(body)?),
            Frame::Extension { code: code::ERROR, body } => Received::Failure(self.failure(body)?),
            Frame::Extension { code: code::KICK, body } => Received::Kick(self.kick(body)?),
            Frame::Extension { code: code::GOAWAY, body } => Received::GoAway(self.goaway(body)?),
            Frame::Extension { .. } | Frame::Empty | Frame::Short => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeartbeatTime, Settings};
    use due_core::Kind;

    fn all(client: &mut Client, bytes: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        client
            .feed(bytes, |received| {
                seen.push(format!("{received:?}"));
                Flow::Continue
            })
            .unwrap();
        seen
    }

    #[test]
    fn a_client_decodes_everything_a_server_sends() {
        let dialect = Dialect::new(Settings { heartbeat_time: HeartbeatTime::Ns, ..Settings::default() }).unwrap();
        let (framing, mut out) = (Framing::Stream, Vec::new());
        dialect.put_welcome(&Welcome::new(), framing, &mut out).unwrap();
        dialect.put_data(Head { route: 1, seq: 2 }, b"x", framing, &mut out).unwrap();
        dialect.put_heartbeat(5, framing, &mut out);
        dialect.put_failure(&Failure { route: 1, seq: 3, code: 9, text: "no" }, framing, &mut out);
        dialect.put_extension(code::ACK, &[0; 4], framing, &mut out).unwrap();
        dialect.put_goaway(&GoAway { retry_ms: 1, reason: 28, token: b"" }, framing, &mut out).unwrap();
        dialect.put_kick(&Kick { code: 26, text: "bye" }, framing, &mut out);
        let want = [
            format!("{:?}", Received::Welcome(Welcome::new())),
            format!("{:?}", Received::Data { head: Head { route: 1, seq: 2 }, body: b"x" }),
            format!("{:?}", Received::Heartbeat { unix_nanos: Some(5) }),
            format!("{:?}", Received::Failure(Failure { route: 1, seq: 3, code: 9, text: "no" })),
            format!("{:?}", Received::GoAway(GoAway { retry_ms: 1, reason: 28, token: b"" })),
            format!("{:?}", Received::Kick(Kick { code: 26, text: "bye" })),
        ];
        assert_eq!(all(&mut Client::new(dialect, framing), &out), want);
        let mut slowly = Client::new(dialect, framing);
        assert_eq!(out.chunks(1).flat_map(|byte| all(&mut slowly, byte)).collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_server_that_breaks_the_format_is_a_final_error() {
        for (bytes, kind) in [
            (&b"\0\0\0\x01\x07"[..], Kind::Malformed),
            (b"\0\0\0\x03\x05\0\0", Kind::Malformed),
            (b"\0\0\0\x01\x01", Kind::Malformed),
            (b"\x7f\xff\xff\xff", Kind::TooLarge),
        ] {
            let mut client = Client::new(Dialect::default(), Framing::Stream);
            assert_eq!(client.feed(bytes, |_| Flow::Continue).unwrap_err().kind(), kind, "{bytes:?}");
            assert_eq!(client.feed(b"\0\0\0\x01\x80", |_| panic!("went on")).unwrap(), Flow::Stop);
        }
    }

    #[test]
    fn what_a_client_sends_a_server_reads() {
        let client = Client::new(Dialect::readme(), Framing::Messages);
        let mut out = Vec::new();
        client.put_request(Head { route: 1, seq: 7 }, b"hi", &mut out).unwrap();
        assert_eq!(out, b"\0\0\x01\0\x07hi");
        out.clear();
        client.put_heartbeat(&mut out);
        assert_eq!(out, [0x80]);
        out.clear();
        client.put_hello(&Hello::new(serde_json::Value::Null), &mut out).unwrap();
        assert_eq!(out, b"\x01due1{\"version\":1}");
    }

    #[test]
    fn a_paused_client_goes_on_where_it_stood() {
        let mut client = Client::new(Dialect::default(), Framing::Stream);
        let mut out = Vec::new();
        (1..=3).for_each(|seq| client.put_request(Head { route: 1, seq }, b"", &mut out).unwrap());
        let mut seen = Vec::new();
        let mut one = |received: Received<'_>| {
            let Received::Data { head, .. } = received else { panic!("{received:?}") };
            seen.push(head.seq);
            Flow::Pause
        };
        assert_eq!(client.feed(&out, &mut one).unwrap(), Flow::Pause);
        assert_eq!(client.resume(&mut one).unwrap(), Flow::Pause);
        assert_eq!(client.resume(&mut one).unwrap(), Flow::Pause);
        assert_eq!(client.resume(&mut one).unwrap(), Flow::Continue);
        assert_eq!(seen, [1, 2, 3]);
    }
}
