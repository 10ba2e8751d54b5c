//! The accept loop, and the tasks beside it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Code, LifecycleKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::acceptor::Acceptor;
use crate::crowd::{Admission, Signals, Stage};
use crate::handshake::Failure;
use crate::presence::Presence;
use crate::stream::MtlsStream;

/// The listening socket gave an error; the loop waits a little and goes on.
pub const ACCEPT_FAILED: Code = Code::new("mtls.accept_failed");

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a full crowd is looked through for somebody who has become idle.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASK_AGAIN_FOR_A_PLACE: Duration = Duration::from_millis(100);

/// Accepts until the receiving end is gone.
///
/// While nobody in the crowd can make room, further connections wait in the kernel's backlog, which
/// costs us nothing.
pub(crate) async fn accept_loop<P: Presence>(
    listener: TcpListener,
    acceptor: Arc<Acceptor>,
    finished: mpsc::Sender<MtlsStream<P>>,
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
                    admitted = admit(&acceptor, remote) => admitted,
                };
                let Some(place) = admitted else {
                    acceptor.tell_failure(remote, &Failure::Shed);
                    continue;
                };
                let finished = finished.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = finished.closed() => {}
                        () = place.signals.must_go.notified() => {
                            place.acceptor.tell_failure(remote, &Failure::Shed);
                        }
                        () = attend(tcp, remote, &place, &finished) => {}
                    }
                });
            }
            // The client went away before we came to it.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                // Most often the process is out of file descriptors: who is silent gives one back.
                // At once again would spin.
                acceptor.crowd().make_room();
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
pub(crate) struct Place {
    number: u64,
    signals: Arc<Signals>,
    acceptor: Arc<Acceptor>,
}

impl Place {
    /// Waits until the handshake may begin.
    pub(crate) async fn may_begin(&self) {
        while !self.acceptor.crowd().begin(self.number, Instant::now()) {
            // Asking again makes those give way who are idle by then.
            let told = self.signals.may_begin.notified();
            drop(timeout(ASK_AGAIN_FOR_A_PLACE, told).await);
        }
    }

    fn advance(&self, stage: Stage) {
        self.acceptor.crowd().advance(self.number, stage);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.acceptor.crowd().leave(self.number, Instant::now());
        self.acceptor.freed.notify_one();
    }
}

/// A place for this client; `None` if its address has more than its share. Waits while there
/// is no place for anybody.
async fn admit(acceptor: &Arc<Acceptor>, remote: SocketAddr) -> Option<Place> {
    loop {
        let admission = acceptor.crowd().admit(remote.ip(), Instant::now());
        match admission {
            Admission::Admitted { place, signals } => {
                return Some(Place {
                    number: place,
                    signals,
                    acceptor: Arc::clone(acceptor),
                });
            }
            Admission::Refused => return None,
            // Somebody leaves, or has been idle for long enough by then.
            Admission::Wait => drop(timeout(ASK_AGAIN, acceptor.freed.notified()).await),
        }
    }
}

async fn attend<P: Presence>(
    tcp: TcpStream,
    remote: SocketAddr,
    place: &Place,
    finished: &mpsc::Sender<MtlsStream<P>>,
) {
    let acceptor = &place.acceptor;
    match acceptor.establish(tcp, remote, place).await {
        // The place stays taken while the application is behind with accepting, so that
        // finished connections cannot pile up beyond the cap either.
        Ok((stream, entrance)) => {
            place.advance(Stage::Finished);
            acceptor.tell_success(&stream, entrance);
            drop(finished.send(stream).await);
        }
        Err((failure, tcp)) => {
            place.advance(Stage::Refused);
            acceptor.tell_failure(remote, &failure);
            if let Some(tcp) = tcp.filter(|_| failure.is_refusal()) {
                crate::acceptor::linger(tcp).await;
            }
        }
    }
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
