//! One end of a link as a shard polls it.

use std::{
    io::IoSlice,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use due_core::{
    Error, Kind, Origin, Result,
    transport::{Batch, Head, Link, LinkState, Part, Refused},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::{
    dial::Dial,
    door::Place,
    port::{News, Port},
    socket::{Parked, Socket},
};
use crate::{
    session::{Broken, Limits, SWEEP, Session},
    settings::Settings,
};

/// Pieces of one vectored write.
const SLICES: usize = 64;
/// A connection that broke so soon after it came is dialed again with a pause only.
const FLAPPING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(5));
/// How long the last words may take after the end was dropped.
const LINGER: Duration = Duration::from_secs(2);

/// A link session with the connection it has now.
pub(super) struct End {
    session: Session,
    conn: Conn,
    /// The other side has ended the connection; what was read before is still handed out.
    ended: bool,
    port: Arc<Port>,
    role: Role,
    /// Connections that were lost.
    losses: u64,
    grace: Duration,
    sweep: Option<Pin<Box<Sleep>>>,
    /// What [`Link::poll_recv`] tells once about the end.
    fault: Option<Error>,
}

enum Conn {
    /// Not yet registered with the runtime of the shard.
    New(Parked),
    Up(Socket),
    Down(Instant),
    Over,
}

enum Role {
    Dialer { dial: Arc<Dial>, runtime: Handle, task: Option<AbortHandle>, since: Instant },
    Acceptor(Option<Place>),
}

impl End {
    /// The dialer's end; it dials again on the runtime that calls this.
    pub(super) fn dialed(stream: Parked, dial: Arc<Dial>) -> Self {
        let settings = dial.settings.clone();
        let role = Role::Dialer { dial, runtime: Handle::current(), task: None, since: Instant::now() };
        Self::new(stream, &settings, Arc::default(), role)
    }

    /// The acceptor's end, which gets further connections by `port`.
    pub(super) fn accepted(stream: Parked, settings: &Settings, port: Arc<Port>, place: Place) -> Self {
        Self::new(stream, settings, port, Role::Acceptor(Some(place)))
    }

    fn new(stream: Parked, settings: &Settings, port: Arc<Port>, role: Role) -> Self {
        let limits = Limits { high: settings.high, max_frame: settings.max_frame };
        Self {
            session: Session::new(limits, Instant::now()),
            conn: Conn::New(stream),
            ended: false,
            port,
            role,
            losses: 0,
            grace: settings.grace,
            sweep: None,
            fault: None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.conn, Conn::Over)
    }

    /// What every poll begins with: the clock, and a connection that came.
    fn turn(&mut self, cx: &mut Context<'_>) {
        if self.is_over() {
            return;
        }
        let now = Instant::now();
        self.session.turn(now);
        if let Conn::New(_) = self.conn
            && let Conn::New(stream) = std::mem::replace(&mut self.conn, Conn::Down(now))
        {
            self.adopt(stream, now);
        }
        match self.port.take(cx.waker()) {
            Some(News::Connected(stream)) => self.adopt(stream, now),
            Some(News::Over) => self.finish(),
            None => {}
        }
        self.tick(cx, now);
    }

    /// Goes on with a new connection. The old one is closed, and what was read from it dropped, before anything of the
    /// new one is looked at.
    fn adopt(&mut self, stream: Parked, now: Instant) {
        self.conn = Conn::Down(now);
        self.ended = false;
        self.session.attach(now);
        match stream.register() {
            Some(stream) => self.conn = Conn::Up(stream),
            None => self.cut(now, "the socket cannot be registered"),
        }
        if let Role::Dialer { since, .. } = &mut self.role {
            *since = now;
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mut sweep = self.sweep.take().unwrap_or_else(|| Box::pin(sleep_until(now + SWEEP)));
        while sweep.as_mut().poll(cx).is_ready() {
            self.swept(now);
            sweep.as_mut().reset(now + SWEEP);
        }
        self.sweep = Some(sweep);
    }

    fn swept(&mut self, now: Instant) {
        match self.conn {
            Conn::Up(_) => {
                if let Err(why) = self.session.sweep(now) {
                    self.cut(now, why);
                }
            }
            Conn::Down(since) if now.duration_since(since) >= self.grace => self.finish(),
            _ => {}
        }
    }

    /// The connection is lost: it may come back.
    fn cut(&mut self, now: Instant, why: &str) {
        tracing::debug!(why, "a link lost its connection");
        self.conn = Conn::Down(now);
        self.ended = false;
        self.losses += 1;
        self.session.detach();
        match &mut self.role {
            Role::Dialer { dial, runtime, task, since } => {
                let pause = if now.duration_since(*since) < FLAPPING.0 { FLAPPING.1 } else { Duration::ZERO };
                let again = dial.clone().again(Arc::downgrade(&self.port), pause);
                if let Some(before) = task.replace(runtime.spawn(again).abort_handle()) {
                    before.abort();
                }
            }
            Role::Acceptor(Some(place)) if place.is_open() => {}
            Role::Acceptor(_) => self.finish(),
        }
    }

    /// The link session is over.
    fn finish(&mut self) {
        self.conn = Conn::Over;
        self.session.detach();
        self.retire();
    }

    /// No further connection is wanted.
    fn retire(&mut self) {
        match &mut self.role {
            Role::Dialer { task, .. } => {
                if let Some(task) = task.take() {
                    task.abort();
                }
            }
            Role::Acceptor(place) => *place = None,
        }
    }

    fn break_off(&mut self, broken: Broken) {
        let error = Error::new(Kind::Malformed, "the other side broke the protocol of links");
        self.fault = Some(error.context("what", broken.0).from_origin(Origin::Remote));
        self.finish();
    }

    /// Writes what is there; ready when all frames are written.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Conn::Up(stream) = &mut self.conn else { return Poll::Pending };
            if !self.session.prepare() {
                return if self.session.is_flushed() { Poll::Ready(()) } else { Poll::Pending };
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.session.slices(&mut slices);
            let written = Pin::new(stream).poll_write_vectored(cx, slices.get(..used).unwrap_or_default());
            match ready!(written) {
                Ok(n) if n > 0 => self.session.wrote(n),
                // The reading side finds out what it is, after everything that came before.
                _ => return Poll::Pending,
            }
        }
    }

    /// Reads once; ready when something came or ended.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Conn::Up(stream) = &mut self.conn else { return Poll::Pending };
        let space = self.session.space();
        if self.ended || space.is_empty() {
            return Poll::Pending;
        }
        let mut buf = ReadBuf::new(space);
        let read = ready!(Pin::new(stream).poll_read(cx, &mut buf)).map(|()| buf.filled().len());
        match read {
            Ok(n) if n > 0 => {
                if let Err(broken) = self.session.filled(Instant::now(), n) {
                    self.break_off(broken);
                }
            }
            _ => self.ended = true,
        }
        self.note_end();
        Poll::Ready(())
    }

    /// An ended connection is cut when everything of it was handed out, or never will be.
    fn note_end(&mut self) {
        if self.ended && (!self.session.has_unread() || self.session.is_suspect()) {
            self.cut(Instant::now(), "the other side closed it");
        }
    }

    /// Writes, and reads ahead what the other side confirms.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let written = self.write(cx);
            if written.is_ready() || self.read(cx).is_pending() {
                return written;
            }
        }
    }

    fn take(&mut self, into: &mut Batch, max: usize) -> usize {
        match self.session.take(Instant::now(), into, max) {
            Ok(count) => {
                if self.session.is_over() {
                    self.finish();
                }
                count
            }
            Err(broken) => {
                self.break_off(broken);
                0
            }
        }
    }
}

impl Link for End {
    fn send(&mut self, head: Head, body: Part<'_>) -> Result<(), Refused> {
        if self.is_over() {
            return Err(Refused::Gone);
        }
        self.session.send(head, body)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.turn(cx);
        if self.session.is_flushed() && !self.session.prepare() {
            return Poll::Ready(Ok(()));
        }
        let driven = self.drive(cx);
        if self.is_over() {
            return Poll::Ready(Err(Error::new(Kind::Gone, "the link is over")));
        }
        driven.map(Ok)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        self.turn(cx);
        loop {
            if self.is_over() {
                return Poll::Ready(Err(Refused::Gone));
            }
            if self.session.has_room() {
                return Poll::Ready(Ok(()));
            }
            let _ = self.write(cx);
            ready!(self.read(cx));
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Batch, max: usize) -> Poll<Result<usize>> {
        self.turn(cx);
        loop {
            let count = self.take(into, max.max(1));
            if count > 0 {
                let _ = self.write(cx);
                return Poll::Ready(Ok(count));
            }
            if self.is_over() {
                return Poll::Ready(self.fault.take().map_or(Ok(0), Err));
            }
            self.note_end();
            if self.read(cx).is_pending() {
                let _ = self.write(cx);
                // Writing never ends a link, so whatever comes wakes this poll.
                return Poll::Pending;
            }
        }
    }

    fn state(&self) -> LinkState {
        match self.conn {
            Conn::New(_) | Conn::Up(_) => LinkState::Up,
            Conn::Down(since) => LinkState::Down(since),
            Conn::Over => LinkState::Over,
        }
    }

    fn taken(&self) -> u64 {
        self.session.taken()
    }

    fn round_trip(&self) -> Option<Duration> {
        self.session.round_trip()
    }

    fn losses(&self) -> u64 {
        self.losses
    }

    fn is_written(&self, number: u64) -> bool {
        self.session.is_written(number)
    }

    fn suspect(&mut self) {
        self.session.suspect(Instant::now());
    }

    fn is_suspect(&self) -> bool {
        self.session.is_suspect()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.retire();
        let Some(mut stream) = self.last_connection() else { return };
        let limits = Limits { high: 0, max_frame: 0 };
        let mut session = std::mem::replace(&mut self.session, Session::new(limits, Instant::now()));
        session.leave();
        // At once as far as it goes: the runtime may end before it runs another task.
        while session.prepare() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = session.slices(&mut slices);
            match stream.try_write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(n) if n > 0 => session.wrote(n),
                _ => break,
            }
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(LINGER, part(stream, session)));
        }
    }
}

impl End {
    /// The connection to say the last words on.
    fn last_connection(&mut self) -> Option<Socket> {
        match std::mem::replace(&mut self.conn, Conn::Over) {
            Conn::Up(stream) => Some(stream),
            Conn::New(stream) => {
                self.session.attach(Instant::now());
                stream.register()
            }
            Conn::Down(_) | Conn::Over => None,
        }
    }
}

/// Says the rest of the last words, and waits until the other side has read them: closing at once could take them back.
async fn part(mut stream: Socket, mut session: Session) {
    while session.prepare() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = session.slices(&mut slices);
        match stream.write_vectored(slices.get(..used).unwrap_or_default()).await {
            Ok(n) if n > 0 => session.wrote(n),
            _ => return,
        }
    }
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut dropped = [0; 4096];
    while matches!(stream.read(&mut dropped).await, Ok(n) if n > 0) {}
}
