//! A load generator in a closed loop: each connection keeps a fixed window of frames in flight.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    client::{Client, Wire},
    dialect::Dialect,
    frame::MAX_BODY,
    histogram::Histogram,
    socket::{Poller, Socket},
};

/// Most connections of one run; more would use up the ephemeral ports of one address.
pub(crate) const MAX_CONNECTIONS: usize = 10_000;
/// A server that answers nothing for so long has stopped.
pub(crate) const STALL: Duration = Duration::from_secs(5);
/// How long a wait lasts when nothing comes.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The shape of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Shape {
    /// 1 to 10,000.
    pub(crate) connections: usize,
    /// Frames in flight on each connection, 1 to 4,096; 1 is a ping-pong.
    pub(crate) window: usize,
    /// Bytes of a body, up to 65,536; of JSON the letters in it.
    pub(crate) body: usize,
    /// Frames that are due together go out in one write; else each in its own, as due's Go client does.
    pub(crate) coalescing: bool,
    pub(crate) dialect: Dialect,
    pub(crate) content: Content,
}

/// What stands in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    /// Bytes that tell every frame from the one before it.
    #[default]
    Marked,
    /// `{"message":"aaa.."}`, as in due's published benchmark: a server may decode and encode it.
    Json,
    /// These bytes, encrypted; an answer is as long and different every time.
    Sealed(#[serde(skip)] &'static [u8]),
}

impl Content {
    /// A body of this size.
    pub(crate) fn body(self, size: usize) -> Vec<u8> {
        match self {
            Self::Marked => (0..size).map(|i| i as u8).collect(),
            Self::Sealed(bytes) => bytes.to_vec(),
            Self::Json => format!(r#"{{"message":"{}"}}"#, "a".repeat(size)).into_bytes(),
        }
    }
}

impl Shape {
    /// Is it one that can be run?
    pub(crate) fn check(&self) -> Fallible<()> {
        let fits = (1..=MAX_CONNECTIONS).contains(&self.connections)
            && (1..=4096).contains(&self.window)
            && self.body <= MAX_BODY - 64;
        if fits { Ok(()) } else { Err(format!("out of range: {self:?}").into()) }
    }
}

/// What came back in a stretch of time.
pub(crate) struct Outcome {
    /// How long the stretch was.
    pub(crate) elapsed: Duration,
    /// Of every message: from the write of a frame (or the time it should have been written) to the read of its reply.
    pub(crate) latency: Histogram,
}

/// A load that goes on: warm-up first, then the stretch that counts.
pub(crate) trait Drive {
    /// Keeps the server busy for `time` and counts. It may be called again: what is in flight stays in flight. A wrong
    /// or missing reply is an error.
    fn drive(&mut self, time: Duration) -> Fallible<Outcome>;
}

/// How long a server may answer nothing. A machine that stands still as a whole is not held against it.
pub(crate) struct Patience {
    last: Instant,
    idle: Duration,
}

impl Patience {
    /// From now on.
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now, idle: Duration::ZERO }
    }

    /// Did anything come since the last look? The time, or an error when nothing came for too long.
    pub(crate) fn look(&mut self, came: bool) -> Fallible<Instant> {
        let now = Instant::now();
        let passed = (now - self.last).min(2 * TICK);
        (self.idle, self.last) = (if came { Duration::ZERO } else { self.idle + passed }, now);
        if self.idle > STALL { Err(format!("no reply for {STALL:?}").into()) } else { Ok(now) }
    }
}

/// Connections that keep a server busy. Dropping it resets them all, so that no port stays in TIME_WAIT.
pub(crate) struct Load {
    clients: Vec<Client>,
    wire: Wire,
}

impl Load {
    /// Connects all clients, one after the other. Nothing is sent yet.
    pub(crate) fn connect(to: SocketAddr, shape: Shape) -> Fallible<Self> {
        let (clients, wire) = connect(to, shape)?;
        Ok(Self { clients, wire })
    }
}

impl Drive for Load {
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let begin = Instant::now();
        let mut outcome = Outcome { elapsed: time, latency: Histogram::new() };
        for client in &mut self.clients {
            client.fill(&mut self.wire)?;
        }
        let mut patience = Patience::new(begin);
        loop {
            let count = self.wire.poller.wait(Some(TICK))?;
            let before = outcome.latency.total();
            for i in 0..count {
                let Some(ready) = self.wire.poller.ready(i) else { continue };
                if let Some(client) = self.clients.get_mut(ready.token as usize) {
                    client.turn(ready.writable, &mut self.wire, &mut outcome.latency)?;
                }
            }
            let now = patience.look(outcome.latency.total() > before)?;
            if now - begin >= time {
                outcome.elapsed = now - begin;
                return Ok(outcome);
            }
        }
    }
}

/// The clients of `shape`, connected one after the other.
pub(crate) fn connect(to: SocketAddr, shape: Shape) -> Fallible<(Vec<Client>, Wire)> {
    shape.check()?;
    let poller = Poller::new()?;
    let mut clients = Vec::with_capacity(shape.connections);
    for token in 0..shape.connections as u64 {
        let mut stream = dial(to)?;
        shape.dialect.greet(&mut stream)?;
        clients.push(Client::new(Socket::new(&poller, stream, token)?, shape.window));
    }
    Ok((clients, Wire::new(poller, shape)))
}

/// A connection whose end is a reset.
pub(crate) fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, io::Write, net::TcpListener, thread};

    use super::*;
    use crate::reference::{Mode, serve};

    const SHAPE: Shape = Shape {
        connections: 3,
        window: 4,
        body: 700,
        coalescing: true,
        dialect: Dialect::Due,
        content: Content::Marked,
    };

    /// A server on a thread of its own.
    fn server(run: impl FnOnce(TcpListener) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || run(listener));
        address
    }

    /// Drives `shape` against the reference until `least` replies have come.
    fn check(mode: Mode, shape: Shape, least: u64) {
        let address = server(move |listener| drop(serve(listener, mode)));
        let mut load = Load::connect(address, shape).expect("connected");
        let mut replies = 0;
        while replies < least {
            replies += load.drive(Duration::from_millis(20)).expect("right replies").latency.total();
        }
    }

    #[test]
    fn the_reference_answers_past_the_end_of_the_seq() {
        check(Mode::Frames, Shape { connections: 1, window: 32, ..SHAPE }, 70_000);
    }

    #[test]
    fn both_modes_and_both_clients_get_every_reply() {
        for mode in [Mode::Frames, Mode::Bytes] {
            for coalescing in [true, false] {
                check(mode, Shape { coalescing, ..SHAPE }, 3_000);
            }
        }
        check(Mode::Bytes, Shape { dialect: Dialect::Wide, content: Content::Json, ..SHAPE }, 3_000);
    }

    #[test]
    fn windows_larger_than_the_socket_buffers_do_not_lock_up() {
        check(Mode::Frames, Shape { connections: 2, window: 512, body: 16_000, ..SHAPE }, 3_000);
        check(Mode::Frames, Shape { connections: 1, window: 300, body: 65_000, coalescing: false, ..SHAPE }, 1_000);
    }

    #[test]
    fn a_changed_reply_is_an_error() {
        let address = server(|listener| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut frame = [0; 709];
            stream.read_exact(&mut frame).expect("a frame");
            frame[708] ^= 1;
            stream.write_all(&frame).expect("an answer");
        });
        let mut load = Load::connect(address, Shape { connections: 1, window: 1, ..SHAPE }).expect("connected");
        let error = load.drive(STALL).err().expect("an error").to_string();
        assert!(error.starts_with("reply 0 is wrong"), "{error}");
    }

    #[test]
    fn a_closed_connection_is_an_error() {
        let address = server(|listener| drop(listener.accept()));
        let mut load = Load::connect(address, Shape { connections: 1, ..SHAPE }).expect("connected");
        assert!(load.drive(STALL).is_err());
    }

    #[test]
    fn shapes_out_of_range_are_refused() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        for shape in [
            Shape { connections: 0, ..SHAPE },
            Shape { connections: MAX_CONNECTIONS + 1, ..SHAPE },
            Shape { window: 0, ..SHAPE },
            Shape { body: MAX_BODY, ..SHAPE },
        ] {
            let error = Load::connect(nobody, shape).err().expect("an error").to_string();
            assert!(error.starts_with("out of range"), "{error}");
        }
    }
}
