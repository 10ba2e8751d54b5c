//! Serving connections: under mutual TLS, or in the clear as a sidecar on loopback does.
//!
//! Not by `bartizan::mtls::serve`, which looks after connections for as long as hyper has them: one
//! that became a WebSocket has to end as well once its peer is believed no longer. The streams that
//! `MtlsListener::accept` lends out end by themselves, whoever has them.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bartizan::core::{Clock as _, Connection, SystemClock, Transport, WallTime};
use bartizan::mtls::{MtlsListener, MtlsStream, Presence};
use bartizan::source::{random, spread};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use crate::body::BoxError;
use crate::config::Limits;

/// How long a connection is used, more or less: the next one is made by what is trusted then. What is
/// under way goes on, and a tunnel has an age of its own.
const CONNECTION_AGE: Duration = Duration::from_secs(3600);
/// How often a wait for a moment of wall time looks at the clock again, which may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where connections come in.
pub(crate) trait Door: Send {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one, and what is known of it. Cancel safe.
    fn next(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Connection)>> + Send;
}

impl Door for TcpListener {
    type Stream = TcpStream;

    async fn next(&mut self) -> io::Result<(TcpStream, Connection)> {
        loop {
            if let Ok((stream, remote)) = self.accept().await {
                let connection = Connection::from_remote(remote);
                return Ok((stream, connection.with_transport(Transport::Plaintext)));
            }
            // Out of file descriptors, or the client is gone already.
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl<P: Presence> Door for MtlsListener<P> {
    type Stream = MtlsStream<P>;

    async fn next(&mut self) -> io::Result<(MtlsStream<P>, Connection)> {
        let stream = self.accept().await?;
        let connection = stream.connection().clone();
        Ok((stream, connection))
    }
}

/// Serves until told to stop; what is under way then has `drain` to finish.
pub(crate) async fn serve<D, S, B>(
    mut door: D,
    service: S,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    D: Door,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let places = limits.connections.min(Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(places));
    let mut open = JoinSet::new();
    let ended = loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (door.next().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break Ok(()),
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            next = next => next,
        };
        let (stream, connection) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => break Err(error),
        };
        let served = one(stream, connection, service.clone(), limits, stop.clone());
        open.spawn(async move {
            served.await;
            drop(slot);
        });
    };
    // The port is free from here on.
    drop(door);
    while open.join_next().await.is_some() {}
    ended
}

/// Serves one connection, until it ends or becomes a tunnel.
async fn one<T, S, B>(
    stream: T,
    connection: Connection,
    service: S,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Limits { head, drain, .. } = limits;
    let not_after = connection.peer().map(|peer| peer.not_after());
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
    let builder = builder(head);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(served);
    // Until it is known which protocol a client speaks, nothing else measures its silence.
    let silence = async {
        sleep(head).await;
        if begun.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    // Each ends the connection gracefully: no further request, and what is under way has its time.
    let over = async {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = expires(not_after) => {}
        }
    };
    let age = sleep(spread(CONNECTION_AGE, random()));
    tokio::pin!(silence, over, age);
    let mut is_aged = false;
    loop {
        tokio::select! {
            _ = served.as_mut() => return,
            () = silence.as_mut() => return,
            () = over.as_mut() => {
                served.as_mut().graceful_shutdown();
                let _ = timeout(drain, served).await;
                return;
            }
            () = age.as_mut(), if !is_aged => {
                is_aged = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// What HTTP is taken, in which bounds.
fn builder(head: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(100)
        .max_buf_size(16 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        // Answered by whoever is there, with requests under way or without.
        .keep_alive_interval(Some(Duration::from_secs(60)))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(200)
        // Streams that clients open and take back (CVE-2023-44487).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024);
    builder
}

/// Waits until a certificate has expired, by a clock that may jump.
async fn expires(not_after: Option<WallTime>) {
    let Some(end) = not_after else {
        return pending().await;
    };
    loop {
        let left = end.saturating_since(SystemClock.wall());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK_AGAIN)).await;
    }
}
