//! The dialing side: how a link is made, and made again.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use due_core::{Error, Kind, Retry, Url};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    carrier::Carrier,
    greet::{self, Ended},
    port::{News, Port},
    socket::Parked,
};
use crate::{
    handshake::{Hail, Refusal},
    settings::Settings,
};

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Whom to dial, for which link session.
pub(super) struct Dial {
    pub(super) carrier: Arc<dyn Carrier>,
    pub(super) settings: Arc<Settings>,
    pub(super) url: Url,
    pub(super) hail: Hail,
}

/// Why there is no connection.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Trying again cannot help: somebody else lives there.
    pub(super) last: bool,
}

impl Dial {
    /// One connection, proven from both sides.
    pub(super) async fn connect(&self, resume: bool) -> Result<Parked, Failed> {
        let hail = Hail { resume, ..self.hail.clone() };
        match timeout(greet::LIMIT, self.greet(&hail)).await {
            Ok(done) => done,
            Err(_) => Err(self.failed("nobody answered in time").into()),
        }
    }

    async fn greet(&self, hail: &Hail) -> Result<Parked, Failed> {
        let mut stream =
            self.carrier.connect(&self.url, &self.settings).await.map_err(|e| e.context("to", &hail.to))?;
        match greet::dial(&mut stream, &self.settings.keys, hail).await {
            Ok(()) => stream.park().map_err(|e| self.failed("the socket cannot be handed over").because(e).into()),
            Err(Ended::Broken(e)) => {
                let why = "the connection ended in the handshake: compare `secret` and `namespace` on both sides";
                Err(self.failed(why).because(e).into())
            }
            Err(Ended::Refused(Refusal::Elsewhere(found))) => {
                let error = self.failed("somebody else listens").retry_as(Retry::Never).context("found", found);
                Err(Failed { error, last: true })
            }
            Err(Ended::Refused(refusal)) => {
                Err(self.failed("the handshake failed").because(refusal.to_string()).into())
            }
        }
    }

    fn failed(&self, why: &'static str) -> Error {
        Error::new(Kind::Unavailable, why).context("url", &self.url).context("to", &self.hail.to)
    }

    /// Dials until there is a connection, somebody else answers, or the grace is over; tells the port. Begins after
    /// `pause`.
    pub(super) async fn again(self: Arc<Self>, port: Weak<Port>, pause: Duration) {
        let deadline = Instant::now() + self.settings.grace;
        let news = match timeout_at(deadline, self.keep_dialing(pause)).await {
            Ok(Some(stream)) => News::Connected(stream),
            Ok(None) | Err(_) => News::Over,
        };
        if let Some(port) = port.upgrade() {
            port.put(news);
        }
    }

    async fn keep_dialing(&self, first: Duration) -> Option<Parked> {
        sleep(first).await;
        let mut pause = PAUSE.0;
        loop {
            let Failed { error, last } = match self.connect(true).await {
                Ok(stream) => return Some(stream),
                Err(failed) => failed,
            };
            tracing::debug!(%error, "a link is down");
            if last {
                return None;
            }
            // Many links of one peer break at the same time; they must not come back at the same time.
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let last = error.kind() == Kind::Config;
        Self { error, last }
    }
}
