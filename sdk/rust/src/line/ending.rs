//! How a connection ends, and what follows.

use std::task::Context;

use due_core::{Error, net::Farewell};
use tokio::time::Instant;

use super::{
    life::{Line, Phase, Step},
    wire::Stage,
};
use crate::{Closed, Event};

impl Line {
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

    /// Remembers why the connection ends: the first reason, but for a kick and this program's own wish. That wish comes
    /// too late to be the reason where nothing would follow anyhow.
    fn because(&mut self, reason: Closed) {
        let stands = match (&self.why, &reason) {
            (None, _) => false,
            (Some(Closed::Local), _) => true,
            (Some(why), Closed::Local) => !why.may_return(),
            (Some(_), reason) => !matches!(reason, Closed::Kicked { .. }),
        };
        if !stands {
            self.why = Some(reason);
        }
    }

    /// Ends the connection after a goodbye. A reason that was given before stands.
    pub(super) fn part(&mut self, reason: Closed, now: Instant) {
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
    pub(super) fn cut(&mut self, reason: Closed, now: Instant) {
        self.part(reason, now);
        self.parted(now);
    }

    pub(super) fn say_goodbye(&mut self, cx: &mut Context<'_>, until: Instant, now: Instant) -> Step {
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
    pub(super) fn missed(&mut self, e: Error, now: Instant) {
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
