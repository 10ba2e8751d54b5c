//! The client side: connections to servers that prove who they are.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Clock, Peer, SystemClock};
use bartizan_source::Published;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};
use tower_service::Service;

use crate::connect_error::MtlsConnectError;
use crate::expected::{ByHost, ExpectedServers};
use crate::handshake::Failure;
use crate::material::Material;
use crate::stream::MtlsStream;
use crate::tls::{Configurations, live_client_config};
use crate::verify;

/// Five seconds, name resolution included: two lost SYN packets are made up for within three.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Ten seconds, as the listener's.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const HTTP2_OR_1: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP2: &[&[u8]] = &[b"h2"];

/// Opens connections to servers with a given identity, presenting ours.
///
/// A `Service<Uri>` as hyper-util's legacy client and tonic's `Endpoint::connect_with_connector`
/// take it; [`connect`](Self::connect) by itself for everything else. Use one connector for each
/// server that you mean, with exactly the identity that it must prove, or one for several with
/// [`ExpectedServers::by_host`]: the host in the URI says where to connect to, never by itself who
/// is to be found there.
///
/// # How it works
///
/// 1. TCP to host and port of the URI; port 443 if it has none.
/// 2. TLS 1.3, whatever the scheme says, with the newest published [`Material`], without resumption
///    and without early data.
/// 3. The server must prove an identity that we believe and that is in the set given to
///    [`new`](Self::new).
///
/// # A refusal that comes late
///
/// In TLS 1.3 a client has finished the handshake before the server has seen its certificate. If
/// the server refuses it, `connect` succeeds and the first request fails.
/// [`MtlsConnectError::late_rejection`] finds the reason in that request's error.
///
/// # tonic
///
/// Give the endpoint an `http://` origin. tonic refuses `https://` origins with
/// "Connecting to HTTPS without TLS enabled" as soon as any crate in the program turns one of
/// its TLS features on; the connection is encrypted either way, because this connector knows
/// nothing else.
///
/// # reqwest
///
/// reqwest takes no connector, but a TLS configuration:
/// [`build_client_config`](MtlsConnectorBuilder::build_client_config) makes one that follows the
/// material too. What it does without is said there.
#[derive(Clone, Debug)]
pub struct MtlsConnector(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    configurations: ByHost<Configurations<ClientConfig>>,
    connect_timeout: Duration,
    handshake_timeout: Duration,
}

impl MtlsConnector {
    /// Connects with this material to servers of this set, an [`AllowedPeers`](crate::AllowedPeers)
    /// for all hosts or [`ExpectedServers`] for each.
    pub fn new(material: Published<Material>, servers: impl Into<ExpectedServers>) -> Self {
        Self::builder(material, servers).build()
    }

    /// Begins a connector whose limits or clock differ from the defaults.
    pub fn builder(
        material: Published<Material>,
        servers: impl Into<ExpectedServers>,
    ) -> MtlsConnectorBuilder {
        MtlsConnectorBuilder {
            material,
            servers: servers.into(),
            protocols: HTTP2_OR_1,
            connect_timeout: CONNECT_TIMEOUT,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            clock: Arc::new(SystemClock),
        }
    }

    /// Opens a connection to host and port of `uri`.
    ///
    /// # Errors
    ///
    /// [`MtlsConnectError`]; its kind says whom it speaks of.
    pub async fn connect(&self, uri: &Uri) -> Result<MtlsStream, MtlsConnectError> {
        let host = uri
            .host()
            .ok_or_else(|| MtlsConnectError::invalid_uri("no host"))?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| MtlsConnectError::invalid_uri("host is no dns name or address"))?;
        let built = self
            .0
            .configurations
            .of(host)
            .ok_or_else(MtlsConnectError::unknown_host)?
            .newest()
            .map_err(|error| MtlsConnectError::handshake(Failure::Tls(error)))?
            .ok_or_else(|| MtlsConnectError::handshake(Failure::NoIdentity))?;

        let address = (host, uri.port_u16().unwrap_or(443));
        let tcp = timeout(self.0.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| MtlsConnectError::connect_timeout(self.0.connect_timeout))?
            .map_err(MtlsConnectError::connect)?;
        // See the listener: it matters for small frames, and its failure does not.
        let _ = tcp.set_nodelay(true);
        let remote = tcp.peer_addr().map_err(MtlsConnectError::connect)?;

        let handshake = TlsConnector::from(Arc::clone(&built.config)).connect(name, tcp);
        let tls = timeout(self.0.handshake_timeout, handshake)
            .await
            .map_err(|_| MtlsConnectError::handshake(Failure::Timeout))?
            .map_err(|error| MtlsConnectError::handshake(Failure::of(error)))?;
        let session = tls.get_ref().1;
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            return Err(MtlsConnectError::unverified("session was resumed"));
        }
        let chain = session.peer_certificates().unwrap_or_default();
        // The verifier has accepted this very chain by the same rules, moments ago.
        let algorithms = built.crypto.algorithms();
        let certificate = verify::describe(algorithms, chain, built.trust.is_spiffe())
            .map_err(MtlsConnectError::unverified)?;
        let peer = Peer::assert_verified(certificate);
        Ok(MtlsStream::tls(TlsStream::from(tls), peer, remote))
    }
}

impl Service<Uri> for MtlsConnector {
    type Response = TokioIo<MtlsStream>;
    type Error = MtlsConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), MtlsConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let connector = self.clone();
        Connecting(Box::pin(async move {
            connector.connect(&uri).await.map(TokioIo::new)
        }))
    }
}

/// A connection that is being opened. Boxed: there is one per connection, not per request.
pub struct Connecting(
    Pin<Box<dyn Future<Output = Result<TokioIo<MtlsStream>, MtlsConnectError>> + Send>>,
);

impl Future for Connecting {
    type Output = Result<TokioIo<MtlsStream>, MtlsConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connecting")
    }
}

/// Describes a connector; made by [`MtlsConnector::builder`].
#[derive(Clone, Debug)]
#[must_use = "a connector is made by `build`"]
pub struct MtlsConnectorBuilder {
    material: Published<Material>,
    servers: ExpectedServers,
    protocols: &'static [&'static [u8]],
    connect_timeout: Duration,
    handshake_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl MtlsConnectorBuilder {
    /// Offers HTTP/2 alone, so that a server without it fails the handshake. For gRPC.
    pub fn require_http2(mut self) -> Self {
        self.protocols = HTTP2;
        self
    }

    /// Sets how long name resolution and TCP may take. Five seconds unless said.
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long the TLS handshake may take. Ten seconds unless said.
    pub fn with_handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets the clock that validity periods are compared with. The system's unless said.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes a configuration of rustls instead, for clients that take one once and for all, such as
    /// reqwest's `ClientBuilder::use_preconfigured_tls` and hyper-rustls. Each handshake presents
    /// the newest identity and verifies by the newest trust, as a connector's does.
    ///
    /// The host that is dialled is looked up among the expected servers, and that the server is one
    /// of those is all that is asked of it: names in its certificate do not count. Such a client
    /// does without a connector's limits and errors, and nothing tells it which server answered.
    /// [`MtlsConnectError::late_rejection`] works on its errors. Leave resumption off: it is.
    ///
    /// The crypto library is that of the identity published by now, or else ring.
    ///
    /// ```no_run
    /// # async fn run(material: bartizan_source::Published<bartizan_mtls::Material>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use bartizan_mtls::{AllowedPeers, MtlsConnector};
    ///
    /// let payments = AllowedPeers::id("spiffe://example.org/ns/shop/sa/payments".parse()?);
    /// let tls = MtlsConnector::builder(material, payments).build_client_config()?;
    /// // let client = reqwest::Client::builder().use_preconfigured_tls(tls).https_only(true);
    /// # drop(tls);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the crypto library does not offer TLS 1.3.
    pub fn build_client_config(self) -> Result<ClientConfig, rustls::Error> {
        let servers = self.servers.map(|servers| servers);
        live_client_config(self.material, servers, &self.clock, self.protocols)
    }

    /// Makes the connector.
    #[must_use]
    pub fn build(self) -> MtlsConnector {
        let configurations = self.servers.map(|servers| {
            let (material, clock) = (self.material.clone(), Arc::clone(&self.clock));
            Configurations::client(material, clock, servers, self.protocols)
        });
        MtlsConnector(Arc::new(Settings {
            configurations,
            connect_timeout: self.connect_timeout,
            handshake_timeout: self.handshake_timeout,
        }))
    }
}
