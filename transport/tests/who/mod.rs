//! A service that says who it is, written by hand as tonic would generate it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use tonic::{
    Request, Response, Status,
    body::Body,
    client::GrpcService,
    codegen::{BoxFuture, Service, StdError},
    server::{NamedService, UnaryService},
};
use tonic_prost::ProstCodec;

/// A name, asked with and answered with.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Who {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

const PATH: &str = "/test.Who/Who";

/// The generated client's shape.
pub(crate) struct WhoClient<T> {
    inner: tonic::client::Grpc<T>,
}

impl<T> WhoClient<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <T::ResponseBody as tonic::codegen::Body>::Error: Into<StdError> + Send,
{
    pub(crate) fn new(inner: T) -> Self {
        Self { inner: tonic::client::Grpc::new(inner) }
    }

    pub(crate) async fn who(&mut self, who: Who) -> Result<Who, Status> {
        self.inner.ready().await.map_err(|e| Status::unknown(e.into().to_string()))?;
        let codec = ProstCodec::<Who, Who>::default();
        let path = PathAndQuery::from_static(PATH);
        self.inner.unary(Request::new(who), path, codec).await.map(Response::into_inner)
    }
}

/// The generated server's shape.
#[derive(Clone)]
pub(crate) struct WhoServer {
    name: Arc<str>,
}

impl WhoServer {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into() }
    }
}

impl NamedService for WhoServer {
    const NAME: &'static str = "test.Who";
}

impl UnaryService<Who> for WhoServer {
    type Response = Who;
    type Future = Ready<Result<Response<Who>, Status>>;

    fn call(&mut self, _: Request<Who>) -> Self::Future {
        ready(Ok(Response::new(Who { name: self.name.to_string() })))
    }
}

impl Service<http::Request<Body>> for WhoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("no such call").into_http());
            }
            Ok(tonic::server::Grpc::new(ProstCodec::default()).unary(service, request).await)
        })
    }
}
