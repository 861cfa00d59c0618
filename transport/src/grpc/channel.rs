//! The channel that generated clients take.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use due_core::{Result, registry::Registry};
use tokio::time::timeout_at;
use tonic::{Code, Status, body::Body};
use tower_service::Service;

use super::connection::Http2;
use crate::mesh::Pool;

/// Reaches the members of a target; clones are the same channel, and the connections end with the last of them.
///
/// It implements tonic's `GrpcService`. Dropping a call cancels it.
#[derive(Clone)]
pub struct Channel {
    pool: Pool<Http2>,
}

/// Opens a channel to `discovery://name` or `direct://host:port,..`. Its tasks run on the caller's runtime. Connections
/// are made in the background; a call waits for one. Errors: `Config` for a target that is none.
pub async fn channel(registry: &dyn Registry, target: &str) -> Result<Channel> {
    Ok(Channel { pool: Pool::open(Some(registry), target, Http2).await? })
}

impl Channel {
    /// Opens a channel to `direct://host:port,..`, without a registry; as [`channel`] otherwise.
    pub async fn direct(target: &str) -> Result<Self> {
        Ok(Self { pool: Pool::open(None, target, Http2).await? })
    }

    /// How many members it is connected to now.
    pub fn connected(&self) -> usize {
        self.pool.connected()
    }

    async fn send(self, mut request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let until = self.pool.patience();
        let mut tried = Vec::new();
        loop {
            let mut lease = self.pool.pick(&mut tried, until).await.map_err(|e| unavailable(&e))?;
            lease.conn.address(&mut request).map_err(|e| Status::invalid_argument(e.to_string()))?;
            let room = timeout_at(until, lease.conn.room.acquire()).await;
            let _room = room.map_err(|_| Status::resource_exhausted("too many calls wait for their answer"))?;
            let mut failed = match lease.conn.send.try_send_request(request).await {
                Ok(response) => return Ok(response.map(Body::new)),
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(broke(lease.host(), failed.into_error())),
            }
            tried.push(lease.key);
        }
    }
}

fn unavailable(error: &due_core::Error) -> Status {
    Status::unavailable(error.to_string())
}

/// A call that may have been sent. What HTTP/2 says about it is kept where it says something.
fn broke(host: &str, error: hyper::Error) -> Status {
    let text = format!("the connection to {host} broke: {error}");
    match Status::from_error(error.into()) {
        told if !matches!(told.code(), Code::Unknown | Code::Cancelled) => told,
        _ => Status::unavailable(text),
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("connected", &self.connected()).finish_non_exhaustive()
    }
}
