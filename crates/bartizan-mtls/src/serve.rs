//! The server loop: HTTP over the listener's connections, with limits.

mod connection;
mod limits;
mod live;
mod service;
mod woken;

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Peer;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use crate::ending::EndConnection;
use crate::listener::MtlsListener;
use crate::presence::Presence;
use crate::serve::limits::Limits;
use crate::stream::MtlsStream;

pub use self::live::CONNECTION_CUT;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Serves HTTP/1.1 and HTTP/2 over the listener's connections, until told to stop.
///
/// The service is called with [`bartizan_core::Connection`] in the request's extensions, which is
/// where the family's layers look for the peer. An `axum::Router`, tonic's
/// `Routes` and any other `Clone` tower service will do; upgrades (WebSockets, extended CONNECT)
/// pass.
///
/// ```no_run
/// use bartizan_mtls::{MaterialFiles, MtlsListener, serve};
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # use hyper::body::{Bytes, Incoming};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = tower::service_fn(async |_: Request<Incoming>| {
/// #     Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
/// # });
/// # async fn stop_signal() {}
/// let material = MaterialFiles::new("/run/svid/tls.crt", "/run/svid/tls.key")
///     .with_bundle("example.org".parse()?, "/run/svid/ca.crt")
///     .load()?;
/// let listener = MtlsListener::builder(material.published()).bind("0.0.0.0:8443").await?;
/// serve(listener, app).with_shutdown(stop_signal()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # How it works
///
/// 1. The protocol is the one that the handshake agreed on (ALPN): HTTP/2 or, without agreement,
///    HTTP/1.1; on a plaintext connection, the one that the client begins with.
/// 2. A connection lives until its peer's certificate expires, its peer is no longer believed, it
///    has reached its age, or the server stops. Then it ends gracefully: HTTP/2 by GOAWAY, with
///    open streams finishing, HTTP/1.1 after the response. The observer of the listener learns
///    why ([`LifecycleKind::ConnectionEnded`](bartizan_core::LifecycleKind::ConnectionEnded)).
/// 3. One that ends for another reason than age is cut off after the drain limit.
/// 4. When new material is published whose trust differs from the old, the peer of each
///    connection is verified again, as of the moment of its handshake, so that expiry is not taken
///    for revocation.
///
/// A connection that was upgraded is the handler's. Its certificate is not looked at any more.
///
/// # Limits
///
/// Each has a default, with its reason at the method that changes it. Dropping the future closes
/// everything at once.
pub fn serve<S, P: Presence>(listener: MtlsListener<P>, service: S) -> Serve<S, P> {
    Serve {
        listener,
        service,
        limits: Limits::default(),
        shutdown: None,
    }
}

/// A server that runs when it is awaited; made by [`serve`].
#[must_use = "a server runs when it is awaited"]
pub struct Serve<S, P = Peer> {
    listener: MtlsListener<P>,
    service: S,
    limits: Limits,
    shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S, P> Serve<S, P> {
    /// Stops gracefully when this future completes: no new connections, and those that are open
    /// finish what they are at within the drain limit.
    pub fn with_shutdown(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Some(Box::pin(stop));
        self
    }

    /// Sets how long the head of an HTTP/1.1 request may take, and how long a connection may stay
    /// idle between two. 30 seconds unless said, as hyper: a slow mobile link sends a head in
    /// three, and pools of clients usually keep a connection for longer than it is needed.
    pub fn with_header_read_timeout(mut self, limit: Duration) -> Self {
        self.limits.header_read_timeout = limit;
        self
    }

    /// Sets how large the head of a request may be, in bytes; for HTTP/1.1 at least 8,192. 16 KiB
    /// unless said: twice a large token with cookies, and what other servers take.
    pub fn with_max_header_bytes(mut self, limit: u32) -> Self {
        self.limits.max_header_bytes = limit;
        self
    }

    /// Sets how many header fields an HTTP/1.1 request may have; more are answered with 431. 100
    /// unless said, as hyper.
    pub fn with_max_headers(mut self, limit: NonZeroUsize) -> Self {
        self.limits.max_headers = limit.get();
        self
    }

    /// Sets how many requests may be under way on one HTTP/2 connection. 200 unless said, as
    /// hyper: twice the least that RFC 9113 §6.5.2 recommends.
    pub fn with_max_concurrent_streams(mut self, limit: u32) -> Self {
        self.limits.max_concurrent_streams = limit;
        self
    }

    /// Sets how many HTTP/2 streams a client may open and reset before they were accepted (CVE-2023-44487, "rapid
    /// reset"), and how many errors of its own the server answers by a reset, before the
    /// connection ends. 20 and 1,024 unless said, as hyper.
    pub fn with_max_reset_streams(mut self, pending: usize, local_errors: usize) -> Self {
        self.limits.max_pending_reset_streams = pending;
        self.limits.max_local_error_resets = local_errors;
        self
    }

    /// Sets after how long a silence an HTTP/2 client is asked whether it is still there, and how
    /// long it may take to answer. 60 and 20 seconds unless said: an unplugged client is found in
    /// less time than load balancers drop idle connections.
    pub fn with_keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.limits.keep_alive_interval = interval;
        self.limits.keep_alive_timeout = timeout;
        self
    }

    /// Sets after what age a connection ends gracefully, give or take a tenth so that clients do
    /// not come back all at once. One hour unless said: what SVIDs usually live, so that a
    /// client's rotated identity is seen, and load spreads to new servers. Its open streams may
    /// take as long as they like.
    pub fn with_max_connection_age(mut self, age: Duration) -> Self {
        self.limits.max_connection_age = Some(age);
        self
    }

    /// Lets connections grow as old as they like.
    pub fn allow_any_connection_age(mut self) -> Self {
        self.limits.max_connection_age = None;
        self
    }

    /// Sets how long a connection that has to end may still finish what it is at. 30 seconds
    /// unless said: what Kubernetes gives a pod to stop.
    pub fn with_drain_timeout(mut self, limit: Duration) -> Self {
        self.limits.drain_timeout = limit;
        self
    }

    /// Sets how many connections may be open at once; further ones wait in the kernel's backlog.
    /// 10,000 unless said: about 550 MB if all of them are idle HTTP/2 connections (53 KB each,
    /// where bare hyper over tokio-rustls takes 45).
    pub fn with_max_connections(mut self, limit: NonZeroUsize) -> Self {
        self.limits.max_connections = limit.get().min(Semaphore::MAX_PERMITS);
        self
    }

    /// Sets what becomes of a connection when its peer's certificate expires. Gracefully unless
    /// said.
    pub fn on_expiry(mut self, end: EndConnection) -> Self {
        self.limits.on_expiry = end;
        self
    }

    /// Sets what becomes of a connection when its peer is no longer believed, because its
    /// certificate was revoked or the root that it rests on was withdrawn. Gracefully unless
    /// said: a peer that renewed its certificate meanwhile comes back without a lost request.
    pub fn on_revocation(mut self, end: EndConnection) -> Self {
        self.limits.on_revocation = end;
        self
    }
}

impl<S, P, B> Serve<S, P>
where
    P: Presence,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn run(self) -> io::Result<()> {
        let Self {
            mut listener,
            service,
            limits,
            shutdown,
        } = self;
        let limits = Arc::new(limits);
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        let acceptor = Arc::clone(listener.acceptor());
        let (stop, stopping) = watch::channel(false);
        let mut shutdown = shutdown.unwrap_or_else(|| Box::pin(std::future::pending()));
        let mut connections = JoinSet::new();
        let outcome = loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (listener.accept_bare().await, slot)
            };
            let (accepted, slot) = tokio::select! {
                () = &mut shutdown => break Ok(()),
                // Keeps the set from growing. What a connection came to is its own affair.
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                next = next => next,
            };
            let stream: MtlsStream<P> = match accepted {
                Ok(stream) => stream,
                Err(error) => break Err(error),
            };
            let connection = connection::serve(
                stream,
                service.clone(),
                Arc::clone(&limits),
                Arc::clone(&acceptor),
                stopping.clone(),
            );
            connections.spawn(async move {
                connection.await;
                drop(slot);
            });
        };
        // The port is free from here on, for a successor that is being started.
        drop(listener);
        stop.send_replace(true);
        while connections.join_next().await.is_some() {}
        outcome
    }
}

impl<S, P, B> IntoFuture for Serve<S, P>
where
    P: Presence,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Output = io::Result<()>;
    type IntoFuture = Serving;

    fn into_future(self) -> Serving {
        Serving(Box::pin(self.run()))
    }
}

/// A running server. Boxed: there is one per listener.
///
/// It ends with `Ok` once it was told to stop and all connections are closed, and with an error if
/// the runtime of its listener is gone.
#[must_use = "futures do nothing unless polled"]
pub struct Serving(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>);

impl Future for Serving {
    type Output = io::Result<()>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

impl<S, P> fmt::Debug for Serve<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
