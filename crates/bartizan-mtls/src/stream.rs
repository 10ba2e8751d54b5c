//! A connection after its handshake.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bartizan_core::{Connection, Peer, Transport};
use hyper_util::client::legacy::connect::{Connected, Connection as HyperConnection};
#[cfg(feature = "serve")]
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::acceptor::Acceptor;
use crate::handshake::CertificateRefused;
use crate::lease::{Lease, Next};
use crate::opening::Replay;
use crate::presence::Presence;
use crate::proof::Proof;

/// A connection on which the far end has proven who it is, at either side.
///
/// It reads and writes plaintext. For hyper, wrap it in `hyper_util::rt::TokioIo`.
///
/// Those of a listener that takes clients without a certificate, or plaintext, are
/// `MtlsStream<Option<Peer>>`.
#[derive(Debug)]
pub struct MtlsStream<P = Peer> {
    io: Io,
    peer: P,
    connection: Connection,
    proof: Option<Proof>,
    lease: Option<Lease>,
}

#[derive(Debug)]
enum Io {
    Plain {
        tcp: TcpStream,
        replay: Replay,
        http2: bool,
    },
    // Boxed: the buffers' bookkeeping is some 1.3 KB, which would be moved about with the stream.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where the two ends of a connection are.
fn met(tcp: &TcpStream, remote: SocketAddr) -> Connection {
    let connection = Connection::from_remote(remote);
    match tcp.local_addr() {
        Ok(local) => connection.with_local(local),
        // It is over already; whoever asks for the local end then is not told.
        Err(_) => connection,
    }
}

impl MtlsStream {
    /// Who the far end has proven to be.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl MtlsStream<Option<Peer>> {
    /// Who the far end has proven to be, if it has.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }
}

impl<P: Presence> MtlsStream<P> {
    pub(crate) fn tls(tls: TlsStream<TcpStream>, peer: P, remote: SocketAddr) -> Self {
        let (tcp, _) = tls.get_ref();
        let mut connection = met(tcp, remote).with_transport(Transport::Tls);
        if let TlsStream::Server(tls) = &tls {
            let name = tls.get_ref().1.server_name();
            connection = connection.with_server_name(name.unwrap_or_default());
        }
        if let Some(peer) = peer.known() {
            connection = connection.with_peer(peer.clone());
        }
        Self {
            io: Io::Tls(Box::new(tls)),
            peer,
            connection,
            proof: None,
            lease: None,
        }
    }

    /// A plaintext connection; `None` where there must be a peer.
    pub(crate) fn plaintext(
        tcp: TcpStream,
        replay: Replay,
        http2: bool,
        remote: SocketAddr,
    ) -> Option<Self> {
        let connection = met(&tcp, remote).with_transport(Transport::Plaintext);
        Some(Self {
            io: Io::Plain { tcp, replay, http2 },
            peer: P::of(None)?,
            connection,
            proof: None,
            lease: None,
        })
    }

    pub(crate) fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Ends by itself from now on when it has to, on the terms of its listener.
    pub(crate) fn lent_by(mut self, acceptor: &Arc<Acceptor>) -> Self {
        self.lease = Lease::begin(acceptor, &self.connection);
        self
    }

    /// The peer's chain, leaf first, and what it was believed by.
    #[cfg(feature = "serve")]
    pub(crate) fn take_proof(&mut self) -> Option<(Vec<CertificateDer<'static>>, Proof)> {
        let Io::Tls(tls) = &self.io else {
            return None;
        };
        let chain = tls.get_ref().1.peer_certificates()?.to_vec();
        Some((chain, self.proof.take()?))
    }

    /// What the layers need to know of this connection: put a clone of it into the extensions of
    /// each request that arrives here. The axum and tonic adapters do so themselves.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the two ends agreed on HTTP/2: by ALPN `h2` or, in plaintext, because the client
    /// begins with it.
    pub fn is_http2(&self) -> bool {
        match &self.io {
            Io::Plain { http2, .. } => *http2,
            Io::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl<P> MtlsStream<P> {
    /// Whether the connection is over, by the terms that it was lent on.
    fn is_over(&mut self) -> bool {
        let Some(lease) = &self.lease else {
            return false;
        };
        let mut next = lease.next();
        if next == Next::Ask {
            if let (Some(proof), Io::Tls(tls)) = (&mut self.proof, &self.io)
                && let Some(version) = lease.acceptor().configurations.material().load()
            {
                let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
                if !chain.is_empty()
                    && let Err(code) = proof.ask_again(version.value(), chain)
                {
                    lease.revoked(code);
                    self.proof = None;
                }
            }
            next = lease.next();
        }
        next == Next::End
    }

    /// Has the task of this connection woken when it has to end.
    fn wake(&self, cx: &Context<'_>) {
        if let Some(lease) = &self.lease {
            lease.wake(cx);
        }
    }

    /// What a task that waits for the network also waits for.
    fn or_end<T>(&self, poll: Poll<T>, cx: &Context<'_>) -> Poll<T> {
        if poll.is_pending() {
            self.wake(cx);
        }
        poll
    }
}

impl<P: Unpin> AsyncRead for MtlsStream<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over() {
            // As if the far end had closed, which every server knows what to do about.
            return Poll::Ready(Ok(()));
        }
        let read = match &mut self.io {
            // A refusal of our certificate comes here, when all seemed well.
            Io::Tls(tls) => Pin::new(tls)
                .poll_read(cx, buffer)
                .map_err(CertificateRefused::explain),
            Io::Plain { tcp, replay, .. }
                if replay.rest().is_empty() || buffer.remaining() == 0 =>
            {
                Pin::new(tcp).poll_read(cx, buffer)
            }
            Io::Plain { replay, .. } => {
                let count = replay.rest().len().min(buffer.remaining());
                buffer.put_slice(replay.rest().get(..count).unwrap_or_default());
                replay.advance(count);
                Poll::Ready(Ok(()))
            }
        };
        self.or_end(read, cx)
    }
}

impl<P: Unpin> AsyncWrite for MtlsStream<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_over() {
            return Poll::Ready(Err(over()));
        }
        let written = match &mut self.io {
            Io::Plain { tcp, .. } => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        };
        self.or_end(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_over() {
            return Poll::Ready(Err(over()));
        }
        let written = match &mut self.io {
            Io::Plain { tcp, .. } => Pin::new(tcp).poll_write_vectored(cx, slices),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        };
        self.or_end(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain { tcp, .. } => tcp.is_write_vectored(),
            Io::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain { tcp, .. } => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain { tcp, .. } => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

fn over() -> io::Error {
    let reason = "connection has ended: its peer is expired or not believed, or it is of age";
    io::Error::new(io::ErrorKind::BrokenPipe, reason)
}

impl HyperConnection for MtlsStream {
    fn connected(&self) -> Connected {
        // The server's peer rides on each response: `response.extensions().get::<Connection>()`.
        let connected = match &self.io {
            Io::Plain { tcp, .. } => tcp.connected(),
            Io::Tls(tls) => tls.get_ref().0.connected(),
        };
        let connected = connected.extra(self.connection.clone());
        if self.is_http2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}
