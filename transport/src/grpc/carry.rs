//! A link's bytes in one bidirectional stream of gRPC.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use due_core::{Error, Kind, Result, Url};
use futures_util::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::timeout,
};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    client, server,
    server::{NamedService, StreamingService},
    transport::{Server, server::Connected},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::connection;
use crate::{
    mesh::accept,
    tunnel::{Arrived, CHUNK, Gate, Gated, Pass, Reader, Tunnel, Writer, tunnel},
};

/// A piece of a link: whole or part of a batch of frames.
#[derive(Clone, PartialEq, prost::Message)]
struct Chunk {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

const PATH: &str = "/due.transport.Link/Carry";
/// Longest message that is read, in bytes: a chunk and what is around it.
const LONGEST: usize = CHUNK + 64;
/// Bytes that a peer may send ahead on its stream, and on the connection.
const WINDOW: (u32, u32) = (1 << 20, 2 << 20);

/// How long the last words may take after one side is gone.
const LINGER: Duration = Duration::from_secs(2);

/// Begins a stream over `stream`, which reaches `url`.
pub(super) async fn connect(stream: TcpStream, url: &Url) -> Result<Tunnel> {
    let failed = |e: Status| Error::new(Kind::Unavailable, "no stream").context("url", url).because(e);
    let (connection, _closed) = connection::over(stream, url).await?;
    let (tunnel, out, back) = tunnel();
    let mut grpc = client::Grpc::new(connection).max_decoding_message_size(LONGEST);
    grpc.ready().await.map_err(failed)?;
    let codec = ProstCodec::<Chunk, Chunk>::default();
    let answer = grpc.streaming(Request::new(chunks(out)), PathAndQuery::from_static(PATH), codec).await;
    tokio::spawn(carry(answer.map_err(failed)?.into_inner(), back));
    Ok(tunnel)
}

/// What the link writes, as messages.
fn chunks(out: Reader) -> impl Stream<Item = Chunk> + Send {
    stream::unfold(out, |mut out| async move { Some((Chunk { bytes: out.take(CHUNK).await? }, out)) })
}

/// Hands messages to the link, until one of the two is gone.
async fn carry(mut messages: Streaming<Chunk>, mut to: Writer) {
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = to.abandoned() => {
                // To drop the messages resets the stream, and the other way's last words with it.
                let rest = async { while let Ok(Some(_)) = messages.message().await {} };
                let _ = timeout(LINGER, rest).await;
                return;
            }
        };
        match message {
            Ok(Some(chunk)) if to.put(&chunk.bytes).await => {}
            _ => return,
        }
    }
}

/// Accepts streams until what it gives is aborted; each is handed to `arrived`. Streams that are up stay.
pub(super) fn listen(listener: TcpListener, arrived: Arrived) -> AbortHandle {
    let incoming = stream::unfold((listener, Gate::default()), |(listener, mut gate)| async move {
        let stream = accept(&listener).await;
        Some((Ok::<_, Infallible>(gate.admit(stream).await), (listener, gate)))
    });
    let server = Server::builder()
        .initial_stream_window_size(WINDOW.0)
        .initial_connection_window_size(WINDOW.1)
        .max_concurrent_streams(1)
        .add_service(Carry { arrived });
    let task = tokio::spawn(async move {
        if let Err(e) = server.serve_with_incoming(incoming).await {
            tracing::warn!(error = %e, "no more grpc links are accepted");
        }
    });
    task.abort_handle()
}

impl Connected for Gated {
    type ConnectInfo = Arc<Pass>;

    fn connect_info(&self) -> Arc<Pass> {
        self.pass().clone()
    }
}

/// The service that links dial.
#[derive(Clone)]
struct Carry {
    arrived: Arrived,
}

impl NamedService for Carry {
    const NAME: &'static str = "due.transport.Link";
}

impl StreamingService<Chunk> for Carry {
    type Response = Chunk;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Chunk>>) -> Self::Future {
        let pass = request.extensions().get::<Arc<Pass>>().filter(|pass| pass.enter()).cloned();
        let Some(pass) = pass else { return ready(Err(Status::failed_precondition("one link a connection"))) };
        let (tunnel, out, back) = tunnel();
        tokio::spawn(carry(request.into_inner(), back));
        (self.arrived)(tunnel, vec![pass]);
        ready(Ok(Response::new(chunks(out).map(Ok).boxed())))
    }
}

impl Service<http::Request<Body>> for Carry {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let carry = self.clone();
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("no such call").into_http());
            }
            let codec = ProstCodec::<Chunk, Chunk>::default();
            let mut grpc = server::Grpc::new(codec).max_decoding_message_size(LONGEST);
            Ok(grpc.streaming(carry, request).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::checks;

    async fn dial(address: String) -> Tunnel {
        let url = Url::parse(&format!("grpc://{address}")).unwrap();
        connect(TcpStream::connect(&address).await.unwrap(), &url).await.unwrap()
    }

    #[tokio::test]
    async fn bytes_go_both_ways_in_order_and_end() {
        checks::bytes_go_both_ways_in_order_and_end(listen, dial).await;
    }

    #[tokio::test]
    async fn whoever_is_left_learns_it() {
        checks::whoever_is_left_learns_it(listen, dial).await;
    }

    #[test]
    fn a_message_is_that_of_its_definition() {
        let chunk = Chunk { bytes: Bytes::from_static(b"abc") };
        assert_eq!(prost::Message::encode_to_vec(&chunk), b"\x0a\x03abc");
    }
}
