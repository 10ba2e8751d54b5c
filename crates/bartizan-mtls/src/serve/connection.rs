//! One connection, from its first request to its end.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bartizan_core::LifecycleKind;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use crate::acceptor::Acceptor;
use crate::ending::EndConnection;
use crate::presence::Presence;
use crate::serve::BoxError;
use crate::serve::limits::Limits;
use crate::serve::live::{CONNECTION_CUT, Ending, Life};
use crate::serve::service::OnConnection;
use crate::serve::woken::Woken;
use crate::stream::MtlsStream;

/// Serves one connection until its end.
pub(super) async fn serve<S, P, B>(
    mut stream: MtlsStream<P>,
    service: S,
    limits: Arc<Limits>,
    acceptor: Arc<Acceptor>,
    stopping: watch::Receiver<bool>,
) where
    P: Presence,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut life = Life::new(&limits, &acceptor.clock, stopping);
    if let Some((end, code)) = acceptor.end_of(stream.connection()) {
        life.expires_after(end, code);
    }
    if let Some((chain, proof)) = stream.take_proof() {
        life.rests_on(chain, proof, acceptor.configurations.material());
    }
    let watch = Watch {
        life,
        limits: &limits,
        acceptor: &acceptor,
        connection: stream.connection().clone(),
    };
    let service = OnConnection::new(service, watch.connection.clone());
    let (is_http2, io) = (stream.is_http2(), TokioIo::new(stream));
    if is_http2 {
        let connection = limits.http2().serve_connection(io, service);
        watch.over(pin!(connection)).await;
    } else {
        let connection = limits.http1().serve_connection(io, service);
        watch.over(pin!(connection.with_upgrades())).await;
    }
}

struct Watch<'a> {
    life: Life,
    limits: &'a Limits,
    acceptor: &'a Acceptor,
    connection: bartizan_core::Connection,
}

/// What a connection comes to first.
enum Next {
    Over,
    Cut,
    Ending(Ending),
}

impl Watch<'_> {
    async fn over<C: EndGracefully>(mut self, mut connection: Pin<&mut C>) {
        let mut cut_at = None;
        loop {
            let next = {
                let ending = pin!(self.life.ending());
                let mut ending = Woken::new(ending);
                tokio::select! {
                    biased;
                    // What it came to is between hyper and the client: there is nobody to tell.
                    _ = connection.as_mut() => Next::Over,
                    () = cut(cut_at) => Next::Cut,
                    ending = &mut ending => Next::Ending(ending),
                }
            };
            let ending = match next {
                Next::Over => return,
                Next::Cut => {
                    self.tell(CONNECTION_CUT);
                    return;
                }
                Next::Ending(ending) => ending,
            };
            if let Some(code) = ending.code {
                self.tell(code);
            }
            match ending.end {
                EndConnection::AtOnce => return,
                EndConnection::Never => {}
                EndConnection::Gracefully => {
                    connection.as_mut().end_gracefully();
                    if !ending.patient && cut_at.is_none() {
                        cut_at = Instant::now().checked_add(self.limits.drain_timeout);
                    }
                }
            }
        }
    }

    fn tell(&self, code: bartizan_core::Code) {
        let peer = self.connection.peer().map(ToString::to_string);
        let peer = peer.unwrap_or_default();
        let kind = LifecycleKind::ConnectionEnded;
        self.acceptor
            .tell(kind, code, self.connection.remote(), &peer);
    }
}

async fn cut(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// What hyper's two kinds of connections have in common.
trait EndGracefully: Future<Output = hyper::Result<()>> {
    fn end_gracefully(self: Pin<&mut Self>);
}

type Io<P> = TokioIo<MtlsStream<P>>;

impl<S, P, B> EndGracefully for http1::UpgradeableConnection<Io<P>, OnConnection<S>>
where
    P: Presence,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, P, B> EndGracefully for http2::Connection<Io<P>, OnConnection<S>, TokioExecutor>
where
    P: Presence,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
