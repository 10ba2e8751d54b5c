//! Over the network: sockets, and what is written to them.

mod hpack;
mod http1;
mod http2;
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use self::tls::{config, connect};
use crate::answer::Exchange;
use crate::authority::Identity;
use crate::carrier::{Carrier, Sending};
use crate::draft::Draft;
use crate::error::GivenError;
use crate::remote::Remote;
use crate::volley::Shot;

pub(crate) use self::hpack::encode;
pub(crate) use self::http2::{frame, headers_frame};

/// The longest that a connection and an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Connection = Box<dyn Stream>;

/// Which protocol a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// What a connection is opened with.
#[derive(Clone, Copy)]
struct Client<'a> {
    /// Another identity than the usual one: which, if any.
    identity: Option<Option<&'a Identity>>,
    /// Bytes before everything else.
    before: &'a [u8],
    /// From the address that others come from as well.
    steady: bool,
}

impl Client<'_> {
    fn usual(steady: bool) -> Self {
        Self {
            identity: None,
            before: &[],
            steady,
        }
    }
}

/// Sends shots to a service behind a URL, each over a connection of its own.
#[derive(Debug)]
pub(crate) struct Wire {
    remote: Remote,
    /// The configuration of TLS under the identity that was given.
    own: Option<Arc<ClientConfig>>,
    usual: Protocol,
    sources: AtomicU32,
}

impl Wire {
    pub(crate) fn new(remote: Remote, grpc: bool) -> Result<Self, GivenError> {
        if remote.tls && remote.roots.is_empty() && !remote.is_here() {
            return Err(GivenError::NoRoots(remote.host));
        }
        let own = match remote.tls {
            true => Some(config(&remote.roots, remote.identity.as_ref())?),
            false => None,
        };
        let usual = if grpc {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        Ok(Self {
            remote,
            own,
            usual,
            sources: AtomicU32::new(0),
        })
    }

    async fn exchange(&self, shot: &Shot, steady: bool) -> io::Result<Exchange> {
        match shot {
            Shot::Request(draft) => self.request(draft, Client::usual(steady)).await,
            Shot::As(identity, draft) => {
                let client = Client {
                    identity: Some(identity.as_ref()),
                    ..Client::usual(steady)
                };
                self.request(draft, client).await
            }
            Shot::Behind(bytes, draft) => {
                let client = Client {
                    before: bytes,
                    ..Client::usual(steady)
                };
                self.request(draft, client).await
            }
            Shot::Raw(bytes) => {
                let mut stream = self.connect(Protocol::Http1, Client::usual(steady)).await?;
                http1::exchange(&mut stream, bytes, true).await
            }
            Shot::Fields(fields, body, trailers) => {
                let mut stream = self.connect(Protocol::Http2, Client::usual(steady)).await?;
                http2::exchange(&mut stream, fields, body, trailers).await
            }
            Shot::Frames(frames) => {
                let mut stream = self.connect(Protocol::Http2, Client::usual(steady)).await?;
                http2::exchange_frames(&mut stream, frames).await
            }
        }
    }

    async fn request(&self, draft: &Draft, client: Client<'_>) -> io::Result<Exchange> {
        let mut stream = self.connect(self.usual, client).await?;
        match self.usual {
            Protocol::Http1 => {
                let draft = match draft.has("connection") {
                    true => draft.clone(),
                    false => draft.clone().field("connection", "close"),
                };
                http1::exchange(&mut stream, &draft.http1(), false).await
            }
            Protocol::Http2 => {
                let fields = draft.http2(if self.remote.tls { "https" } else { "http" });
                http2::exchange(&mut stream, &fields, &draft.body, &draft.trailers).await
            }
        }
    }

    async fn connect(&self, protocol: Protocol, client: Client<'_>) -> io::Result<Connection> {
        let mut stream = self.dial(client.steady).await?;
        stream.set_nodelay(true)?;
        stream.write_all(client.before).await?;
        let Some(own) = &self.own else {
            return Ok(Box::new(stream));
        };
        let other = match client.identity {
            Some(identity) => config(&self.remote.roots, identity).map_err(io::Error::other)?,
            None => Arc::clone(own),
        };
        let stream = connect(stream, other, protocol.alpn(), self.remote.address.ip()).await?;
        Ok(Box::new(stream))
    }

    /// From another address of this machine each time, where that is possible.
    async fn dial(&self, steady: bool) -> io::Result<TcpStream> {
        let to = self.remote.address;
        if self.remote.spread && !steady {
            let number = self.sources.fetch_add(1, Ordering::Relaxed);
            let [_, high, low, last] = number.to_be_bytes();
            // 127.77.0.1 and up, without addresses that end in 0 or 255.
            let from = Ipv4Addr::new(127, 77 + high % 64, low, last.clamp(1, 254));
            let socket = TcpSocket::new_v4()?;
            if socket.bind(SocketAddr::from((from, 0))).is_ok() {
                return socket.connect(to).await;
            }
        }
        TcpStream::connect(to).await
    }
}

impl Carrier for Wire {
    fn send<'a>(&'a self, shot: &'a Shot, steady: bool) -> Sending<'a> {
        Box::pin(async move {
            match timeout(PATIENCE, self.exchange(shot, steady)).await {
                Ok(Ok(exchange)) => exchange,
                Ok(Err(error)) => Exchange::Closed(error.to_string()),
                Err(_) => Exchange::Silent,
            }
        })
    }

    fn remote(&self) -> Option<&Remote> {
        Some(&self.remote)
    }
}
