//! Serving without TLS: a sidecar on loopback, and health checks.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bartizan::core::{Connection, Transport};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_service::Service;

use crate::body::BoxError;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(30);

/// Serves until told to stop; what is under way then has `drain` to finish.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    connections: usize,
    drain: Duration,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let mut open = JoinSet::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            next = next => next,
        };
        let Ok((stream, remote)) = accepted else {
            // Out of file descriptors, or the client is gone already.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = Connection::from_remote(remote).with_transport(Transport::Plaintext);
        let (service, mut stop) = (service.clone(), stop.clone());
        open.spawn(async move {
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                let mut service = service.clone();
                async move {
                    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
                    service.call(request).await
                }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD);
            builder
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Some(Duration::from_secs(60)))
                .max_header_list_size(16 * 1024)
                .max_concurrent_streams(200);
            let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            tokio::pin!(served);
            let stopped = async {
                let _ = stop.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                _ = served.as_mut() => {}
                () = stopped => {
                    served.as_mut().graceful_shutdown();
                    let _ = timeout(drain, served).await;
                }
            }
            drop(slot);
        });
    }
    // The port is free from here on.
    drop(listener);
    while open.join_next().await.is_some() {}
    Ok(())
}

/// Answers whether the gateway is alive (`/healthz`), and whether it takes requests (`/readyz`),
/// until all of it is over.
pub(crate) async fn health(
    listener: TcpListener,
    stop: watch::Receiver<bool>,
    over: watch::Receiver<bool>,
) -> io::Result<()> {
    let answer = tower::service_fn(move |request: Request<Incoming>| {
        let status = match request.uri().path() {
            "/healthz" => StatusCode::OK,
            "/readyz" if *stop.borrow() => StatusCode::SERVICE_UNAVAILABLE,
            "/readyz" => StatusCode::OK,
            _ => StatusCode::NOT_FOUND,
        };
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = status;
        std::future::ready(Ok(response))
    });
    serve(listener, answer, 64, Duration::from_secs(1), over).await
}
