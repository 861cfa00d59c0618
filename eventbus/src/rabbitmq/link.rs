//! One connection that is made again whenever it breaks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use due_core::{Error, Kind, Origin, Result, Url};
use futures_util::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind, Event, ExchangeKind,
    options::{ConfirmSelectOptions, ExchangeDeclareOptions},
    types::FieldTable,
};
use tokio::{
    sync::{Notify, watch},
    time,
};

use super::settings::Settings;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a connection is asked for its state, if no event tells of it.
const LOOK: Duration = Duration::from_millis(500);

/// A connection that comes back by itself; it ends with this value.
pub(super) struct Link {
    pub(super) url: Url,
    pub(super) settings: Arc<Settings>,
    live: watch::Receiver<Option<Arc<Live>>>,
    feeds: Arc<AtomicUsize>,
}

/// A queue that ends with its connection, counted as long as this lives.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One connection.
pub(super) struct Live {
    connection: Connection,
    /// For publishing, with confirms.
    pub(super) publish: Channel,
    broken: Notify,
    /// Queues that were made anew on it.
    back: AtomicUsize,
    /// Publishes may begin.
    open: AtomicBool,
    news: Notify,
    /// It was given up. Not everything that waits for lapin hears of a broken connection.
    over: watch::Sender<bool>,
}

impl Live {
    async fn connect(url: &Url, settings: &Settings) -> Result<Self> {
        let mut last = None;
        for server in settings.servers(url)? {
            let properties = ConnectionProperties::default().with_connection_name(settings.name.as_str().into());
            match time::timeout(settings.connect_timeout, Connection::connect_uri(server, properties)).await {
                Ok(Ok(connection)) => return Self::prepare(connection, url, settings).await,
                Ok(Err(error)) => last = Some(refused(url, &error)),
                Err(_) => last = Some(missing(url)),
            }
        }
        Err(last.unwrap_or_else(|| missing(url)))
    }

    async fn prepare(connection: Connection, url: &Url, settings: &Settings) -> Result<Self> {
        let prepared = time::timeout(settings.timeout, async {
            let publish = connection.create_channel().await?;
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            let exchange = settings.exchange.as_str().into();
            publish.exchange_declare(exchange, ExchangeKind::Topic, options, FieldTable::default()).await?;
            publish.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(publish)
        });
        match prepared.await {
            Ok(Ok(publish)) => Ok(Self {
                connection,
                publish,
                broken: Notify::new(),
                back: AtomicUsize::new(0),
                open: AtomicBool::new(false),
                news: Notify::new(),
                over: watch::Sender::new(false),
            }),
            Ok(Err(error)) => Err(refused(url, &error)),
            Err(_) => Err(missing(url)),
        }
    }

    /// A new channel on this connection.
    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// Something failed that does not fail on a connection in order: look at it, and connect anew.
    pub(super) fn distrust(&self) {
        self.broken.notify_one();
    }

    /// Returns when the connection was given up.
    pub(super) async fn over(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// One queue more was made anew on this connection.
    pub(super) fn is_back(&self) {
        self.back.fetch_add(1, Ordering::AcqRel);
        self.news.notify_one();
    }

    /// Publishing waits for the subscriptions of this process, or its own events would pass them by.
    async fn open_when_back(&self, feeds: &AtomicUsize, limit: Duration) {
        let back = async {
            while self.back.load(Ordering::Acquire) < feeds.load(Ordering::Acquire) {
                tokio::select! {
                    () = self.news.notified() => {}
                    () = time::sleep(LOOK) => {}
                }
            }
        };
        let _ = time::timeout(limit, back).await;
        self.open.store(true, Ordering::Release);
    }

    fn is_up(&self) -> bool {
        self.connection.status().connected() && self.publish.status().connected()
    }

    /// Returns when the connection is of no use any more.
    async fn ended(&self) {
        let mut events = std::pin::pin!(self.connection.events_listener());
        while self.is_up() {
            tokio::select! {
                event = events.next() => match event {
                    None => return,
                    // One of a channel says nothing of the connection, one of the connection shows in its state.
                    Some(Event::Error(error)) => tracing::debug!(%error, "rabbitmq"),
                    Some(Event::ConnectionBlocked(reason)) => tracing::warn!(reason, "rabbitmq takes no events"),
                    Some(_) => {}
                },
                () = self.broken.notified() => return,
                () = time::sleep(LOOK) => {}
            }
        }
    }
}

impl Link {
    pub(super) async fn open(url: &Url) -> Result<Self> {
        let settings = Arc::new(Settings::read(url)?);
        let first = Arc::new(Live::connect(url, &settings).await?);
        first.open.store(true, Ordering::Release);
        let (tell, live) = watch::channel(Some(first.clone()));
        let feeds = Arc::new(AtomicUsize::new(0));
        tokio::spawn(keep(tell, first, url.clone(), settings.clone(), feeds.clone()));
        Ok(Self { url: url.clone(), settings, live, feeds })
    }

    /// The connection, if there is one now.
    pub(super) fn live(&self) -> Result<Arc<Live>> {
        let live = self.live.borrow().clone();
        live.filter(|l| l.is_up() && l.open.load(Ordering::Acquire))
            .ok_or_else(|| Error::new(Kind::BusDown, "not connected to rabbitmq").context("url", &self.url))
    }

    /// Counts a queue that must be made anew on each connection before publishing goes on.
    pub(super) fn count(&self) -> Counted {
        self.feeds.fetch_add(1, Ordering::AcqRel);
        Counted(self.feeds.clone())
    }

    /// The next connection that works; `None` when there will be none.
    pub(super) async fn wait(&self) -> Option<Arc<Live>> {
        let mut live = self.live.clone();
        loop {
            let now = live.borrow_and_update().clone();
            match now {
                Some(now) if now.is_up() => return Some(now),
                // It is about to be replaced.
                _ => live.changed().await.ok()?,
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.url)
    }
}

/// Connects again and again, as long as somebody wants it.
async fn keep(
    tell: watch::Sender<Option<Arc<Live>>>,
    first: Arc<Live>,
    url: Url,
    settings: Arc<Settings>,
    feeds: Arc<AtomicUsize>,
) {
    let mut live = first;
    loop {
        tokio::select! {
            () = live.ended() => {}
            () = tell.closed() => break,
        }
        tracing::warn!(%url, "the connection to rabbitmq broke");
        tell.send_replace(None);
        live.over.send_replace(true);
        close(&live, &settings).await;
        tokio::select! {
            again = connect_again(&url, &settings) => live = again,
            () = tell.closed() => return,
        }
        tracing::info!(%url, "connected to rabbitmq");
        tell.send_replace(Some(live.clone()));
        live.open_when_back(&feeds, settings.timeout).await;
    }
    live.over.send_replace(true);
    close(&live, &settings).await;
}

async fn connect_again(url: &Url, settings: &Settings) -> Arc<Live> {
    let mut pause = FIRST_PAUSE;
    loop {
        match Live::connect(url, settings).await {
            Ok(live) => return Arc::new(live),
            Err(error) => tracing::debug!(%url, %error, "rabbitmq does not take a connection yet"),
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn close(live: &Live, settings: &Settings) {
    let _ = time::timeout(settings.timeout, live.connection.close(200, "bye".into())).await;
}

fn missing(url: &Url) -> Error {
    let text = format!("no rabbitmq server answers at {url}: start one there, or correct host and port");
    Error::new(Kind::Unavailable, text).from_origin(Origin::Remote)
}

fn refused(url: &Url, error: &lapin::Error) -> Error {
    const ACCESS_REFUSED: u16 = 403;
    const NOT_ALLOWED: u16 = 530;
    const PRECONDITION_FAILED: u16 = 406;
    let code = match error.kind() {
        ErrorKind::ProtocolError(e) => e.get_id(),
        _ => 0,
    };
    let refused = match code {
        ACCESS_REFUSED => Error::config(format!(
            "rabbitmq refuses the login of {url}: put the right amqp://user:password@host there, with rights on its vhost"
        )),
        NOT_ALLOWED => Error::config(format!(
            "rabbitmq has no virtual host as in {url} for this user: create it, or correct the path"
        )),
        PRECONDITION_FAILED => Error::config(format!(
            "the exchange of {url} exists and is no durable topic exchange: name another by exchange="
        )),
        _ => missing(url),
    };
    refused.from_origin(Origin::Remote).because(error.to_string())
}
