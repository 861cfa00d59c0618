//! One HTTP/2 connection.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use due_core::{Error, Kind, Result, Url};
use http::uri::{Authority, Scheme, Uri};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot},
};
use tonic::{Status, body::Body};
use tower_service::Service;

use crate::mesh::{Closed, Connect, addresses};

/// A connection is given up when it is not made by then.
const CONNECT: Duration = Duration::from_secs(5);
/// A peer that is silent for that long is asked, and given up when it does not answer for as long again.
const SILENCE: Duration = Duration::from_secs(4);
/// Calls of one connection that wait for the head of their answer.
const UNANSWERED: usize = 1024;
/// Bytes that a peer may send ahead on one stream, and on all.
const WINDOW: (u32, u32) = (1 << 20, 4 << 20);

/// Makes HTTP/2 connections.
pub(super) struct Http2;

/// A connection; clones are the same one.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) send: http2::SendRequest<Body>,
    /// For calls that are not answered yet: below it lies a queue without a bound.
    pub(super) room: Arc<Semaphore>,
    authority: Authority,
}

impl Connection {
    /// Completes the request's address, which generated clients leave without a host.
    pub(super) fn address(&self, request: &mut http::Request<Body>) -> Result<()> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(self.authority.clone()));
        let whole = Uri::from_parts(parts).map_err(|e| Error::new(Kind::BadRequest, "the path is no path").because(e));
        *request.uri_mut() = whole?;
        Ok(())
    }
}

impl Connect for Http2 {
    type Conn = Connection;
    const SCHEME: &'static str = "grpc";

    async fn connect(&self, host: &str, insecure: bool) -> Result<(Connection, Closed)> {
        let slow = |_| Error::new(Kind::Unavailable, "not connected in time").context("host", host);
        tokio::time::timeout(CONNECT, dial(host, insecure)).await.map_err(slow)?
    }
}

async fn dial(host: &str, insecure: bool) -> Result<(Connection, Closed)> {
    let url = Url::parse(&format!("grpc://{host}"))?;
    let failed = |e: std::io::Error| Error::new(Kind::Unavailable, "connect").context("url", &url).because(e);
    let stream = TcpStream::connect(&*addresses(host, insecure, &url).await?).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    over(stream, &url).await
}

/// Speaks HTTP/2 over `stream`, which reaches `url`.
pub(super) async fn over(stream: TcpStream, url: &Url) -> Result<(Connection, Closed)> {
    let host = url.host();
    let authority = Authority::try_from(host).map_err(|e| Error::config(format!("{host:?} is no host")).because(e))?;
    let (send, driver) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW.0)
        .initial_connection_window_size(WINDOW.1)
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| Error::new(Kind::Unavailable, "HTTP/2 handshake").context("url", url).because(e))?;
    let (over, closed) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(e) = driver.await {
            tracing::debug!(error = %e, "a grpc connection broke");
        }
        drop::<oneshot::Sender<()>>(over);
    });
    Ok((Connection { send, room: Arc::new(Semaphore::new(UNANSWERED)), authority }, closed))
}

/// One connection as a channel of tonic, for calls that want this very one.
impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let mut connection = self.clone();
        Box::pin(async move {
            connection.address(&mut request).map_err(|e| Status::invalid_argument(e.to_string()))?;
            let answer = connection.send.send_request(request).await;
            answer.map(|answer| answer.map(Body::new)).map_err(|e| Status::from_error(e.into()))
        })
    }
}
