//! The gRPC echo: a service and its client, without generated code.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body::Body;
use tokio_stream::Stream;
use tonic::client::GrpcService;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::{Status, Streaming};
use tower_service::Service;

use super::{Countup, seen_json};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

const UNARY: &str = "/bartizan.testkit.Echo/Unary";
const STREAM: &str = "/bartizan.testkit.Echo/Stream";

/// The gRPC service `bartizan.testkit.Echo`, whose messages are plain bytes.
///
/// 1. `Unary` answers with what it saw, as JSON, in the members of [`HttpEcho`](super::HttpEcho).
/// 2. `Stream` takes `3` or `3/open` and answers that many messages `0`, `1`, `2`; then it ends, or
///    stays open until the client leaves. Any other message is INVALID_ARGUMENT.
/// 3. Every other method is UNIMPLEMENTED.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcEcho;

impl NamedService for GrpcEcho {
    const NAME: &'static str = "bartizan.testkit.Echo";
}

impl<B> Service<Request<B>> for GrpcEcho
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError> + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async move {
            let mut host = tonic::server::Grpc::new(BytesCodec);
            Ok(match request.uri().path() {
                UNARY => host.unary(Unary, request).await,
                STREAM => host.server_streaming(StreamMethod, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Unary;

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            let (metadata, extensions, message) = request.into_parts();
            let headers = metadata.into_headers();
            let seen = seen_json("POST", UNARY, &headers, &extensions, &message);
            Ok(tonic::Response::new(seen))
        })
    }
}

struct StreamMethod;

impl ServerStreamingService<Bytes> for StreamMethod {
    type Response = Bytes;
    type ResponseStream = Items;
    type Future = Answer<Items>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            let items = std::str::from_utf8(request.get_ref())
                .ok()
                .and_then(Countup::parse);
            match items {
                Some(items) => Ok(tonic::Response::new(Items(items))),
                None => Err(Status::invalid_argument("the message is a number")),
            }
        })
    }
}

struct Items(Countup);

impl Stream for Items {
    type Item = Result<Bytes, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let items = Pin::new(&mut self.get_mut().0);
        items
            .poll_item(cx)
            .map(|item| item.map(|item| Ok(Bytes::from(item.to_string()))))
    }
}

/// A client of [`GrpcEcho`] over a tonic channel or any other gRPC service.
pub struct GrpcEchoClient<T>(tonic::client::Grpc<T>);

impl<T> GrpcEchoClient<T>
where
    T: GrpcService<tonic::body::Body>,
    T::Error: Into<BoxError>,
    T::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as Body>::Error: Into<BoxError> + Send,
{
    /// Sends requests through `service`.
    pub fn new(service: T) -> Self {
        Self(tonic::client::Grpc::new(service))
    }

    /// Calls `Unary`.
    ///
    /// # Errors
    ///
    /// What the server or a layer answered, or UNKNOWN if the service was not ready.
    pub async fn unary(
        &mut self,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        self.ready().await?;
        self.0
            .unary(request, PathAndQuery::from_static(UNARY), BytesCodec)
            .await
    }

    /// Calls `Stream`.
    ///
    /// # Errors
    ///
    /// As [`unary`](Self::unary).
    pub async fn stream(
        &mut self,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Streaming<Bytes>>, Status> {
        self.ready().await?;
        self.0
            .server_streaming(request, PathAndQuery::from_static(STREAM), BytesCodec)
            .await
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unknown(format!("not ready: {}", error.into())))
    }
}

impl<T> fmt::Debug for GrpcEchoClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcEchoClient").finish_non_exhaustive()
    }
}

/// Messages as they are: no schema, no copy.
#[derive(Clone, Copy, Debug)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
