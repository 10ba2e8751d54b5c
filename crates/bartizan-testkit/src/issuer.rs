//! A token issuer that verifiers reach over real TLS.

mod authorization;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use self::authorization::{Authorization, Proof};
use self::server::{Shared, serve};
use crate::algorithm::SigningAlgorithm;
use crate::ca::DevelopmentCa;
use crate::error::TestkitError;
use crate::fault::Fault;
use crate::mint::TokenMint;
use crate::signing_key::SigningKey;
use crate::tls;
use crate::token::TokenBuilder;

/// An endpoint of a [`TokenIssuer`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Endpoint {
    /// Authorization server metadata (RFC 8414 §3).
    AuthorizationServer,
    /// Token introspection (RFC 7662 §2).
    Introspection,
    /// The key set.
    Jwks,
    /// OpenID Provider Configuration (OpenID Connect Discovery 1.0 §4).
    OpenIdConfiguration,
    /// Any other path; answered 404.
    Other,
    /// The token endpoint (RFC 6749 §3.2).
    Token,
}

impl Endpoint {
    const ALL: [Self; 6] = [
        Self::AuthorizationServer,
        Self::Introspection,
        Self::Jwks,
        Self::OpenIdConfiguration,
        Self::Other,
        Self::Token,
    ];

    fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|endpoint| *endpoint == self)
            .unwrap_or_default()
    }
}

/// A token issuer on loopback, reached over real TLS: discovery, key set, tokens, an authorization
/// server's token and introspection endpoints, and faults on demand.
///
/// It dereferences to its [`TokenMint`], which signs and rotates. It counts requests per endpoint,
/// faulty answers included. Dropping it closes its socket and all connections.
///
/// ```
/// use bartizan_testkit::{DevelopmentCa, Endpoint, SigningAlgorithm, TokenIssuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_testkit::TestkitError> {
/// let ca = DevelopmentCa::new("example.org")?;
/// let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await?;
/// assert!(issuer.issuer().starts_with("https://127.0.0.1:"));
/// let token = issuer.token().audience("orders").sign()?;
/// assert_eq!(issuer.requests(Endpoint::Jwks), 0);
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TokenIssuer {
    mint: TokenMint,
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

impl TokenIssuer {
    /// Starts an issuer with a new key on a free port of 127.0.0.1, with a certificate of `ca` and
    /// the system's clock.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] if no port is free, otherwise as [`IssuerBuilder::start`].
    pub async fn start(
        ca: &DevelopmentCa,
        algorithm: SigningAlgorithm,
    ) -> Result<Self, TestkitError> {
        Self::builder(SigningKey::generate(algorithm, "key-1")?)
            .start(ca)
            .await
    }

    /// Describes an issuer: a given key, clock or path.
    pub fn builder(key: SigningKey) -> IssuerBuilder {
        IssuerBuilder {
            key,
            clock: Arc::new(SystemClock),
            path: String::new(),
            port: 0,
            asks_for_certificates: false,
        }
    }

    /// Makes `endpoint` misbehave from now on.
    pub fn set_fault(&self, endpoint: Endpoint, fault: Fault) {
        self.change_fault(endpoint, Some(fault));
    }

    /// Makes `endpoint` behave again.
    pub fn clear_fault(&self, endpoint: Endpoint) {
        self.change_fault(endpoint, None);
    }

    /// Where the issuer listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The keys and tokens, to be kept beyond the server's life.
    pub fn mint(&self) -> &TokenMint {
        &self.mint
    }

    /// How many requests have arrived at `endpoint`.
    pub fn requests(&self, endpoint: Endpoint) -> usize {
        self.shared
            .counts
            .borrow()
            .get(endpoint.index())
            .copied()
            .unwrap_or_default()
    }

    /// Waits until at least `count` requests have arrived at `endpoint`. Needs no clock.
    pub async fn requests_reach(&self, endpoint: Endpoint, count: usize) {
        let mut counts = self.shared.counts.subscribe();
        let reached = |counts: &[usize; Endpoint::ALL.len()]| {
            counts
                .get(endpoint.index())
                .is_some_and(|seen| *seen >= count)
        };
        // Fails only when the sender is gone, and `self` holds it.
        let _ = counts.wait_for(reached).await;
    }

    /// Knows a client by a secret, in the `Authorization` field or in the form.
    pub fn add_client(&self, client_id: &str, secret: &str) {
        let proof = Proof::Secret(secret.to_owned());
        self.shared.authorization.add_client(client_id, proof);
    }

    /// Knows a client by the assertions that it signs with this key (RFC 7523 §2.2).
    pub fn add_client_with_key(&self, client_id: &str, key: &SigningKey) {
        let proof = Proof::Key(key.clone());
        self.shared.authorization.add_client(client_id, proof);
    }

    /// Knows a client by its TLS certificate (RFC 8705 §2), from the SHA-256 of its DER. Needs
    /// [`ask_for_certificates`](IssuerBuilder::ask_for_certificates).
    pub fn add_client_with_certificate(&self, client_id: &str, sha256: [u8; 32]) {
        let proof = Proof::Certificate(sha256);
        self.shared.authorization.add_client(client_id, proof);
    }

    /// How long the tokens of the token endpoint live from now on; 300 s unless said.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.shared.authorization.set_lifetime(lifetime);
    }

    /// A token that says nothing by itself: who has it introspected is told the claims of
    /// `token`, until they expire.
    pub fn opaque(&self, token: &TokenBuilder) -> String {
        self.shared.authorization.opaque(token.claims().clone())
    }

    /// Makes an opaque token inactive.
    pub fn end_opaque(&self, token: &str) {
        self.shared.authorization.end_opaque(token);
    }

    /// Where clients ask for tokens: by client credentials (RFC 6749 §4.4) or in exchange for
    /// another (RFC 8693).
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.mint.issuer())
    }

    /// Where services have tokens introspected (RFC 7662): opaque ones, and the issuer's JWTs.
    pub fn introspection_endpoint(&self) -> String {
        format!("{}/introspect", self.mint.issuer())
    }

    /// The forms that have arrived at both endpoints, oldest first, field by field.
    pub fn forms(&self) -> Vec<Vec<(String, String)>> {
        self.shared.forms().clone()
    }

    fn change_fault(&self, endpoint: Endpoint, fault: Option<Fault>) {
        let mut faults = self
            .shared
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = faults.get_mut(endpoint.index()) {
            *slot = fault;
        }
    }
}

impl Deref for TokenIssuer {
    type Target = TokenMint;

    fn deref(&self) -> &TokenMint {
        &self.mint
    }
}

impl Drop for TokenIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Describes a [`TokenIssuer`].
#[derive(Debug)]
#[must_use = "an issuer is made by `start`"]
pub struct IssuerBuilder {
    key: SigningKey,
    clock: Arc<dyn Clock>,
    path: String,
    port: u16,
    asks_for_certificates: bool,
}

impl IssuerBuilder {
    /// Asks clients for a TLS certificate, which they need not have.
    pub fn ask_for_certificates(mut self) -> Self {
        self.asks_for_certificates = true;
        self
    }

    /// Listens on this port of 127.0.0.1, so that the issuer's URL is known beforehand; on a free
    /// one unless said.
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Takes the time of tokens from this clock; from the system's unless said.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Puts this path (`/realms/shop`) behind the host in the issuer's URL. Empty unless said.
    ///
    /// OpenID discovery then lives below the path, RFC 8414 metadata in front of it.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Starts the issuer on 127.0.0.1, with a certificate of `ca` for `127.0.0.1`,
    /// `::1` and `localhost`.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] if the port is not free, [`TestkitError::Certificate`] or
    /// [`TestkitError::Tls`] if the certificate could not be made or used.
    pub async fn start(self, ca: &DevelopmentCa) -> Result<TokenIssuer, TestkitError> {
        let identity = ca.loopback_server()?;
        let config = if self.asks_for_certificates {
            tls::server_config_asking(&identity, ca)?
        } else {
            tls::server_config(&identity)?
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .await
            .map_err(TestkitError::io(format!(
                "listen on 127.0.0.1:{}",
                self.port
            )))?;
        let address = listener
            .local_addr()
            .map_err(TestkitError::io("read own address"))?;
        let mint = TokenMint::with_key(
            format!("https://{address}{}", self.path),
            self.key,
            self.clock,
        );
        let shared = Arc::new(Shared {
            mint: mint.clone(),
            path: self.path,
            faults: Mutex::default(),
            counts: watch::Sender::new([0; Endpoint::ALL.len()]),
            authorization: Authorization::new(),
            forms: Mutex::default(),
        });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = tokio::spawn(serve(listener, acceptor, Arc::clone(&shared))).abort_handle();
        Ok(TokenIssuer {
            mint,
            address,
            shared,
            server,
        })
    }
}
