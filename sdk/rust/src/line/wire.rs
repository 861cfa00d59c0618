//! One connection: its socket, its format, and what is still to be sent.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use due_core::{
    Error, Result,
    net::{Conn, Farewell, Framing, Inbound, Scratch, Segments},
};
use due_protocol::{Client as Format, Dialect, EncodeError, Flow, Head, Hello, Received};
use tokio::time::Instant;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) struct Wire {
    conn: Box<dyn Conn>,
    format: Format,
    framing: Framing,
    out: Segments,
    pub(crate) stage: Stage,
    /// When the last bytes came.
    heard: Instant,
    /// When the last heartbeat was sent.
    beaten: Instant,
    /// Since when calls may go out.
    since: Option<Instant>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waits for the welcome.
    Greeting(Instant),
    /// Calls go out.
    Live,
    /// No new calls; ends when all answers are there.
    Leaving,
    /// Says goodbye.
    Closing(Instant),
}

/// What time asks for.
pub(crate) enum Pulse {
    Alive,
    Silent,
}

impl Wire {
    pub(crate) fn new(conn: Box<dyn Conn>, dialect: Dialect, now: Instant) -> Self {
        let framing = conn.framing();
        let format = Format::new(dialect, framing);
        Self {
            conn,
            format,
            framing,
            out: Segments::default(),
            stage: Stage::Live,
            heard: now,
            beaten: now,
            since: None,
        }
    }

    /// Calls may go out from now on, and heartbeats.
    pub(crate) fn go_live(&mut self, now: Instant) {
        (self.stage, self.beaten, self.since) = (Stage::Live, now, Some(now));
    }

    /// Since when calls could go out; `None` if they never could.
    pub(crate) fn live_since(&self) -> Option<Instant> {
        self.since
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn put_hello(&mut self, hello: &Hello) -> Result<()> {
        let mut frame = Vec::new();
        self.format.put_hello(hello, &mut frame)?;
        self.put(frame.len(), |_, out| {
            out.extend_from_slice(&frame);
            Ok(())
        })
        .map_err(Error::from)
    }

    /// Appends a request; after an error nothing was.
    pub(crate) fn put_request(&mut self, head: Head, body: &[u8]) -> Result<(), EncodeError> {
        let len = self.format.dialect().data_len(body.len(), self.framing);
        self.put(len, |format, out| format.put_request(head, body, out))
    }

    fn put_heartbeat(&mut self) {
        let mut frame = Vec::new();
        self.format.put_heartbeat(&mut frame);
        // A heartbeat fits every format.
        let _ = self.put(frame.len(), |_, out| {
            out.extend_from_slice(&frame);
            Ok(())
        });
    }

    /// Appends one message of `len` bytes, between what the network puts around it.
    fn put(
        &mut self,
        len: usize,
        write: impl FnOnce(&Format, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let Self { conn, format, out, .. } = self;
        out.append_with(|out| {
            let start = out.len();
            conn.begin(len, out);
            let from = out.len();
            let written = write(format, out);
            match written {
                Ok(()) => conn.end(from, out),
                Err(_) => out.truncate(start),
            }
            written
        })
    }

    /// Reads once and gives what came to `each`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        now: Instant,
        mut each: impl FnMut(Received<'_>) -> Flow,
    ) -> Poll<Result<Inbound>> {
        scratch.clear();
        let read = self.conn.poll_read(cx, scratch, &mut self.out);
        if !matches!(read, Poll::Ready(Ok(Inbound::Data { .. }))) {
            return read;
        }
        self.heard = now;
        let fed = match self.framing {
            Framing::Stream => self.format.feed(scratch.stream(), &mut each).map(drop),
            Framing::Messages => scratch.messages().try_for_each(|m| self.format.feed(m, &mut each).map(drop)),
        };
        match fed {
            Ok(()) => read,
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    /// Writes what the network takes. An error ends the connection.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let written = self.conn.poll_write(cx, &mut self.out);
        if self.out.is_empty() {
            // An idle connection keeps no buffer.
            self.out.clear();
        }
        written
    }

    /// Sends the heartbeat that is due, unless `outbox` bytes wait already.
    pub(crate) fn beat(&mut self, now: Instant, every: Duration, outbox: usize) -> Pulse {
        if every.is_zero() {
            return Pulse::Alive;
        }
        if now >= self.heard + 2 * every {
            return Pulse::Silent;
        }
        if now >= self.beaten + every {
            self.beaten = now;
            if self.unsent() < outbox {
                self.put_heartbeat();
            }
        }
        Pulse::Alive
    }

    /// When time asks for something next.
    pub(crate) fn due(&self, every: Duration) -> Option<Instant> {
        match self.stage {
            Stage::Greeting(until) | Stage::Closing(until) => Some(until),
            Stage::Live | Stage::Leaving if every.is_zero() => None,
            Stage::Live | Stage::Leaving => Some((self.heard + 2 * every).min(self.beaten + every)),
        }
    }

    /// Begins the goodbye: what is queued is still sent.
    pub(crate) fn close(&mut self, why: Farewell, now: Instant) {
        self.stage = Stage::Closing(now + GOODBYE);
        self.conn.finish(why, &mut self.out);
    }

    /// Goes on with the goodbye. `Ready` when the connection may be dropped.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) => self.conn.poll_shutdown(cx),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }
}
