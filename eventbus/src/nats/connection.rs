//! One connection: its state, its breaks, and whether the server has seen what was sent.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, Statistics, connection::State};
use bytes::Bytes;
use due_core::{Error, Kind, Origin, Result, Url};
use tokio::{sync::watch, time};

use super::{echo::Echo, settings::Settings};

/// Messages that async-nats holds for one subscription while its task is not running.
const BETWEEN: usize = 8192;
/// The server's own limit is the only other one; a connection that is made again does not hammer.
const SHORTEST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// A connection to NATS that comes back by itself.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) timeout: Duration,
    statistics: Arc<Statistics>,
    signals: watch::Receiver<Signals>,
    echo: Echo,
}

/// What happened to the connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals {
    /// Connections that broke.
    pub(super) breaks: u64,
    /// Connections made.
    pub(super) connects: u64,
    /// Messages dropped because a subscription's task was not running.
    pub(super) slow: u64,
}

/// Which of the connections in a row: what went into one that is still the same went in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life(u64);

impl Connection {
    pub(super) async fn open(url: &Url, settings: &Settings) -> Result<Self> {
        let (tell, signals) = watch::channel(Signals::default());
        let servers: Vec<String> = url.hosts().iter().map(|host| format!("nats://{host}")).collect();
        let client = options(url, settings, tell).connect(servers).await.map_err(|e| refused(url, &e))?;
        let statistics = client.statistics();
        let echo = Echo::start(client.clone(), statistics.clone(), signals.clone(), settings.timeout)
            .await
            .map_err(|e| down(url).because(e))?;
        let connection = Self { client, url: url.clone(), timeout: settings.timeout, statistics, signals, echo };
        connection.confirm(connection.life()).await?;
        Ok(connection)
    }

    pub(super) fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.clone()
    }

    /// Which connection this is. Ask before sending.
    pub(super) fn life(&self) -> Life {
        life(&self.statistics)
    }

    /// The connection must be up: async-nats would keep what is sent meanwhile, and say nothing.
    pub(super) fn check_up(&self) -> Result<Life> {
        match self.client.connection_state() {
            State::Connected => Ok(self.life()),
            State::Pending | State::Disconnected => Err(down(&self.url)),
        }
    }

    /// The server closes the connection of who sends more than it takes.
    pub(super) fn check_size(&self, body: &Bytes) -> Result<()> {
        let limit = self.client.max_payload();
        if body.len() <= limit {
            return Ok(());
        }
        let e = Error::new(Kind::TooLarge, "the event is over the server's max_payload: raise it there");
        Err(e.context("bytes", body.len()).context("max_payload", limit))
    }

    /// Sends in order, without waiting for the server.
    pub(super) async fn publish(&self, subject: String, body: Bytes) -> Result<Life> {
        let life = self.check_up()?;
        self.check_size(&body)?;
        match time::timeout(self.timeout, self.client.publish(subject, body)).await {
            Ok(Ok(())) => Ok(life),
            Ok(Err(e)) => Err(down(&self.url).because(e)),
            Err(_) => Err(Error::new(Kind::Full, "the connection takes no more").context("url", &self.url)),
        }
    }

    /// Returns when the server has taken everything that went into the connection of `life` before.
    pub(super) async fn confirm(&self, life: Life) -> Result<()> {
        self.echo.confirm(life).await.map_err(|e| e.context("url", &self.url))
    }

    /// The same for later, without this value.
    pub(super) fn confirmation(&self, life: Life) -> impl Future<Output = Result<()>> + Send + 'static {
        let (echo, url) = (self.echo.clone(), self.url.clone());
        async move { echo.confirm(life).await.map_err(|e| e.context("url", url)) }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.url)
    }
}

pub(super) fn life(statistics: &Statistics) -> Life {
    Life(statistics.connects.load(Ordering::Acquire))
}

fn options(url: &Url, settings: &Settings, tell: watch::Sender<Signals>) -> ConnectOptions {
    let shown = url.clone();
    let options = ConnectOptions::new()
        .name(&settings.name)
        .connection_timeout(settings.connect_timeout)
        .request_timeout(Some(settings.timeout))
        .ping_interval(settings.ping)
        .subscription_capacity(BETWEEN)
        .require_tls(settings.tls)
        .reconnect_delay_callback(delay)
        .event_callback(move |event| {
            note(&tell, &shown, &event);
            std::future::ready(())
        });
    match (url.user(), url.password()) {
        (Some(user), Some(password)) => options.user_and_password(user.to_owned(), password.to_owned()),
        (Some(token), None) => options.token(token.to_owned()),
        _ => options,
    }
}

fn delay(attempt: usize) -> Duration {
    let factor = 2u32.saturating_pow(attempt.saturating_sub(1).min(16) as u32);
    SHORTEST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
}

fn note(tell: &watch::Sender<Signals>, url: &Url, event: &Event) {
    match event {
        Event::Disconnected => tracing::warn!(%url, "the connection to nats broke"),
        Event::Connected => tracing::info!(%url, "connected to nats"),
        Event::ServerError(error) => tracing::warn!(%url, %error, "nats refused something"),
        other => tracing::debug!(%url, event = %other, "nats"),
    }
    tell.send_if_modified(|signals| {
        let count = match event {
            Event::Disconnected | Event::Closed => &mut signals.breaks,
            Event::Connected => &mut signals.connects,
            Event::SlowConsumer(_) => &mut signals.slow,
            _ => return false,
        };
        *count += 1;
        true
    });
}

pub(super) fn down(url: &Url) -> Error {
    Error::new(Kind::BusDown, "not connected to nats").context("url", url)
}

fn refused(url: &Url, error: &async_nats::ConnectError) -> Error {
    let cause = error.to_string();
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => Error::config(format!(
            "nats refuses the login of {url}: put the right nats://user:password@host or nats://token@host there"
        )),
        ConnectErrorKind::ServerParse => Error::config(format!("{url} names no server: write nats://host:4222")),
        ConnectErrorKind::Tls => Error::config(format!("no TLS with {url}: set tls= as the server has it")),
        _ => Error::new(
            Kind::Unavailable,
            format!("no nats server answers at {url}: start one there, or correct host and port"),
        ),
    }
    .from_origin(Origin::Remote)
    .because(cause)
}
