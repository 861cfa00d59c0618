//! One connection to an etcd cluster: login, time limits, and its errors in due's words.
//!
//! The same file stands in the crates `registry`, `config` and `store`, which must not know each other; a test of
//! `registry` keeps the three equal.

use std::{error::Error as _, time::Duration};

use due_core::{Error, Kind, Result, Retry, Url};
use etcd_client::{
    Client, ConnectOptions, GetOptions, GetResponse, KvClient, Txn, TxnResponse, WatchOptions, WatchResponse,
    WatchStream,
};
use tokio::{sync::OnceCell, time};
use tonic::Code;

/// Largest answer in bytes.
const LARGEST: usize = 64 << 20;

/// Time for one TCP connection.
const CONNECT: Duration = Duration::from_secs(1);

/// A connection with open requests is asked whether it lives so often (etcd closes on who asks every 5 s or faster)..
const PING: Duration = Duration::from_secs(6);

/// ..and is broken off without an answer in this time.
const PONG: Duration = Duration::from_secs(3);

type Answer<T> = Result<T, etcd_client::Error>;

/// Connections to the hosts of one URL, opened when they are used. All keys are under one root.
pub(super) struct Etcd {
    client: Client,
    url: Url,
    root: String,
    login: Option<(String, String)>,
    logged_in: OnceCell<()>,
    limit: Duration,
}

/// Does a call change anything, so that it matters whether it happened?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

impl Etcd {
    /// Reads the URL; asks nothing of the server yet. `limit` is the time of one call.
    pub(super) async fn open(url: &Url, login: Login, folder: &str, limit: Duration) -> Result<Self> {
        let hosts = hosts(url)?;
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING, PONG)
            .with_keep_alive_while_idle(false)
            .with_auto_token_refresh(true)
            .with_require_leader(true);
        let wrong = |e| Error::config(format!("{url} names no etcd: write etcd://host:2379/namespace")).because(e);
        let client = Client::connect(&hosts, Some(options)).await.map_err(wrong)?;
        let namespace = Some(url.path().trim_matches('/')).filter(|n| !n.is_empty()).unwrap_or("due");
        let login = login.of(url)?;
        let root = format!("/{namespace}/{folder}/");
        Ok(Self { client, url: url.clone(), root, login, logged_in: OnceCell::new(), limit })
    }

    /// A key under the root.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// The part of a stored key behind the root; `None` for what is not text under the root.
    pub(super) fn name<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&*self.root)
    }

    pub(super) async fn get(&self, key: impl AsRef<[u8]>, options: GetOptions) -> Result<GetResponse> {
        let get = |client: Client| {
            let (key, options) = (key.as_ref().to_vec(), options.clone());
            async move { kv(&client).get(key, Some(options)).await }
        };
        self.ask(Effect::Reads, get).await
    }

    pub(super) async fn txn(&self, txn: &Txn, effect: Effect) -> Result<TxnResponse> {
        let run = |client: Client| {
            let txn = txn.clone();
            async move { kv(&client).txn(txn).await }
        };
        self.ask(effect, run).await
    }

    /// Changes under a prefix after revision `from`, or from now on if that is 0. Returns when the server has confirmed,
    /// with the revision it had then.
    pub(super) async fn watch(&self, prefix: &str, from: i64) -> Result<(WatchStream, i64)> {
        let start = if from == 0 { 0 } else { from + 1 };
        let options = WatchOptions::new().with_prefix().with_start_revision(start).with_fragment();
        let open = |client: Client| {
            let (prefix, options) = (prefix.to_owned(), options.clone());
            async move {
                let mut watch = client.watch_client().max_decoding_message_size(LARGEST);
                let mut stream = watch.watch(prefix, Some(options)).await?;
                let first = stream.message().await?;
                Ok((stream, first))
            }
        };
        // What broke behind a list may have been the end of that server's life: the caller lists again.
        let again = if from == 0 { self.again() } else { 0 };
        let (stream, first) = self.in_time(Effect::Reads, again, open).await?;
        let first = self.alive(first)?;
        Ok((stream, first.header().map_or(0, |h| h.revision())))
    }

    /// The next changes of a watch. Any error ends it: the changes behind it are lost.
    pub(super) async fn changes(&self, stream: &mut WatchStream) -> Result<WatchResponse> {
        match stream.message().await {
            Ok(told) => self.alive(told),
            Err(e) => Err(self.explain(e, Effect::Reads)),
        }
    }

    /// A call within the time limit. It is made again while it has certainly changed nothing: a connection that broke
    /// earlier says so to the next call only, and one host of many may be away.
    pub(super) async fn ask<T, F>(&self, effect: Effect, call: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = Answer<T>>,
    {
        self.in_time(effect, self.again(), call).await
    }

    async fn in_time<T, F>(&self, effect: Effect, again: usize, call: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = Answer<T>>,
    {
        let work = async {
            self.log_in().await?;
            self.send(effect, again, call).await
        };
        match time::timeout(self.limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(unheard(effect).context("url", &self.url).context("waited", format!("{:?}", self.limit))),
        }
    }

    async fn send<T, F>(&self, effect: Effect, mut again: usize, call: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = Answer<T>>,
    {
        loop {
            match call(self.client.clone()).await.map_err(|e| self.explain(e, effect)) {
                Err(e) if again > 0 && e.kind() == Kind::Unavailable => again -= 1,
                outcome => return outcome,
            }
        }
    }

    fn again(&self) -> usize {
        2 * self.url.hosts().len()
    }

    /// Once; later the client renews its token by itself.
    async fn log_in(&self) -> Result<()> {
        let Some(login) = &self.login else { return Ok(()) };
        let log_in = || {
            self.send(Effect::Reads, self.again(), |mut client| {
                let login = login.clone();
                async move { client.update_user(Some(login)).await }
            })
        };
        self.logged_in.get_or_try_init(log_in).await.copied()
    }

    fn alive(&self, told: Option<WatchResponse>) -> Result<WatchResponse> {
        let ended =
            |why: &str| Error::new(Kind::Lost, "etcd ended a watch").context("url", &self.url).context("why", why);
        match told {
            Some(told) if told.compact_revision() > 0 => Err(ended("its history was compacted")),
            Some(told) if told.canceled() => Err(ended(told.cancel_reason())),
            Some(told) => Ok(told),
            None => Err(ended("the connection was closed")),
        }
    }

    pub(super) fn explain(&self, e: etcd_client::Error, effect: Effect) -> Error {
        let error = match &e {
            etcd_client::Error::GRpcStatus(status) => self.explain_status(status, effect),
            _ => unheard(effect),
        };
        error.context("url", &self.url).because(e)
    }

    fn explain_status(&self, status: &tonic::Status, effect: Effect) -> Error {
        let says = |text: &str| status.message().contains(text);
        let is = |kind, text: &'static str| Error::new(kind, text);
        match status.code() {
            _ if unsent(status) => {
                is(Kind::Unavailable, "etcd cannot be reached: start it, or correct the hosts of the URL")
            }
            Code::InvalidArgument if says("too large") => is(Kind::TooLarge, "etcd takes no request of this size"),
            Code::OutOfRange if says("compacted") => is(Kind::Lost, "etcd has compacted this revision"),
            Code::OutOfRange => is(Kind::TooLarge, "the answer of etcd is over 64 MiB"),
            Code::Unauthenticated => self.refused(),
            Code::InvalidArgument if says("authentication") || says("user name") => self.refused(),
            Code::FailedPrecondition if says("authentication is not enabled") => {
                is(Kind::Config, "etcd has authentication off: leave user and password out of the URL")
            }
            Code::PermissionDenied => {
                let text = format!("etcd forbids it: grant a role of this user the prefix {}", self.root);
                Error::new(Kind::Forbidden, text)
            }
            Code::ResourceExhausted => {
                is(Kind::Overloaded, "etcd takes no more: its quota is used up, or it is asked too much")
            }
            Code::NotFound => is(Kind::Gone, "etcd does not have it any more"),
            Code::InvalidArgument | Code::Unimplemented => is(Kind::Internal, "etcd does not understand this request"),
            _ => unheard(effect),
        }
    }

    fn refused(&self) -> Error {
        let text = match &self.login {
            Some((user, _)) => format!("etcd refuses the user {user:?}: correct the user or the password in the URL"),
            None => "etcd wants a login: write etcd://user:password@host:2379".to_owned(),
        };
        Error::new(Kind::Unauthorized, text)
    }
}

/// The query keys of a login; the URL may have it before `@` instead.
#[derive(Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl Login {
    fn of(self, url: &Url) -> Result<Option<(String, String)>> {
        let before = url.user().map(|user| (user.to_owned(), url.password().unwrap_or_default().to_owned()));
        match (before, self.user) {
            (Some(_), Some(_)) => Err(Error::config(format!("{url} has two users: keep `user:password@` or `?user=`"))),
            (None, None) if self.password.is_some() => Err(Error::config(format!("{url} has a password and no user"))),
            (None, Some(user)) => Ok(Some((user, self.password.unwrap_or_default()))),
            (before, None) => Ok(before),
        }
    }
}

fn hosts(url: &Url) -> Result<Vec<String>> {
    if url.hosts().is_empty() {
        return Err(Error::config(format!("{url} names no host: write etcd://host:2379/namespace")));
    }
    let wrong = |host: &str| Error::config(format!("{host:?} in {url} is no host of an etcd: write host:2379"));
    let whole = |host: &String| match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            let good = !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
            good.then(|| host.clone()).ok_or_else(|| wrong(host))
        }
        _ => Ok(format!("{host}:2379")),
    };
    url.hosts().iter().map(whole).collect()
}

fn kv(client: &Client) -> KvClient {
    client.kv_client().max_decoding_message_size(LARGEST)
}

/// Nobody knows whether it happened, unless it changes nothing.
fn unheard(effect: Effect) -> Error {
    match effect {
        Effect::Reads => Error::new(Kind::Unavailable, "etcd does not answer"),
        Effect::Writes => {
            Error::new(Kind::Timeout, "etcd did not answer: it may have happened").retry_as(Retry::Unknown)
        }
    }
}

/// Did the request certainly not leave?
fn unsent(status: &tonic::Status) -> bool {
    let mut cause = status.source();
    while let Some(e) = cause {
        if e.is::<tonic::ConnectError>() {
            return true;
        }
        cause = e.source();
    }
    // The HTTP client says this of a request that it still had when its connection closed.
    status.code() == Code::Cancelled && status.message().starts_with("operation was canceled")
}
