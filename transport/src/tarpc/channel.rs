//! The channel that generated clients take.

use std::{fmt, marker::PhantomData, time::Duration};

use ::tarpc::{
    RequestName,
    client::{self, RpcError, stub::Stub},
    context::Context,
};
use due_core::{Error, Kind, Result, Url, registry::Registry};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, sync::oneshot, time::Instant};
use tokio_util::codec::Framed;

use super::wire::Dials;
use crate::mesh::{Closed, Connect, Pool, addresses};

/// A connection is given up when it is not made by then.
const CONNECT: Duration = Duration::from_secs(5);

/// Reaches the members of a target; clones are the same channel, and the connections end with the last of them.
///
/// A generated client takes it by `From`. Dropping a call cancels it.
pub struct Channel<Req: Said, Resp: Heard> {
    pool: Pool<Tcp<Req, Resp>>,
}

/// What can be a request of a client.
pub trait Said: RequestName + Serialize + Send + 'static {}
impl<T: RequestName + Serialize + Send + 'static> Said for T {}

/// What can be a response to a client.
pub trait Heard: DeserializeOwned + Send + 'static {}
impl<T: DeserializeOwned + Send + 'static> Heard for T {}

/// Opens a channel to `discovery://name` or `direct://host:port,..`. Its tasks run on the caller's runtime. Connections
/// are made in the background; a call waits for one, until its own deadline at most. Errors: `Config` for a target that
/// is none.
pub async fn channel<Req: Said, Resp: Heard>(registry: &dyn Registry, target: &str) -> Result<Channel<Req, Resp>> {
    Ok(Channel { pool: Pool::open(Some(registry), target, Tcp(PhantomData)).await? })
}

impl<Req: Said, Resp: Heard> Channel<Req, Resp> {
    /// Opens a channel to `direct://host:port,..`, without a registry; as [`channel`] otherwise.
    pub async fn direct(target: &str) -> Result<Self> {
        Ok(Self { pool: Pool::open(None, target, Tcp(PhantomData)).await? })
    }

    /// How many members it is connected to now.
    pub fn connected(&self) -> usize {
        self.pool.connected()
    }
}

impl<Req: Said, Resp: Heard> Stub for Channel<Req, Resp> {
    type Req = Req;
    type Resp = Resp;

    async fn call(&self, context: Context, request: Req) -> Result<Resp, RpcError> {
        let until = self.pool.patience().min(Instant::from_std(context.deadline));
        let lease = self.pool.pick(&mut Vec::new(), until).await.map_err(|e| RpcError::Send(e.into()))?;
        lease.conn.call(context, request).await
    }
}

impl<Req: Said, Resp: Heard> Clone for Channel<Req, Resp> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl<Req: Said, Resp: Heard> fmt::Debug for Channel<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("connected", &self.connected()).finish_non_exhaustive()
    }
}

/// Makes connections of tarpc.
struct Tcp<Req, Resp>(PhantomData<fn(Req) -> Resp>);

impl<Req: Said, Resp: Heard> Connect for Tcp<Req, Resp> {
    type Conn = client::Channel<Req, Resp>;
    const SCHEME: &'static str = super::SCHEME;

    async fn connect(&self, host: &str, insecure: bool) -> Result<(Self::Conn, Closed)> {
        let slow = |_| Error::new(Kind::Unavailable, "not connected in time").context("host", host);
        let stream = tokio::time::timeout(CONNECT, dial(host, insecure)).await.map_err(slow)??;
        let made = client::new(client::Config::default(), Framed::new(stream, Dials::<_, _>::default()));
        let (over, closed) = oneshot::channel();
        let dispatch = made.dispatch;
        tokio::spawn(async move {
            if let Err(e) = dispatch.await {
                tracing::debug!(error = %e, "a tarpc connection broke");
            }
            drop::<oneshot::Sender<()>>(over);
        });
        Ok((made.client, closed))
    }
}

/// Connects a socket that sends small writes at once and notices within seconds that its peer's host is gone.
async fn dial(host: &str, insecure: bool) -> Result<TcpStream> {
    let url = Url::parse(&format!("tarpc://{host}"))?;
    let failed = |e: std::io::Error| Error::new(Kind::Unavailable, "connect").context("url", &url).because(e);
    let stream = TcpStream::connect(&*addresses(host, insecure, &url).await?).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(4)).with_interval(Duration::from_secs(1));
    socket2::SockRef::from(&stream).set_tcp_keepalive(&alive).map_err(failed)?;
    Ok(stream)
}
