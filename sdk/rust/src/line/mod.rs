//! The life of one client: dial, greet, serve, part, dial again.
//!
//! Time and wake-ups come in as arguments: the event loop calls [`Line::turn`] whenever the connection is ready, a
//! handle changed something, or [`Next::due`] is reached. Handles change it under the same lock, see `request`.

mod calls;
mod desk;
mod request;
mod wire;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use due_core::{
    Error, Kind, Result,
    net::{Conn, Farewell, Inbound, Scratch},
};
use due_protocol::Hello;
use serde_json::Value;
use tokio::time::Instant;

use crate::{Closed, Event, settings::Settings};
use desk::{Desk, News};
use wire::{Pulse, Stage, Wire};

/// How long a network may take to connect, should it set no limit itself.
const DIAL_LIMIT: Duration = Duration::from_secs(30);
/// Reads of one connection in one turn.
const READS: usize = 4;
/// Changes of phase in one turn.
const STEPS: usize = 8;

pub(crate) struct Line {
    pub(crate) set: Arc<Settings>,
    pub(crate) payload: Value,
    phase: Phase,
    desk: Desk,
    /// Why the connection ends, from when that is known to when it has.
    why: Option<Closed>,
    /// Why the last connection ended.
    last: Closed,
    /// Why the first connection did not come about; taken by who opened the client.
    failure: Option<Error>,
    /// Was there a connection?
    been: bool,
    /// Is there a handle?
    held: bool,
    /// Does a task wait for room?
    starved: bool,
    /// Attempts since the last connection that lasted.
    tries: u32,
    /// The event loop's timer.
    pub(crate) armed: Option<u64>,
}

type Dial = Pin<Box<dyn Future<Output = Result<Box<dyn Conn>>> + Send>>;

enum Phase {
    Idle,
    Waiting(Instant),
    Dialing(Dial, Instant),
    Open(Wire),
    Ended,
}

/// What the event loop has to do for a client.
pub(crate) struct Next {
    /// Call again at this time.
    pub(crate) due: Option<Instant>,
    /// Call again in the next turn.
    pub(crate) again: bool,
    /// Never call again.
    pub(crate) over: bool,
}

enum Step {
    /// The phase has changed: go on at once.
    On,
    /// Until something happens; `true`: others first, then this one again.
    Rest(bool),
}

impl Line {
    pub(crate) fn new(set: Arc<Settings>, payload: Value) -> Self {
        Self {
            set,
            payload,
            phase: Phase::Idle,
            desk: Desk::default(),
            why: None,
            last: Closed::Unopened,
            failure: None,
            been: false,
            held: true,
            starved: false,
            tries: 0,
            armed: None,
        }
    }

    /// Does all that can be done now.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Instant) -> Next {
        let mut again = true;
        for _ in 0..STEPS {
            if let Step::Rest(more) = self.step(cx, scratch, now) {
                again = more;
                break;
            }
        }
        if self.starved && self.has_room() {
            self.starved = false;
            self.desk.wake();
        }
        Next { due: self.due(), again, over: matches!(self.phase, Phase::Ended) }
    }

    fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting(until) | Phase::Dialing(_, until) => Some(*until),
            Phase::Open(wire) => wire.due(self.set.heartbeat).into_iter().chain(self.desk.calls.due()).min(),
            Phase::Idle | Phase::Ended => None,
        }
    }

    fn step(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Instant) -> Step {
        match &mut self.phase {
            Phase::Waiting(until) if *until <= now => self.dial(now),
            Phase::Dialing(dial, until) => match dial.as_mut().poll(cx) {
                Poll::Ready(Ok(conn)) => self.greet(conn, now),
                Poll::Ready(Err(e)) => self.missed(e, now),
                Poll::Pending if *until <= now => {
                    let late = Error::new(Kind::Unavailable, "no connection in 30s").context("url", &self.set.url);
                    self.missed(late, now);
                }
                Poll::Pending => return Step::Rest(false),
            },
            Phase::Open(_) => return self.serve(cx, scratch, now),
            Phase::Idle | Phase::Waiting(_) | Phase::Ended => return Step::Rest(false),
        }
        Step::On
    }

    fn dial(&mut self, now: Instant) {
        let set = self.set.clone();
        let dial = Box::pin(async move { set.drivers.network.open(&set.url).await?.connect(&set.url).await });
        self.phase = Phase::Dialing(dial, now + DIAL_LIMIT);
    }

    /// The network is connected.
    fn greet(&mut self, conn: Box<dyn Conn>, now: Instant) {
        let mut wire = Wire::new(conn, self.set.dialect, now);
        self.why = None;
        if !self.set.says_hello() {
            self.phase = Phase::Open(wire);
            return self.live(now);
        }
        wire.stage = Stage::Greeting(now + self.set.timeout);
        let said = wire.put_hello(&Hello::new(self.payload.clone()));
        self.phase = Phase::Open(wire);
        if let Err(e) = said {
            self.phase = Phase::Idle;
            self.missed(e, now);
        }
    }

    /// Calls may go out.
    fn live(&mut self, now: Instant) {
        let Phase::Open(wire) = &mut self.phase else { return };
        wire.go_live(now);
        self.desk.tell(if self.been { &Event::Reconnected } else { &Event::Connected });
        if self.been {
            self.desk.stat.reconnects += 1;
        }
        self.been = true;
        self.desk.wake();
    }

    /// One turn of a connection: read, look at the clock, write.
    fn serve(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Instant) -> Step {
        match &mut self.phase {
            Phase::Open(Wire { stage: Stage::Closing(until), .. }) => {
                let until = *until;
                return self.say_goodbye(cx, until, now);
            }
            Phase::Open(_) => {}
            _ => return Step::On,
        }
        let more = self.read(cx, scratch, now);
        self.look_at_the_clock(now);
        let Phase::Open(wire) = &mut self.phase else { return Step::On };
        if matches!(wire.stage, Stage::Closing(_)) {
            return Step::On;
        }
        match wire.poll_write(cx) {
            Poll::Ready(Err(e)) => {
                self.cut(Closed::of(&e), now);
                Step::On
            }
            _ => Step::Rest(more),
        }
    }

    /// Reads until nothing is there; `true` if something may be.
    fn read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Instant) -> bool {
        for _ in 0..READS {
            let Self { phase: Phase::Open(wire), desk, .. } = self else { return false };
            if matches!(wire.stage, Stage::Closing(_)) {
                return false;
            }
            let mut news = News::default();
            let read = wire.poll_read(cx, scratch, now, |received| desk.take(received, &mut news));
            self.heed(news, now);
            match read {
                Poll::Pending => return false,
                Poll::Ready(Ok(Inbound::Data { more: true })) => return true,
                Poll::Ready(Ok(Inbound::Data { .. } | Inbound::Head)) => {}
                Poll::Ready(Ok(Inbound::End)) => self.part(Closed::Server, now),
                Poll::Ready(Err(e)) => self.broken(&e, now),
            }
        }
        true
    }

    fn broken(&mut self, e: &Error, now: Instant) {
        match Closed::of(e) {
            Closed::Network { text } => self.cut(Closed::Network { text }, now),
            reason => self.part(reason, now),
        }
    }

    fn heed(&mut self, news: News, now: Instant) {
        if news.welcome && matches!(&self.phase, Phase::Open(Wire { stage: Stage::Greeting(_), .. })) {
            self.live(now);
        }
        if let Some(Closed::GoAway { reason, retry_after }) = news.goaway {
            self.desk.tell(&Event::GoAway { reason, retry_after });
            self.leave(Closed::GoAway { reason, retry_after });
        }
        if let Some(kick) = news.kick {
            self.part(kick, now);
        }
    }

    fn look_at_the_clock(&mut self, now: Instant) {
        let Self { phase: Phase::Open(wire), desk, set, .. } = self else { return };
        match wire.stage {
            Stage::Greeting(until) if until <= now => {
                let text = "no welcome in time: for a server of the old format set hello=off";
                self.part(Closed::Network { text: text.to_owned() }, now);
            }
            Stage::Greeting(_) | Stage::Closing(_) => {}
            Stage::Live | Stage::Leaving => {
                desk.calls.expire(now, set.in_flight);
                if matches!(wire.beat(now, set.heartbeat, set.outbox), Pulse::Silent) {
                    return self.cut(Closed::Silent, now);
                }
                if wire.stage == Stage::Leaving && desk.calls.waiting() == 0 {
                    self.part(Closed::Local, now);
                }
            }
        }
    }

    /// No new calls; the connection ends when those in flight are answered.
    pub(crate) fn leave(&mut self, reason: Closed) {
        match &mut self.phase {
            Phase::Open(wire) => {
                if !matches!(wire.stage, Stage::Closing(_)) {
                    wire.stage = Stage::Leaving;
                }
                self.because(reason);
                self.desk.wake();
            }
            Phase::Idle | Phase::Waiting(_) | Phase::Dialing(..) => self.end(reason),
            Phase::Ended => {}
        }
    }

    /// The last handle is gone.
    pub(crate) fn let_go(&mut self) {
        self.held = false;
        self.leave(Closed::Local);
    }

    /// Remembers why the connection ends: the first reason, but for a kick and this program's own wish.
    fn because(&mut self, reason: Closed) {
        let own = self.why == Some(Closed::Local);
        if self.why.is_none() || (!own && matches!(reason, Closed::Local | Closed::Kicked { .. })) {
            self.why = Some(reason);
        }
    }

    /// Ends the connection after a goodbye. A reason that was given before stands.
    fn part(&mut self, reason: Closed, now: Instant) {
        let Phase::Open(wire) = &mut self.phase else { return };
        if matches!(wire.stage, Stage::Closing(_)) {
            return;
        }
        let farewell = if matches!(reason, Closed::Protocol { .. }) { Farewell::Protocol } else { Farewell::Normal };
        wire.close(farewell, now);
        match (&self.why, reason) {
            // Leaving is done: the reason to leave stands.
            (Some(_), Closed::Local) => {}
            (_, reason) => self.because(reason),
        }
        let why = self.why.clone().unwrap_or(Closed::Server);
        tracing::debug!(url = %self.set.url, reason = %why, "a connection ends");
        self.desk.calls.fail_all(&why);
        self.desk.wake();
    }

    /// Ends the connection at once: nobody hears a goodbye.
    fn cut(&mut self, reason: Closed, now: Instant) {
        self.part(reason, now);
        self.parted(now);
    }

    fn say_goodbye(&mut self, cx: &mut Context<'_>, until: Instant, now: Instant) -> Step {
        let Phase::Open(wire) = &mut self.phase else { return Step::On };
        if wire.poll_close(cx).is_pending() && until > now {
            return Step::Rest(false);
        }
        self.parted(now);
        Step::On
    }

    /// The connection is gone.
    fn parted(&mut self, now: Instant) {
        let Phase::Open(wire) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        let why = self.why.take().unwrap_or(Closed::Server);
        match wire.live_since() {
            Some(since) => {
                self.desk.tell(&Event::Disconnected(why.clone()));
                let lasted = self.set.reconnect.is_some_and(|b| now.saturating_duration_since(since) >= b.max);
                self.tries = if lasted { 0 } else { self.tries };
            }
            None if !self.been && why != Closed::Local => return self.missed(why.into(), now),
            None => {}
        }
        self.go_on(why, now);
    }

    /// There was no connection.
    fn missed(&mut self, e: Error, now: Instant) {
        tracing::debug!(url = %self.set.url, error = %e, "no connection");
        if self.been {
            return self.go_on(Closed::for_good(&e).unwrap_or_else(|| Closed::of(&e)), now);
        }
        if !self.held {
            return self.end(Closed::Local);
        }
        self.phase = Phase::Idle;
        self.failure = Some(e);
        self.desk.wake();
    }

    /// Waits for the next attempt, if there is to be one.
    fn go_on(&mut self, why: Closed, now: Instant) {
        let returns = self.held && why.may_return();
        let Some(backoff) = self.set.reconnect.filter(|_| returns) else { return self.end(why) };
        let delay = match &why {
            Closed::GoAway { retry_after, .. } => backoff.after(*retry_after),
            _ => backoff.delay(self.tries),
        };
        self.tries = self.tries.saturating_add(1);
        self.phase = Phase::Waiting(now + delay);
        self.last = why;
        self.desk.wake();
    }

    /// The end for good.
    pub(crate) fn end(&mut self, why: Closed) {
        self.phase = Phase::Ended;
        self.desk.calls.fail_all(&why);
        self.last = why;
        self.desk.end();
    }
}
