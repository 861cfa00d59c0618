//! Which server, as whom, and how one connection to it is made.

use std::{sync::Arc, time::Duration};

use due_core::{Error, Kind, Result, Retry, Url};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, PushInfo, RedisConnectionInfo,
    Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::time::timeout;

use super::fault;

/// Longest wait for one connection, log-in included.
const CONNECT: Duration = Duration::from_millis(500);
/// Unacknowledged bytes for longer than this break a connection.
const CUT: Duration = Duration::from_secs(3);
/// Requests that wait for their answer on one connection; more wait outside, with the time they have left.
const IN_FLIGHT: usize = 4096;
/// Requests that wait to be written.
const QUEUE: usize = 256;
const MOST_HOSTS: usize = 16;
const PORT: u16 = 6379;

/// What happens with what the server sends unasked, and with the end of the connection. Must not wait.
pub(super) type Push = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A server and its stand-ins: the first that says it is the primary is used.
pub(super) struct Target {
    url: Url,
    hosts: Vec<(String, u16)>,
    login: RedisConnectionInfo,
}

impl Target {
    /// Reads hosts, user, password and the number of the database.
    pub(super) fn new(url: &Url) -> Result<Self> {
        let hosts = url.hosts().iter().map(|host| host_and_port(url, host)).collect::<Result<Vec<_>>>()?;
        if !(1..=MOST_HOSTS).contains(&hosts.len()) {
            return Err(Error::config(format!("{url} has {} hosts: give 1 to {MOST_HOSTS}", hosts.len())));
        }
        let mut login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(database(url)?);
        if let Some(password) = url.password() {
            login = login.set_password(password);
        }
        if let Some(user) = url.user().filter(|user| !user.is_empty()) {
            login = login.set_username(user);
        }
        Ok(Self { url: url.without(&[]), hosts, login })
    }

    /// The address as it may be shown.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Connects to the primary. Errors: `Config` for a refused log-in, else `Unavailable`/`Safe`.
    pub(super) async fn dial(&self, push: Push) -> Result<MultiplexedConnection> {
        let mut last = None;
        for (host, port) in &self.hosts {
            match timeout(CONNECT, self.dial_one(host, *port, push.clone())).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(self.away(format!("{host}:{port} does not answer within {CONNECT:?}"))),
            }
        }
        Err(last.unwrap_or_else(|| self.away("there is no host".into())))
    }

    async fn dial_one(&self, host: &str, port: u16, push: Push) -> Result<MultiplexedConnection> {
        let address = ConnectionAddr::Tcp(host.to_owned(), port).into_connection_info();
        let info = address.map_err(|e| fault::connecting(&self.url, e))?;
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(CUT);
        let info = info.set_tcp_settings(tcp).set_redis_settings(self.login.clone());
        let client = Client::open(info).map_err(|e| fault::connecting(&self.url, e))?;
        let config = AsyncConnectionConfig::new()
            // Each caller has its own limit; the default of 500 ms would also end what is meant to wait.
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_concurrency_limit(IN_FLIGHT)
            .set_push_sender(move |info: PushInfo| {
                push(info);
                Ok::<(), ()>(())
            });
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.map_err(|e| fault::connecting(&self.url, e))?;
        match is_primary(&mut connection).await.map_err(|e| fault::connecting(&self.url, e))? {
            true => Ok(connection),
            false => Err(self.away(format!("{host}:{port} is a replica: only the primary takes events"))),
        }
    }

    fn away(&self, why: String) -> Error {
        Error::new(Kind::BusDown, why).retry_as(Retry::Safe).context("url", &self.url)
    }
}

/// Does the server say that it is the primary? One that may not be asked is believed to be.
pub(super) async fn is_primary(connection: &mut MultiplexedConnection) -> redis::RedisResult<bool> {
    let answer = connection.send_packed_command(&redis::cmd("ROLE")).await?;
    Ok(match &answer {
        Value::Array(parts) => parts.first().and_then(bytes) == Some(b"master"),
        Value::ServerError(_) => true,
        _ => false,
    })
}

/// The bytes of a string in an answer.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

fn host_and_port(url: &Url, text: &str) -> Result<(String, u16)> {
    let wrong = || Error::config(format!("the host {text:?} of {url}: write host:port"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
        None => match text.find(':') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        },
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().map_err(|_| wrong())?,
        None if port.is_empty() => PORT,
        None => return Err(wrong()),
    };
    match host {
        "" => Err(wrong()),
        host => Ok((host.to_owned(), port)),
    }
}

fn database(url: &Url) -> Result<i64> {
    match url.path().trim_matches('/') {
        "" => Ok(0),
        digits => digits.parse::<u16>().map(i64::from).map_err(|_| {
            Error::config(format!("the path {:?} of {url} is no database: write redis://host:6379/0", url.path()))
        }),
    }
}
