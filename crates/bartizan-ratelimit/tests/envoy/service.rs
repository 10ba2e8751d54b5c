//! A server of Envoy's rate limit protocol, in this process, behind a real socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tower::Service;

/// What the service does.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers with these bytes.
    Answer(Vec<u8>),
    /// Fails with this status.
    Fail(Code),
    /// Says nothing, ever.
    Silence,
}

/// A running service: what it does, and what it was asked.
#[derive(Clone)]
pub(crate) struct RateLimitService {
    does: Arc<Mutex<Does>>,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    address: SocketAddr,
}

impl RateLimitService {
    /// Starts it, and gives a channel to it.
    pub(crate) async fn start(does: Does) -> (Self, Channel) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            does: Arc::new(Mutex::new(does)),
            asked: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let incoming = TcpListenerStream::new(listener);
        let server = Server::builder().add_service(service.clone());
        tokio::spawn(server.serve_with_incoming(incoming));
        let channel = service.channel();
        (service, channel)
    }

    /// A channel to it.
    pub(crate) fn channel(&self) -> Channel {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        channel.connect_lazy()
    }

    pub(crate) fn now_does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// The requests so far, as bytes.
    pub(crate) fn asked(&self) -> Vec<Vec<u8>> {
        self.asked.lock().unwrap().clone()
    }
}

impl NamedService for RateLimitService {
    const NAME: &'static str = "envoy.service.ratelimit.v3.RateLimitService";
}

impl Service<Request<Body>> for RateLimitService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            assert_eq!(
                request.uri().path(),
                "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
            );
            Ok(Grpc::new(Bytes).unary(this, request).await)
        })
    }
}

impl UnaryService<Vec<u8>> for RateLimitService {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Vec<u8>>) -> Self::Future {
        self.asked.lock().unwrap().push(request.into_inner());
        let does = self.does.lock().unwrap().clone();
        Box::pin(async move {
            match does {
                Does::Answer(bytes) => Ok(tonic::Response::new(bytes)),
                Does::Fail(code) => Err(Status::new(code, "as told")),
                Does::Silence => std::future::pending().await,
            }
        })
    }
}

/// Messages as they are, so that a test says what stands on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut as _;
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        use bytes::Buf as _;
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
