//! A client that writes whatever bytes a test wants and takes what comes apart.

use std::{future::poll_fn, io};

use due::{
    Url,
    app::Running,
    core::net::{Conn, Framing, Inbound, Scratch, Segments},
    protocol::{Dialect, Head, Hello, Peer, Received, Step},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::soon;

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Data {
        route: i32,
        seq: i32,
        body: Vec<u8>,
    },
    /// Its bytes, without what frames it on a WebSocket.
    Heartbeat(Vec<u8>),
    Welcome,
    Failure {
        route: i32,
        seq: u32,
        code: u32,
    },
    Kick(u32),
    GoAway,
    /// A close frame of a WebSocket.
    Closed(u16),
    /// A pong of a WebSocket.
    Pong(Vec<u8>),
}

impl Got {
    pub(crate) fn data(route: i32, seq: i32, body: &[u8]) -> Self {
        Got::Data { route, seq, body: body.to_vec() }
    }

    pub(crate) fn failure(route: i32, seq: u32, kind: due::Kind) -> Self {
        Got::Failure { route, seq, code: kind.code() }
    }

    pub(crate) fn kick(kind: due::Kind) -> Self {
        Got::Kick(kind.code())
    }
}

enum Io {
    Tcp(TcpStream),
    Ws(TcpStream),
    /// Any other network, by its own client.
    Conn(Box<dyn Conn>, Box<Scratch>, Segments),
}

pub(crate) struct Client {
    io: Io,
    dialect: Dialect,
    read: Vec<u8>,
    ended: bool,
}

/// A request that upgrades a connection to a WebSocket.
pub(crate) fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: game\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

impl Client {
    /// Connects to the tcp listener of `gate`.
    pub(crate) async fn tcp(running: &Running) -> Self {
        Self::to(running.url("gate:tcp").expect("a tcp listener")).await
    }

    /// Connects to the ws listener of `gate`.
    pub(crate) async fn ws(running: &Running) -> Self {
        Self::to(running.url("gate:ws").expect("a ws listener")).await
    }

    /// Connects to the listener of `gate` with this scheme and says hello.
    pub(crate) async fn hello(running: &Running, scheme: &str) -> Self {
        let mut client = Self::to(running.url(&format!("gate:{scheme}")).expect("a listener")).await;
        client.say_hello().await;
        client
    }

    pub(crate) async fn to(url: &Url) -> Self {
        let io = match url.scheme() {
            "tcp" => Io::Tcp(stream(url).await),
            "ws" => Io::Ws(stream(url).await),
            _ => {
                let network = due::drivers().network.open(url).await.expect("the network is there");
                Io::Conn(network.connect(url).await.expect("the server listens"), Box::default(), Segments::default())
            }
        };
        let upgraded = matches!(io, Io::Ws(_));
        let mut client = Self { io, dialect: Dialect::default(), read: Vec::new(), ended: false };
        if upgraded {
            client.raw(upgrade("/", "").as_bytes()).await;
            let head = client.http().await;
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        }
        client
    }

    /// A TCP connection to a listener of any scheme, nothing said yet.
    pub(crate) async fn bare(url: &Url) -> Self {
        Self { io: Io::Tcp(stream(url).await), dialect: Dialect::default(), read: Vec::new(), ended: false }
    }

    /// A client on a connection that is there.
    pub(crate) fn on(conn: Box<dyn Conn>) -> Self {
        let io = Io::Conn(conn, Box::default(), Segments::default());
        Self { io, dialect: Dialect::default(), read: Vec::new(), ended: false }
    }

    pub(crate) fn speaking(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    fn framing(&self) -> Framing {
        match self.io {
            Io::Ws(_) => Framing::Messages,
            _ => Framing::Stream,
        }
    }

    /// Writes bytes as they are; `false` if the server has ended the connection.
    pub(crate) async fn try_raw(&mut self, bytes: &[u8]) -> bool {
        match &mut self.io {
            Io::Tcp(stream) | Io::Ws(stream) => soon("a write", stream.write_all(bytes)).await.is_ok(),
            Io::Conn(conn, _, out) => {
                out.append(bytes);
                soon("a write", poll_fn(|cx| conn.poll_write(cx, out))).await.is_ok()
            }
        }
    }

    /// Writes bytes as they are. That the server has ended meanwhile shows when reading.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.try_raw(bytes).await;
    }

    /// Writes a frame: on a WebSocket as one binary message.
    pub(crate) async fn frame(&mut self, bytes: &[u8]) {
        let sent = self.framed(bytes);
        self.raw(&sent).await;
    }

    /// What is written for a frame.
    pub(crate) fn framed(&self, bytes: &[u8]) -> Vec<u8> {
        match self.io {
            Io::Ws(_) => ws_frame(0x82, bytes, true),
            _ => bytes.to_vec(),
        }
    }

    /// Writes a masked WebSocket frame with this first byte.
    pub(crate) async fn ws_frame(&mut self, first: u8, payload: &[u8]) {
        let frame = ws_frame(first, payload, true);
        self.raw(&frame).await;
    }

    pub(crate) async fn data(&mut self, route: i32, seq: i32, body: &[u8]) {
        let bytes = self.data_bytes(route, seq, body);
        self.frame(&bytes).await;
    }

    pub(crate) fn data_bytes(&self, route: i32, seq: i32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.dialect.put_data(Head { route, seq }, body, self.framing(), &mut out).expect("the frame fits");
        out
    }

    pub(crate) async fn say_hello(&mut self) {
        self.hello_with(serde_json::Value::Null).await;
        assert_eq!(self.next().await, Some(Got::Welcome));
    }

    /// Sends a hello with this payload.
    pub(crate) async fn hello_with(&mut self, payload: serde_json::Value) {
        let mut out = Vec::new();
        self.dialect.put_hello(&Hello::new(payload), self.framing(), &mut out).expect("a small hello");
        self.frame(&out).await;
    }

    /// Sends a request and expects its answer as the next frame.
    pub(crate) async fn ask(&mut self, route: i32, seq: i32, body: &[u8]) -> Vec<u8> {
        self.data(route, seq, body).await;
        match self.next().await {
            Some(Got::Data { route: r, seq: s, body }) if (r, s) == (route, seq) => body,
            other => panic!("no answer to route {route} seq {seq} but {other:?}"),
        }
    }

    /// Nothing came before the answer of an echo: what was sent before it was met with silence.
    pub(crate) async fn silence(&mut self) {
        assert_eq!(self.ask(super::ECHO_ID, 77, b"\"silence\"").await, b"\"silence\"");
    }

    /// The next frame; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Got> {
        loop {
            if let Some(got) = self.take() {
                return Some(got);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// All frames until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        while let Some(got) = self.next().await {
            all.push(got);
        }
        all
    }

    /// The connection ends, and nothing comes before that but a WebSocket's goodbye.
    pub(crate) async fn closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.iter().all(|got| matches!(got, Got::Closed(_))), "{rest:?}");
    }

    /// The head of an HTTP answer.
    pub(crate) async fn http(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..at + 4).collect();
                return String::from_utf8_lossy(&head).into_owned();
            }
            if !self.more().await {
                return String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned();
            }
        }
    }

    /// All bytes until the connection ends.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.read.len() < n {
            assert!(self.more().await, "the end after {:?}", self.read);
        }
        self.read.drain(..n).collect()
    }

    /// Ends the sending side; the other stays open.
    pub(crate) async fn finish(&mut self) {
        if let Io::Tcp(stream) | Io::Ws(stream) = &mut self.io {
            stream.shutdown().await.expect("the socket shuts down");
        }
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        if let Io::Tcp(stream) | Io::Ws(stream) = &self.io {
            stream.set_zero_linger().expect("linger");
        }
    }

    /// The socket, for a client that does as it likes.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        match &mut self.io {
            Io::Tcp(stream) | Io::Ws(stream) => stream,
            Io::Conn(..) => panic!("not a socket"),
        }
    }

    async fn more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let read = match &mut self.io {
            Io::Tcp(stream) | Io::Ws(stream) => soon("a read", stream.read_buf(&mut self.read)).await,
            Io::Conn(conn, scratch, out) => read_conn(conn, scratch, out, &mut self.read).await,
        };
        self.ended = !matches!(read, Ok(n) if n > 0);
        !self.ended
    }

    /// Takes the first frame off what was read.
    fn take(&mut self) -> Option<Got> {
        if matches!(self.io, Io::Ws(_)) {
            return self.take_message();
        }
        let peer = &mut Peer::Server;
        match self.dialect.next(peer, &self.read).expect("the server keeps to the format") {
            Step::Need(_) => None,
            Step::Frame(frame, len) => {
                let received = self.dialect.received(frame).expect("the server keeps to the format");
                let bytes = self.read.get(..len).expect("the frame is there").to_vec();
                let got = owned(received.expect("the frame says something"), bytes);
                self.read.drain(..len);
                Some(got)
            }
        }
    }

    fn take_message(&mut self) -> Option<Got> {
        let [first, second, ..] = *self.read.as_slice() else { return None };
        // conformance 17: one frame a message, not masked, nothing negotiated
        assert_eq!(first & 0x70, 0, "reserved bits");
        assert_eq!(first & 0x80, 0x80, "a fragment");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (len, from) = match second {
            126 => (u16::from_be_bytes([*self.read.get(2)?, *self.read.get(3)?]).into(), 4),
            127 => (u64::from_be_bytes(self.read.get(2..10)?.try_into().ok()?) as usize, 10),
            short => (usize::from(short), 2),
        };
        let payload = self.read.get(from..from + len)?.to_vec();
        self.read.drain(..from + len);
        Some(match first & 0x0f {
            2 => {
                let frame = self.dialect.message(&mut Peer::Server, &payload).expect("the server keeps to the format");
                let received = self.dialect.received(frame).expect("the server keeps to the format");
                owned(received.expect("the frame says something"), payload.clone())
            }
            8 => Got::Closed(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
            10 => Got::Pong(payload),
            other => panic!("a frame of opcode {other}"),
        })
    }
}

async fn stream(url: &Url) -> TcpStream {
    let stream = soon("a connection", TcpStream::connect(url.host())).await.expect("the server listens");
    stream.set_nodelay(true).expect("nodelay");
    stream
}

async fn read_conn(
    conn: &mut Box<dyn Conn>,
    scratch: &mut Scratch,
    out: &mut Segments,
    into: &mut Vec<u8>,
) -> io::Result<usize> {
    scratch.clear();
    match soon("a read", poll_fn(|cx| conn.poll_read(cx, scratch, out))).await {
        Ok(Inbound::Data { .. }) => {
            into.extend_from_slice(scratch.stream());
            Ok(scratch.stream().len())
        }
        _ => Ok(0),
    }
}

/// A WebSocket frame; clients mask.
pub(crate) fn ws_frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut out = vec![first];
    let bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        n @ 0..126 => out.push(bit | n as u8),
        n @ 126..65_536 => {
            out.push(bit | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(bit | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let key = [0x12, 0x34, 0x56, 0x78];
    if masked {
        out.extend(key);
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        out.extend(payload);
    }
    out
}

fn owned(received: Received<'_>, bytes: Vec<u8>) -> Got {
    match received {
        Received::Data { head, body } => Got::data(head.route, head.seq, body),
        Received::Heartbeat { .. } => Got::Heartbeat(bytes),
        Received::Welcome(_) => Got::Welcome,
        Received::Failure(f) => Got::Failure { route: f.route, seq: f.seq, code: f.code },
        Received::Kick(kick) => Got::Kick(kick.code),
        Received::GoAway(_) => Got::GoAway,
    }
}
