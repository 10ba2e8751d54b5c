//! The accept loop, and the handshakes beside it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, Observe, Peer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream, server};

use crate::crowd::{Admission, Crowd, Stage};
use crate::handshake::Failure;
use crate::proxied::HeaderSenders;
use crate::status::Outcomes;
use crate::stream::{MtlsStream, Proof};
use crate::tls::Configurations;
use crate::trust::Trust;
use crate::verify;

/// The listening socket gave an error; the loop waits a little and goes on.
pub const ACCEPT_FAILED: Code = Code::new("mtls.accept_failed");

/// The name of this component in events.
pub(crate) const LAYER: &str = "mtls";

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a refused client may take to read why, and how much more it may send meanwhile.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024;

/// How often a full crowd is looked through for somebody who has become idle.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What all handshakes of one listener share.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) configurations: Configurations<ServerConfig>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_senders: HeaderSenders,
    pub(crate) observer: Option<Arc<dyn Observe>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) crowd: Mutex<Crowd>,
    /// Told whenever a place becomes free.
    pub(crate) freed: Notify,
    pub(crate) outcomes: Outcomes,
}

/// Accepts until the receiving end is gone.
///
/// While nobody in the crowd can make room, further connections wait in the kernel's backlog, which
/// costs us nothing.
pub(crate) async fn accept_loop(
    listener: TcpListener,
    acceptor: Arc<Acceptor>,
    finished: mpsc::Sender<MtlsStream>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = finished.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, remote)) => {
                pause = FIRST_PAUSE;
                let admitted = tokio::select! {
                    () = finished.closed() => return,
                    admitted = acceptor.admit(remote) => admitted,
                };
                let Some(place) = admitted else {
                    acceptor.tell_failure(remote, &Failure::Shed);
                    continue;
                };
                let acceptor = Arc::clone(&acceptor);
                let finished = finished.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = finished.closed() => {}
                        () = place.must_go.notified() => {
                            acceptor.tell_failure(remote, &Failure::Shed);
                        }
                        () = acceptor.serve(tcp, remote, &place, &finished) => {}
                    }
                });
            }
            // The client went away before we came to it.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                // Most often the process is out of file descriptors. At once again would spin.
                acceptor.tell(LifecycleKind::HandshakeFailed, ACCEPT_FAILED, None, &error);
                tokio::select! {
                    () = finished.closed() => return,
                    () = sleep(pause) => {}
                }
                pause = longer(pause);
            }
        }
    }
}

/// A place in the crowd, which is free again when this is dropped.
struct Place {
    number: u64,
    must_go: Arc<Notify>,
    acceptor: Arc<Acceptor>,
}

impl Place {
    fn advance(&self, stage: Stage) {
        self.acceptor.crowd().advance(self.number, stage);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.acceptor.crowd().leave(self.number);
        self.acceptor.freed.notify_one();
    }
}

fn peer_of(tls: &server::TlsStream<TcpStream>, trust: &Trust) -> Result<Peer, Failure> {
    let session = tls.get_ref().1;
    // Resumption is off. Should it ever come on by itself, nobody gets in by it.
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        return Err(Failure::Transport(io::Error::other("session was resumed")));
    }
    // The verifier has accepted this very chain by the same rules, moments ago.
    let chain = session.peer_certificates().unwrap_or_default();
    let certificate = verify::describe(chain, trust.is_spiffe())
        .map_err(|error| Failure::Transport(io::Error::other(error)))?;
    Ok(Peer::assert_verified(certificate))
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

impl Acceptor {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many clients are in a handshake.
    pub(crate) fn under_way(&self) -> usize {
        self.crowd().len()
    }

    /// A place for this client; `None` if its address has more than its share. Waits while there
    /// is no place for anybody.
    async fn admit(self: &Arc<Self>, remote: SocketAddr) -> Option<Place> {
        loop {
            let admission = self.crowd().admit(remote.ip(), Instant::now());
            match admission {
                Admission::Admitted { place, must_go } => {
                    return Some(Place {
                        number: place,
                        must_go,
                        acceptor: Arc::clone(self),
                    });
                }
                Admission::Refused => return None,
                // Somebody leaves, or has been idle for long enough by then.
                Admission::Wait => drop(timeout(ASK_AGAIN, self.freed.notified()).await),
            }
        }
    }

    async fn serve(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: &Place,
        finished: &mpsc::Sender<MtlsStream>,
    ) {
        match self.establish(tcp, remote, place).await {
            // The place stays taken while the application is behind with accepting, so that
            // finished connections cannot pile up beyond the cap either.
            Ok(stream) => {
                place.advance(Stage::Finished);
                self.outcomes.complete();
                drop(finished.send(stream).await);
            }
            Err((failure, tcp)) => {
                place.advance(Stage::Refused);
                self.tell_failure(remote, &failure);
                if let Some(tcp) = tcp.filter(|_| failure.is_refusal()) {
                    linger(tcp).await;
                }
            }
        }
    }

    fn tell_failure(&self, remote: SocketAddr, failure: &Failure) {
        let (kind, code) = (LifecycleKind::HandshakeFailed, failure.code());
        self.outcomes.fail(code);
        self.tell(kind, code, Some(remote), failure);
    }

    /// The connection; or why there is none, with the socket if there is still one.
    async fn establish(
        &self,
        mut tcp: TcpStream,
        remote: SocketAddr,
        place: &Place,
    ) -> Result<MtlsStream, (Failure, Option<TcpStream>)> {
        let built = match self.configurations.newest() {
            Ok(Some(built)) => built,
            Ok(None) => return Err((Failure::NoIdentity, None)),
            Err(error) => return Err((Failure::Tls(error), None)),
        };
        // Without it, small HTTP/2 frames wait for acknowledgements. It cannot fail in a way that
        // matters: a dead socket shows in the handshake.
        let _ = tcp.set_nodelay(true);
        let client = self.header_senders.client(&mut tcp, remote);
        let remote = match timeout(self.handshake_timeout, client).await {
            Err(_) => return Err((Failure::Timeout, None)),
            Ok(Err(error)) => return Err((Failure::Transport(error), None)),
            Ok(Ok(client)) => client,
        };
        let began = self.clock.wall();
        let handshake = async {
            // What is wrong with the socket, the handshake will say.
            let _ = tcp.readable().await;
            place.advance(Stage::Busy);
            let acceptor = TlsAcceptor::from(Arc::clone(&built.config));
            acceptor.accept(tcp).into_fallible().await
        };
        let tls = match timeout(self.handshake_timeout, handshake).await {
            Err(_) => return Err((Failure::Timeout, None)),
            Ok(Err((error, tcp))) => return Err((Failure::of(error), Some(tcp))),
            Ok(Ok(tls)) => tls,
        };
        let peer = peer_of(&tls, &built.trust).map_err(|failure| (failure, None))?;
        let proof = Proof {
            trust: built.trust.clone(),
            at: began,
        };
        let tls = TlsStream::from(tls);
        Ok(MtlsStream::new(tls, peer, remote).with_proof(proof))
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

/// Gives a refused client the chance to read the alert that says why.
///
/// A TLS 1.3 client believes the handshake done when we refuse it, and has often sent its request
/// by then. Closing with unread bytes resets the connection, which discards the alert on its way.
async fn linger(mut tcp: TcpStream) {
    let drain = async {
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection is over.
    let _ = timeout(LINGER, drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_second() {
        let pauses: Vec<_> = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)))
            .take(10)
            .collect();
        assert_eq!(pauses[1], FIRST_PAUSE * 2);
        assert_eq!(pauses[8..], [LONGEST_PAUSE; 2]);
    }

    #[test]
    fn tells_errors_of_a_connection_from_errors_of_the_listener() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionAborted, true),
            (io::ErrorKind::ConnectionReset, true),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::Other, false),
        ] {
            assert_eq!(is_of_connection(&kind.into()), expected, "{kind}");
        }
    }
}
