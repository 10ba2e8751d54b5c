//! A TLS connection that remembers the alert with which the other side ended it.
//!
//! With TLS 1.3 a server's refusal of our certificate arrives with the first read, deep inside an
//! HTTP client; some of them keep the reason to themselves.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::scene::Dialler;

/// The alert that ended a connection, once one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alert(Arc<OnceLock<String>>);

impl Alert {
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn note(&self, error: &io::Error) {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        if let Some(rustls::Error::AlertReceived(alert)) = tls {
            let _ = self.0.set(format!("{alert:?}"));
        }
    }
}

/// A connection to one of the services.
pub(crate) struct Wire {
    tls: TlsStream<TcpStream>,
    alert: Alert,
}

impl Wire {
    /// Opens a connection from one address to the other, and shakes hands.
    pub(crate) async fn dial(
        dialler: Dialler,
        (from, to): (IpAddr, SocketAddr),
        alert: Alert,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let tcp = socket.connect(to).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let shaken = TlsConnector::from(dialler).connect(name, tcp).await;
        let tls = shaken.inspect_err(|error| alert.note(error))?;
        Ok(Self { tls, alert })
    }

    /// The certificate that the server presented.
    pub(crate) fn server_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.get_ref().1.peer_certificates()?.first()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = ready!(Pin::new(&mut this.tls).poll_read(cx, buffer));
        Poll::Ready(read.inspect_err(|error| this.alert.note(error)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
