//! A token issuer that verifiers reach over real TLS.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_core::{Clock, SystemClock};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::ca::DevelopmentCa;
use crate::error::TestkitError;
use crate::fault::{Fault, IssuerBody};
use crate::mint::TokenMint;
use crate::signing_key::{SigningAlgorithm, SigningKey};
use crate::tls;

/// An endpoint of a [`TokenIssuer`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Endpoint {
    /// Authorization server metadata (RFC 8414 §3).
    AuthorizationServer,
    /// The key set.
    Jwks,
    /// OpenID Provider Configuration (OpenID Connect Discovery 1.0 §4).
    OpenIdConfiguration,
    /// Any other path; answered 404.
    Other,
}

impl Endpoint {
    const ALL: [Self; 4] = [
        Self::AuthorizationServer,
        Self::Jwks,
        Self::OpenIdConfiguration,
        Self::Other,
    ];

    fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|endpoint| *endpoint == self)
            .unwrap_or_default()
    }
}

/// A token issuer on loopback, reached over real TLS: discovery, key set, tokens, and faults on
/// demand.
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

#[derive(Debug)]
struct Shared {
    mint: TokenMint,
    path: String,
    faults: Mutex<[Option<Fault>; Endpoint::ALL.len()]>,
    counts: watch::Sender<[usize; Endpoint::ALL.len()]>,
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
}

impl IssuerBuilder {
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

    /// Starts the issuer on a free port of 127.0.0.1, with a certificate of `ca` for `127.0.0.1`,
    /// `::1` and `localhost`.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] if no port is free, [`TestkitError::Certificate`] or
    /// [`TestkitError::Tls`] if the certificate could not be made or used.
    pub async fn start(self, ca: &DevelopmentCa) -> Result<TokenIssuer, TestkitError> {
        let config = tls::server_config(&ca.loopback_server()?)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(TestkitError::io("listen on 127.0.0.1"))?;
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

/// Accepts until aborted; the connections are aborted with it, because it owns them.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            // A client that gives up is its own affair.
            let Ok(stream) = acceptor.accept(socket).await else {
                return;
            };
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<IssuerBody>, io::Error> {
    let endpoint = shared.endpoint(request.uri().path());
    shared.counts.send_modify(|counts| {
        if let Some(count) = counts.get_mut(endpoint.index()) {
            *count += 1;
        }
    });
    let fault = {
        let faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.get(endpoint.index()).cloned().flatten()
    };
    let document = shared.document(endpoint);
    let Some(fault) = fault else {
        return Ok(match document {
            Some(document) => json_answer(document.to_string()),
            None => empty(StatusCode::NOT_FOUND),
        });
    };
    let mut document = document.unwrap_or_default();
    Ok(match fault {
        Fault::Body(bytes) => json_answer(bytes),
        Fault::Disconnect => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
        Fault::Drip(span) => {
            let interval = tokio::time::interval(span);
            json_body(IssuerBody::Drip {
                rest: Bytes::from(document.to_string()),
                interval,
            })
        }
        Fault::EmptyKeySet => json_answer(json!({ "keys": [] }).to_string()),
        Fault::Hang => match std::future::pending::<Infallible>().await {},
        Fault::Html => {
            let page = Bytes::from_static(b"<!doctype html><title>Sign in</title>");
            typed(
                IssuerBody::Whole(page),
                HeaderValue::from_static("text/html"),
            )
        }
        Fault::Huge(length) => json_body(IssuerBody::Huge { rest: length }),
        Fault::MalformedKey => {
            if let Some(keys) = document.get_mut("keys").and_then(Value::as_array_mut) {
                keys.insert(0, json!({ "kty": "RSA", "kid": "malformed", "e": "AQAB" }));
            }
            json_answer(document.to_string())
        }
        Fault::Redirect(target) => {
            let mut response = empty(StatusCode::FOUND);
            let target = HeaderValue::try_from(target).map_err(io::Error::other)?;
            response.headers_mut().insert(header::LOCATION, target);
            response
        }
        Fault::Status(status) => empty(StatusCode::from_u16(status).map_err(io::Error::other)?),
        Fault::WrongIssuer(issuer) => json_answer(with_member(document, "issuer", issuer)),
        Fault::WrongJwksUri(uri) => json_answer(with_member(document, "jwks_uri", uri)),
    })
}

impl Shared {
    fn endpoint(&self, path: &str) -> Endpoint {
        // RFC 8414 §3.1 puts its well-known part between host and path, OpenID Connect Discovery
        // 1.0 §4.1 behind the path.
        if path.strip_prefix("/.well-known/oauth-authorization-server") == Some(&self.path) {
            return Endpoint::AuthorizationServer;
        }
        match path.strip_prefix(&self.path) {
            Some("/.well-known/openid-configuration") => Endpoint::OpenIdConfiguration,
            Some("/jwks.json") => Endpoint::Jwks,
            _ => Endpoint::Other,
        }
    }

    fn document(&self, endpoint: Endpoint) -> Option<Value> {
        match endpoint {
            Endpoint::AuthorizationServer | Endpoint::OpenIdConfiguration => {
                Some(self.mint.discovery())
            }
            Endpoint::Jwks => Some(self.mint.jwks()),
            Endpoint::Other => None,
        }
    }
}

fn with_member(mut document: Value, name: &str, value: String) -> String {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), Value::String(value));
    }
    document.to_string()
}

fn json_answer(text: impl Into<Bytes>) -> Response<IssuerBody> {
    json_body(IssuerBody::Whole(text.into()))
}

fn json_body(body: IssuerBody) -> Response<IssuerBody> {
    typed(body, HeaderValue::from_static("application/json"))
}

fn typed(body: IssuerBody, content_type: HeaderValue) -> Response<IssuerBody> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn empty(status: StatusCode) -> Response<IssuerBody> {
    let mut response = Response::new(IssuerBody::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
