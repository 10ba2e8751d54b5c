//! A connection after its handshake.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bartizan_core::{Connection, Peer, WallTime};
use hyper_util::client::legacy::connect::{Connected, Connection as HyperConnection};
#[cfg(feature = "serve")]
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::handshake::CertificateRefused;
use crate::trust::Trust;

/// A connection on which the far end has proven who it is, at either side.
///
/// It reads and writes plaintext. For hyper, wrap it in `hyper_util::rt::TokioIo`.
#[derive(Debug)]
pub struct MtlsStream {
    tls: TlsStream<TcpStream>,
    peer: Peer,
    connection: Connection,
    proof: Option<Proof>,
}

/// What the peer was believed by, and when: for asking again while the connection lives.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "serve"),
    expect(dead_code, reason = "only the server loop asks again")
)]
pub(crate) struct Proof {
    pub(crate) trust: Trust,
    pub(crate) at: WallTime,
}

impl MtlsStream {
    pub(crate) fn new(tls: TlsStream<TcpStream>, peer: Peer, remote: SocketAddr) -> Self {
        let connection = Connection::from_remote(remote).with_peer(peer.clone());
        Self {
            tls,
            peer,
            connection,
            proof: None,
        }
    }

    pub(crate) fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// The peer's chain, leaf first, and what it was believed by.
    #[cfg(feature = "serve")]
    pub(crate) fn take_proof(&mut self) -> Option<(Vec<CertificateDer<'static>>, Proof)> {
        let chain = self.tls.get_ref().1.peer_certificates()?.to_vec();
        Some((chain, self.proof.take()?))
    }

    /// Who the far end has proven to be.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the layers need to know of this connection: put a clone of it into the extensions of
    /// each request that arrives here. The axum and tonic adapters do so themselves.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the two ends agreed on HTTP/2 (ALPN `h2`).
    pub fn is_http2(&self) -> bool {
        self.tls.get_ref().1.alpn_protocol() == Some(b"h2")
    }
}

impl AsyncRead for MtlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A refusal of our certificate comes here, when all seemed well.
        Pin::new(&mut self.tls)
            .poll_read(cx, buffer)
            .map_err(CertificateRefused::explain)
    }
}

impl AsyncWrite for MtlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl HyperConnection for MtlsStream {
    fn connected(&self) -> Connected {
        // The server's peer rides on each response: `response.extensions().get::<Connection>()`.
        let connected = self
            .tls
            .get_ref()
            .0
            .connected()
            .extra(self.connection.clone());
        if self.is_http2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}
