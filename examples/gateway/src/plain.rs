//! Serving without TLS: a sidecar on loopback.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bartizan::core::{Connection, Transport};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use crate::body::BoxError;
use crate::config::Limits;

/// Serves until told to stop; what is under way then has `drain` to finish.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Limits { head, drain, .. } = limits;
    let places = limits.connections.min(Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(places));
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
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = Connection::from_remote(remote).with_transport(Transport::Plaintext);
        let (service, mut stop) = (service.clone(), stop.clone());
        open.spawn(async move {
            let begun = Arc::new(AtomicBool::new(false));
            let begins = Arc::clone(&begun);
            let service = service_fn(move |mut request: Request<Incoming>| {
                begins.store(true, Ordering::Relaxed);
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
                .header_read_timeout(head);
            builder
                .http2()
                .timer(TokioTimer::new())
                // Answered by whoever is there, with requests under way or without.
                .keep_alive_interval(Some(Duration::from_secs(60)))
                .keep_alive_timeout(Duration::from_secs(20))
                .max_header_list_size(16 * 1024)
                .max_concurrent_streams(200);
            let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            tokio::pin!(served);
            let stopped = async {
                let _ = stop.wait_for(|stop| *stop).await;
            };
            // Until it is known which protocol a client speaks, nothing else measures its silence.
            let silence = async {
                sleep(head).await;
                if begun.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = served.as_mut() => {}
                () = silence => {}
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
