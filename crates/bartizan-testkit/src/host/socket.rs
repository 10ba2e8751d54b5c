//! Hosts behind a loopback socket, with the servers that users run.

use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use bartizan_core::{AxumListener, Connection};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tower_layer::Layer;
use tower_service::Service;

use super::{Answer, Call, Host, HostLayer};
use crate::echo::{GrpcEcho, HttpEcho, echo_router};
use crate::error::TestkitError;

pub(super) async fn axum<L: HostLayer>(
    host: Host,
    layer: &L,
    call: &Call,
) -> Result<Answer, TestkitError> {
    let (listener, address) = listen().await?;
    let router = echo_router().layer(layer.clone()).layer(Extend {
        host,
        call: call.clone(),
    });
    let service = router.into_make_service_with_connect_info::<Connection>();
    let _server = Server::from(tokio::spawn(async move {
        axum::serve(AxumListener::new(listener), service).await
    }));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(connect(address).await?).await?;
    let _client = Server::from(tokio::spawn(connection));
    let mut request = call.request(host, None)?;
    if let Ok(value) = http::HeaderValue::try_from(address.to_string()) {
        request.headers_mut().insert(http::header::HOST, value);
    }
    let response = sender.send_request(request).await?;
    Ok(Answer::read(host, response, true).await)
}

pub(super) async fn hyper<L: HostLayer>(
    host: Host,
    layer: &L,
    call: &Call,
) -> Result<Answer, TestkitError> {
    let (listener, address) = listen().await?;
    let layered = Layer::<HttpEcho>::layer(layer, HttpEcho);
    let service = Extend {
        host,
        call: call.clone(),
    }
    .layer(layered);
    let _server = Server::from(tokio::spawn(async move {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        let service = TowerToHyperService::new(service);
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection_with_upgrades(TokioIo::new(socket), service)
            .await;
    }));
    let response = send_h2(call.request(host, Some(&address.to_string()))?, address).await?;
    Ok(Answer::read(host, response, true).await)
}

pub(super) async fn tonic<L: HostLayer>(
    host: Host,
    layer: &L,
    call: &Call,
) -> Result<Answer, TestkitError> {
    let (listener, address) = listen().await?;
    let router = tonic::transport::Server::builder()
        .layer(Extend {
            host,
            call: call.clone(),
        })
        .layer(layer.clone())
        .add_service(GrpcEcho);
    let _server = Server::from(tokio::spawn(async move {
        router
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
    }));
    let response = send_h2(call.request(host, Some(&address.to_string()))?, address).await?;
    Ok(Answer::read(host, response, true).await)
}

async fn send_h2(
    request: Request<Full<Bytes>>,
    address: SocketAddr,
) -> Result<http::Response<hyper::body::Incoming>, TestkitError> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), connect(address).await?)
            .await?;
    // Ends by itself once the answer is read and the sender gone.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn listen() -> Result<(TcpListener, SocketAddr), TestkitError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(TestkitError::io("listen on 127.0.0.1"))?;
    let address = listener
        .local_addr()
        .map_err(TestkitError::io("read own address"))?;
    Ok((listener, address))
}

async fn connect(address: SocketAddr) -> Result<TokioIo<TcpStream>, TestkitError> {
    let stream = TcpStream::connect(address).await;
    Ok(TokioIo::new(stream.map_err(TestkitError::io(format!(
        "connect to {address}"
    )))?))
}

/// A task that ends with the call that started it.
struct Server(AbortHandle);

impl<T> From<JoinHandle<T>> for Server {
    fn from(task: JoinHandle<T>) -> Self {
        Self(task.abort_handle())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The outermost layer: puts the call's connection and extensions into each request, because
/// nothing but bytes crosses a socket.
#[derive(Clone)]
struct Extend {
    host: Host,
    call: Call,
}

impl<S> Layer<S> for Extend {
    type Service = Extended<S>;

    fn layer(&self, inner: S) -> Extended<S> {
        Extended {
            inner,
            extend: self.clone(),
        }
    }
}

#[derive(Clone)]
struct Extended<S> {
    inner: S,
    extend: Extend,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Extended<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let Extend { host, call } = &self.extend;
        call.extend(*host, request.extensions_mut());
        self.inner.call(request)
    }
}
