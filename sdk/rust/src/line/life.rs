//! From the first attempt to a connection that serves.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use due_core::{
    Error, Kind, Result,
    net::{Conn, Inbound, Scratch},
};
use due_protocol::Hello;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    desk::{Desk, News},
    wire::{Pulse, Stage, Wire},
};
use crate::{Closed, Event, settings::Settings};

/// How long a network may take to connect, should it set no limit itself.
const DIAL_LIMIT: Duration = Duration::from_secs(30);
/// Reads of one connection in one turn.
const READS: usize = 4;
/// Changes of phase in one turn.
const STEPS: usize = 8;

pub(crate) struct Line {
    pub(crate) set: Arc<Settings>,
    pub(crate) payload: Value,
    pub(super) phase: Phase,
    pub(super) desk: Desk,
    /// Why the connection ends, from when that is known to when it has.
    pub(super) why: Option<Closed>,
    /// Why the last connection ended.
    pub(super) last: Closed,
    /// Why the first connection did not come about; taken by who opened the client.
    pub(super) failure: Option<Error>,
    /// Was there a connection?
    pub(super) been: bool,
    /// Is there a handle?
    pub(super) held: bool,
    /// Does a task wait for room?
    pub(super) starved: bool,
    /// Attempts since the last connection that lasted.
    pub(super) tries: u32,
    /// The event loop's timer.
    pub(crate) armed: Option<u64>,
}

pub(super) type Dial = Pin<Box<dyn Future<Output = Result<Box<dyn Conn>>> + Send>>;

pub(super) enum Phase {
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

pub(super) enum Step {
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
}
