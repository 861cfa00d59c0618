//! Serving users' own tarpc services.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::tarpc::{ClientMessage, Response, server::BaseChannel};
use async_trait::async_trait;
use due_core::{
    Result, Url,
    mesh::{self, Served},
    registry::{Instance, Registry},
};
use futures_util::{Sink, Stream};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::codec::Framed;

use super::{SCHEME, wire::Serves};
use crate::mesh::{Bound, Serving, accept};

/// Connections that one server keeps at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;

/// The calls of one connection: tarpc's own server channel. `execute` it.
pub type Calls<Req, Resp> = BaseChannel<Req, Resp, Socket<Req, Resp>>;

/// A service to serve.
pub struct Service<Req, Resp> {
    #[allow(clippy::type_complexity, reason = "one use")]
    run: Arc<dyn Fn(Calls<Req, Resp>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>,
}

/// A service: `run` is given the calls of each connection and runs them until there are no more, as
/// `calls.execute(Server.serve()).for_each_concurrent(64, |call| call)` does. How many run at once is its choice, and its
/// bound.
pub fn service<Req, Resp, F, Fut>(run: F) -> Service<Req, Resp>
where
    F: Fn(Calls<Req, Resp>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Service { run: Arc::new(move |calls| Box::pin(run(calls))) }
}

impl<Req, Resp> Service<Req, Resp>
where
    Req: DeserializeOwned + Send + 'static,
    Resp: Serialize + Send + 'static,
{
    /// Serves at `tarpc://host:port` without telling a registry: for who lists the endpoint on their own, or calls it by
    /// `direct://`. Runs on the caller's runtime. Errors: `Config` for an address that is busy or refused.
    pub async fn listen(self, url: &Url) -> Result<Serving> {
        let bound = Bound::at(url, SCHEME).await?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(self.run(bound.listener, stopped));
        Ok(Serving::new(bound.endpoint, stop, task))
    }

    /// Serves at `tarpc://host:port` and lists `instance` (a mesh) with this endpoint. Errors: those of [`Self::listen`]
    /// and of [`Registry::register`], and then nothing is served.
    pub async fn serve(self, registry: &dyn Registry, url: &Url, instance: Instance) -> Result<Serving> {
        self.listen(url).await?.register(registry, instance).await
    }

    /// Accepts until it is stopped, then waits for the calls that run.
    async fn run(self, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let stream = tokio::select! {
                // An error is a sender that is gone.
                _ = stopped.wait_for(|stop| *stop) => break,
                stream = accept(&listener) => stream,
            };
            let calls = BaseChannel::with_defaults(Socket::new(stream, stopped.clone()));
            let running = (self.run)(calls);
            connections.spawn(async move {
                running.await;
                drop(permit);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

#[async_trait]
impl<Req, Resp> mesh::Service for Service<Req, Resp>
where
    Req: DeserializeOwned + Send + 'static,
    Resp: Serialize + Send + 'static,
{
    async fn listen(self: Box<Self>, url: &Url) -> Result<Box<dyn Served>> {
        Ok(Box::new((*self).listen(url).await?))
    }
}

/// A connection that takes no new calls once the server is stopped.
pub struct Socket<Req, Resp> {
    framed: Framed<TcpStream, Serves<Req, Resp>>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<Req, Resp> Socket<Req, Resp> {
    fn new(stream: TcpStream, mut stopped: watch::Receiver<bool>) -> Self {
        let stopped = Box::pin(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        Self { framed: Framed::new(stream, Serves::default()), stopped }
    }
}

impl<Req: DeserializeOwned, Resp> Stream for Socket<Req, Resp> {
    type Item = io::Result<ClientMessage<Req>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            self.stopped = Box::pin(std::future::ready(()));
            return Poll::Ready(None);
        }
        Pin::new(&mut self.framed).poll_next(cx)
    }
}

impl<Req, Resp: Serialize> Sink<Response<Resp>> for Socket<Req, Resp> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Response<Resp>>::poll_ready(Pin::new(&mut self.framed), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, response: Response<Resp>) -> io::Result<()> {
        Pin::new(&mut self.framed).start_send(response)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Response<Resp>>::poll_flush(Pin::new(&mut self.framed), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Response<Resp>>::poll_close(Pin::new(&mut self.framed), cx)
    }
}
