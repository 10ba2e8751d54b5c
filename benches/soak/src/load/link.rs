//! A connection to the service.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The body of a request.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A connection that requests can be sent on.
#[derive(Debug)]
pub(crate) struct Link {
    sender: Sender,
    /// The certificate of the service.
    server: Vec<u8>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Link {
    /// Connects, from this address if one is given.
    ///
    /// # Errors
    ///
    /// If the service is not there, or one of both does not believe the other.
    pub(crate) async fn open(
        to: SocketAddr,
        from: Option<Ipv4Addr>,
        config: &Arc<ClientConfig>,
        protocol: Protocol,
    ) -> anyhow::Result<Self> {
        let tls = shake_hands(to, from, config, protocol).await?;
        let certificates = tls.get_ref().1.peer_certificates();
        let server = certificates.and_then(|it| it.first());
        let server = server.context("the service has a certificate")?.to_vec();
        let io = TokioIo::new(tls);
        let sender = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Self { sender, server })
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// If the connection ends before the head of an answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// The same connection, where it takes several requests at once.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                server: self.server.clone(),
            }),
        }
    }

    /// What is spoken.
    pub(crate) fn protocol(&self) -> Protocol {
        match self.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        }
    }

    /// The certificate of the service.
    pub(crate) fn server(&self) -> &[u8] {
        &self.server
    }

    /// Whether it takes no request any more.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}

/// Connects as far as TLS goes.
pub(super) async fn shake_hands(
    to: SocketAddr,
    from: Option<Ipv4Addr>,
    config: &Arc<ClientConfig>,
    protocol: Protocol,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let tcp = connect(to, from).await?;
    tcp.set_nodelay(true)?;
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect("localhost".try_into()?, tcp).await?)
}

pub(super) async fn connect(to: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(to).await
}
