//! What all handshakes of one listener share, and one of them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, Observe, Peer, WallTime};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::server::StartHandshake;
use tokio_rustls::{TlsStream, server};

use crate::accept::Place;
use crate::crowd::Crowd;
use crate::handshake::Failure;
use crate::lease::{Leases, Terms};
use crate::migration::Migration;
use crate::opening;
use crate::presence::Presence;
use crate::proof::Proof;
use crate::proxied::HeaderSenders;
use crate::rules::Role;
use crate::status::{Entrance, Outcomes};
use crate::stream::MtlsStream;
use crate::tls::{Built, Configurations, rustls_error};
use crate::verify;

/// The name of this component in events.
pub(crate) const LAYER: &str = "mtls";

/// How long a refused client may take to read why, and how much more it may send meanwhile.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) configurations: Configurations<ServerConfig>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_senders: HeaderSenders,
    pub(crate) migration: Option<Migration>,
    pub(crate) observer: Option<Arc<dyn Observe>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) crowd: Mutex<Crowd>,
    /// Told whenever a place becomes free.
    pub(crate) freed: Notify,
    pub(crate) outcomes: Outcomes,
    pub(crate) allows_resumption: bool,
    pub(crate) terms: Terms,
    pub(crate) leases: Leases,
}

/// Why there is no connection, with the socket if there is still one.
type Refusal = (Failure, Option<TcpStream>);

impl Acceptor {
    pub(crate) fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many clients are in a handshake.
    pub(crate) fn under_way(&self) -> usize {
        self.crowd().len()
    }

    /// The connection, and how it came in; or why there is none.
    pub(crate) async fn establish<P: Presence>(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: &Place,
    ) -> Result<(MtlsStream<P>, Entrance), Refusal> {
        let connection = self.connection(tcp, remote, place);
        match timeout(self.handshake_timeout, connection).await {
            Ok(outcome) => outcome,
            Err(_) => Err((Failure::Timeout, None)),
        }
    }

    async fn connection<P: Presence>(
        &self,
        mut tcp: TcpStream,
        remote: SocketAddr,
        place: &Place,
    ) -> Result<(MtlsStream<P>, Entrance), Refusal> {
        // Without it, small HTTP/2 frames wait for acknowledgements. It cannot fail in a way that
        // matters: a dead socket shows in the handshake.
        let _ = tcp.set_nodelay(true);
        let client = self.header_senders.client(&mut tcp, remote).await;
        let remote = client.map_err(lost)?;
        if let Some(migration) = &self.migration
            && opening::is_plaintext(&tcp).await.map_err(lost)?
        {
            return self.plaintext(tcp, remote, place, migration).await;
        }
        let hello = match opening::client_hello(&mut tcp).await {
            Ok(hello) => hello,
            Err(failure) => return Err((failure, Some(tcp))),
        };
        place.may_begin().await;
        // From here on it costs something, and from here on it is about this version.
        let built = match self.configurations.newest() {
            Ok(Some(built)) => built,
            Ok(None) => return Err((Failure::NoIdentity, None)),
            Err(error) => return Err((Failure::Tls(error), None)),
        };
        let at = self.clock.wall();
        let handshake = StartHandshake::from_parts(hello, tcp);
        let handshake = handshake.into_stream(Arc::clone(&built.config));
        let tls = match handshake.into_fallible().await {
            Ok(tls) => tls,
            Err((error, tcp)) => return Err((Failure::of(error), Some(tcp))),
        };
        let peer = self
            .peer_of(&tls, &built, at)
            .map_err(|failure| (failure, None))?;
        let resumed = is_resumed(&tls);
        let entrance = match &peer {
            Some(_) if resumed => Entrance::Resumed,
            Some(_) => Entrance::Full,
            None => Entrance::Anonymous,
        };
        let presence = P::of(peer).ok_or_else(no_certificate)?;
        let trust = built.trust.clone();
        let stream = MtlsStream::tls(TlsStream::from(tls), presence, remote);
        Ok((stream.with_proof(Proof { trust, at }), entrance))
    }

    async fn plaintext<P: Presence>(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: &Place,
        migration: &Migration,
    ) -> Result<(MtlsStream<P>, Entrance), Refusal> {
        if migration.is_over(self.clock.wall()) {
            return Err((Failure::PlaintextEnded, None));
        }
        let (http2, replay) = opening::prior_knowledge(&tcp).await.map_err(lost)?;
        place.may_begin().await;
        let stream = MtlsStream::plaintext(tcp, replay, http2, remote);
        Ok((stream.ok_or_else(no_certificate)?, Entrance::Plaintext))
    }

    /// Whoever the handshake proved the far end to be; `None` if it showed no certificate, which
    /// the verifier refuses where one is required.
    fn peer_of(
        &self,
        tls: &server::TlsStream<TcpStream>,
        built: &Built<ServerConfig>,
        now: WallTime,
    ) -> Result<Option<Peer>, Failure> {
        let resumed = is_resumed(tls);
        // Should resumption ever come on by itself, nobody gets in by it.
        if resumed && !self.allows_resumption {
            return Err(Failure::Transport(io::Error::other("session was resumed")));
        }
        let Some(chain) = tls.get_ref().1.peer_certificates() else {
            return Ok(None);
        };
        let (algorithms, trust) = (built.crypto.algorithms(), &built.trust);
        let certificate = if resumed {
            // The chain is that of the first handshake, and nobody has looked at it since.
            let verified = trust.verify_with(algorithms, chain, Role::Client, now);
            verified.map_err(|error| Failure::Tls(rustls_error(error)))?
        } else {
            // The verifier has accepted this very chain by the same rules, moments ago.
            verify::describe(algorithms, chain, trust.is_spiffe())
                .map_err(|error| Failure::Transport(io::Error::other(error)))?
        };
        Ok(Some(Peer::assert_verified(certificate)))
    }

    pub(crate) fn tell_success<P: Presence>(&self, stream: &MtlsStream<P>, entrance: Entrance) {
        self.outcomes.complete(entrance);
        if self.observer.is_some() {
            let connection = stream.connection();
            let peer = connection.peer().map(ToString::to_string);
            let (kind, code) = (LifecycleKind::HandshakeCompleted, entrance.code());
            self.tell(kind, code, connection.remote(), &peer.unwrap_or_default());
        }
    }

    pub(crate) fn tell_failure(&self, remote: SocketAddr, failure: &Failure) {
        let (kind, code) = (LifecycleKind::HandshakeFailed, failure.code());
        self.outcomes.fail(code);
        self.tell(kind, code, Some(remote), failure);
    }

    pub(crate) fn tell(
        &self,
        kind: LifecycleKind,
        code: Code,
        remote: Option<SocketAddr>,
        detail: &(dyn std::fmt::Display + Sync),
    ) {
        if let Some(observer) = &self.observer {
            let mut event = LifecycleEvent::new(LAYER, kind, code).with_detail(detail);
            if let Some(remote) = remote {
                event = event.with_address(remote.ip());
            }
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

fn is_resumed(tls: &server::TlsStream<TcpStream>) -> bool {
    tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

fn lost(error: io::Error) -> Refusal {
    (Failure::Transport(error), None)
}

/// What a listener without an allowance never comes to: its verifier has refused before.
fn no_certificate() -> Refusal {
    let error = rustls::Error::NoCertificatesPresented;
    (Failure::Tls(error), None)
}

/// Gives a refused client the chance to read the alert that says why.
///
/// A TLS 1.3 client believes the handshake done when we refuse it, and has often sent its request
/// by then. Closing with unread bytes resets the connection, which discards the alert on its way.
pub(crate) async fn linger(mut tcp: TcpStream) {
    let drain = async {
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection is over.
    let _ = timeout(LINGER, drain).await;
}
