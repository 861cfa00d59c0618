//! A server for tests, by hand: each connection does what the test says, in its order.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use due_codec::Json;
use due_core::{
    Call, Drivers, Kind, Notify, Push, Url,
    net::{Conn, Farewell, Framing, Inbound, Listener, Scratch, Segments, Verdict},
};
use due_protocol::{Assembler, Dialect, Failure, Flow, Frame, GoAway, Head, Kick, Peer, Welcome, code};
use due_sdk::{Builder, Client};
use serde_json::Value;

pub const ADD: Call<(u32, u32), u32, Json> = Call::new(1, "add");
pub const SHOUT: Call<String, String, Json> = Call::new(2, "shout");
pub const SAY: Notify<String, Json> = Notify::new(3, "say");
pub const TURN: Push<u32, Json> = Push::new(101, "turn");
pub const PLACE: Push<u32, Json> = Push::new(102, "place").latest();

pub struct Server {
    pub drivers: Drivers,
    pub url: Url,
    dialect: Dialect,
    listener: Box<dyn Listener>,
}

/// What a client sent.
#[derive(Debug, PartialEq)]
pub enum Got {
    Hello(Value),
    Data { route: i32, seq: i32, body: String },
    Heartbeat,
}

impl Server {
    pub async fn start() -> Self {
        Self::at("memory://server", Drivers::memory()).await
    }

    /// Listens at a URL, whose query holds the keys of the format too.
    pub async fn at(url: &str, drivers: Drivers) -> Self {
        let asked = Url::parse(url).unwrap();
        let (dialect, own) = Dialect::from_url(&asked).unwrap();
        let network = drivers.network.open(&own).await.unwrap();
        let mut bound = network.bind(&own, 1).await.unwrap();
        let listener = bound.listeners.pop().unwrap();
        let host = bound.url.host().to_owned();
        Self { drivers, url: asked.with_host(host), dialect, listener }
    }

    pub fn client(&self) -> Builder {
        Client::builder(&self.url.to_string()).drivers(self.drivers.clone())
    }

    pub async fn accept(&mut self) -> Remote {
        let conn = poll_fn(|cx| {
            let _ = self.listener.poll_flush(cx);
            self.listener.poll_accept(cx)
        });
        Remote::new(conn.await.unwrap(), self.dialect)
    }

    /// A client that is through with its hello, and the server's end of it.
    pub async fn pair(&mut self) -> (Client, Remote) {
        let builder = self.client();
        self.pair_of(builder).await
    }

    pub async fn pair_of(&mut self, builder: Builder) -> (Client, Remote) {
        let client = builder.build().unwrap();
        let (opened, remote) = tokio::join!(client.open(), self.greet());
        opened.unwrap();
        (client, remote)
    }

    /// Accepts, hears the hello and welcomes.
    pub async fn greet(&mut self) -> Remote {
        let mut remote = self.accept().await;
        let hello = remote.next().await;
        assert!(matches!(hello, Some(Got::Hello(_))), "{hello:?}");
        remote.welcome().await;
        remote
    }

    /// Nobody listens any more.
    pub fn stop(&mut self) {
        self.listener.close();
    }

    /// Answers everything with itself, for ever.
    pub async fn echo(mut self) {
        let mut remotes: Vec<Remote> = Vec::new();
        poll_fn(|cx| {
            while let Poll::Ready(conn) = self.listener.poll_accept(cx) {
                remotes.push(Remote::new(conn.unwrap(), self.dialect));
            }
            remotes.retain_mut(|r| r.poll_echo(cx).is_pending());
            let _ = self.listener.poll_flush(cx);
            Poll::<()>::Pending
        })
        .await
    }
}

/// The server's end of one connection.
pub struct Remote {
    conn: Box<dyn Conn>,
    dialect: Dialect,
    frames: Assembler,
    framing: Framing,
    scratch: Scratch,
    out: Segments,
    got: VecDeque<Got>,
    ended: bool,
}

impl Remote {
    fn new(conn: Box<dyn Conn>, dialect: Dialect) -> Self {
        let framing = conn.framing();
        let frames = Assembler::new(Peer::New, framing);
        let (scratch, out, got) = (Scratch::new(), Segments::default(), VecDeque::new());
        Self { conn, dialect, frames, framing, scratch, out, got, ended: false }
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Got> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next frame that is no heartbeat.
    pub async fn data(&mut self) -> (i32, i32, String) {
        loop {
            match self.next().await {
                Some(Got::Data { route, seq, body }) => return (route, seq, body),
                Some(Got::Heartbeat) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Got>> {
        loop {
            if let Some(got) = self.got.pop_front() {
                return Poll::Ready(Some(got));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let read = self.conn.poll_read(cx, &mut self.scratch, &mut self.out);
            let _ = self.conn.poll_write(cx, &mut self.out);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Inbound::Data { .. })) => self.cut(),
                Poll::Ready(Ok(Inbound::Head)) => self.conn.admit(Verdict::Accept, &mut self.out),
                Poll::Ready(Ok(Inbound::End)) => self.ended = true,
                Poll::Ready(Err(e)) => {
                    assert_eq!(e.kind(), Kind::Gone, "{e}");
                    self.ended = true;
                }
            }
        }
    }

    fn cut(&mut self) {
        let Self { frames, dialect, scratch, got, framing, .. } = self;
        let mut each = |frame: Frame<'_>| {
            got.push_back(match frame {
                Frame::Data { route, seq, body } => {
                    Got::Data { route, seq, body: String::from_utf8(body.to_vec()).unwrap() }
                }
                Frame::Extension { code: code::HELLO, body } => Got::Hello(dialect.hello(body).unwrap().payload),
                Frame::Heartbeat(_) => Got::Heartbeat,
                other => panic!("{other:?}"),
            });
            Flow::Continue
        };
        let fed = match framing {
            Framing::Stream => frames.feed(dialect, scratch.stream(), &mut each),
            Framing::Messages => scratch.messages().try_fold(Flow::Continue, |_, m| frames.feed(dialect, m, &mut each)),
        };
        fed.unwrap();
    }

    fn put(&mut self, write: impl FnOnce(&Dialect, Framing, &mut Vec<u8>)) {
        let mut frame = Vec::new();
        write(&self.dialect, self.framing, &mut frame);
        let conn = &mut self.conn;
        self.out.append_with(|out| {
            conn.begin(frame.len(), out);
            let from = out.len();
            out.extend_from_slice(&frame);
            conn.end(from, out);
        });
    }

    pub async fn flush(&mut self) {
        poll_fn(|cx| self.conn.poll_write(cx, &mut self.out)).await.unwrap();
    }

    pub async fn welcome(&mut self) {
        self.put(|d, framing, out| d.put_welcome(&Welcome::new(), framing, out).unwrap());
        self.flush().await;
    }

    pub async fn send(&mut self, route: i32, seq: i32, body: &str) {
        self.put(|d, framing, out| d.put_data(Head { route, seq }, body.as_bytes(), framing, out).unwrap());
        self.flush().await;
    }

    pub async fn fail(&mut self, route: i32, seq: u32, code: u32, text: &str) {
        self.put(|d, framing, out| d.put_failure(&Failure { route, seq, code, text }, framing, out));
        self.flush().await;
    }

    pub async fn kick(&mut self, code: u32, text: &str) {
        self.put(|d, framing, out| d.put_kick(&Kick { code, text }, framing, out));
        self.flush().await;
    }

    pub async fn goaway(&mut self, retry_ms: u32) {
        let away = GoAway { retry_ms, reason: Kind::Draining.code(), token: &[] };
        self.put(|d, framing, out| d.put_goaway(&away, framing, out).unwrap());
        self.flush().await;
    }

    pub async fn heartbeat(&mut self) {
        self.put(|d, framing, out| d.put_heartbeat(0, framing, out));
        self.flush().await;
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.out.append(bytes);
        self.flush().await;
    }

    /// Says goodbye and waits until the client does.
    pub async fn close(mut self) {
        self.conn.finish(Farewell::Normal, &mut self.out);
        self.flush().await;
        poll_fn(|cx| self.conn.poll_shutdown(cx)).await;
    }

    /// Answers what has come with itself; ready at the end.
    fn poll_echo(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(got) = self.poll_next(cx) {
            match got {
                Some(Got::Hello(_)) => self.put(|d, f, out| d.put_welcome(&Welcome::new(), f, out).unwrap()),
                Some(Got::Heartbeat) => self.put(|d, f, out| d.put_heartbeat(0, f, out)),
                Some(Got::Data { route, seq, body }) => {
                    self.put(|d, f, out| d.put_data(Head { route, seq }, body.as_bytes(), f, out).unwrap());
                }
                None => return Poll::Ready(()),
            }
        }
        let _ = self.conn.poll_write(cx, &mut self.out);
        Poll::Pending
    }
}

/// Returns when the client has taken all that the server sent before.
pub async fn taken(client: &Client, remote: &mut Remote) {
    let answer = client.call(ADD, &(0, 0));
    let (route, seq, _) = remote.data().await;
    remote.send(route, seq, "0").await;
    answer.await.unwrap();
}

/// Lets all other tasks run until they wait, where nothing comes from outside.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
