//! Health checks and metrics, in the clear, for probers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Connections at once. One more, and the oldest has to go: a prober is through with its own in
/// no time, and whoever says nothing must not keep probers away.
const CONNECTIONS: usize = 64;

/// How long a connection may take, from its beginning to its end. There is one answer on each.
const LONGEST: Duration = Duration::from_secs(5);

/// Answers whether the gateway is alive (`/healthz`), whether it takes requests (`/readyz`), and what
/// it has decided (`/metrics`), until all of it is over.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    stop: watch::Receiver<bool>,
    mut over: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut open = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            _ = over.wait_for(|over| *over) => return Ok(()),
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, or the client is gone already.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        by_age.retain(|connection| !connection.is_finished());
        if by_age.len() >= CONNECTIONS
            && let Some(oldest) = by_age.pop_front()
        {
            oldest.abort();
        }
        let (stop, metrics) = (stop.clone(), metrics.clone());
        let connection = open.spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let answer = match request.uri().path() {
                    "/metrics" => Response::new(metrics.render().into()),
                    path => answer(path, *stop.borrow()),
                };
                async { Ok::<_, Infallible>(answer) }
            });
            let mut builder = Builder::new();
            builder.keep_alive(false);
            let served = builder.serve_connection(TokioIo::new(stream), answer);
            let _ = timeout(LONGEST, served).await;
        });
        by_age.push_back(connection);
    }
}

fn answer(path: &str, stopping: bool) -> Response<Full<Bytes>> {
    let status = match path {
        "/healthz" => StatusCode::OK,
        "/readyz" if stopping => StatusCode::SERVICE_UNAVAILABLE,
        "/readyz" => StatusCode::OK,
        _ => StatusCode::NOT_FOUND,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
