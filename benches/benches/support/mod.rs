//! A guarded service, and the requests that are put to it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each bench uses a part, and a bench that fails may panic"
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bartizan_core::{
    Chain, Check, Connection, Duty, Guard, Inspection, Never, Peer, PeerIdentity,
    VerifiedCertificate, WallTime,
};
use bartizan_jwt::{JwtConfig, JwtLayer, KeySet, Rules};
use bartizan_mtls::MtlsLayer;
use bartizan_testkit::{SigningAlgorithm, TokenMint};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::Service;

pub const ISSUER: &str = "https://issuer.example";

/// A service that does nothing.
#[derive(Clone, Debug)]
pub struct Bare;

impl Service<Request<Empty<Bytes>>> for Bare {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        drop(request);
        ready(Ok(Response::new(Empty::new())))
    }
}

/// A guard that lets everything pass: what the seam itself costs, with the context.
#[derive(Clone, Debug)]
pub struct Open(pub Duty);

impl Guard for Open {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0)
    }

    fn check(&self, _: &mut Inspection<'_>) -> Check<(), Never> {
        Check::Now(Ok(()))
    }
}

/// A mint whose tokens the layer accepts.
pub fn mint(algorithm: SigningAlgorithm) -> TokenMint {
    TokenMint::new(ISSUER, algorithm, bartizan_core::SystemClock).unwrap()
}

pub fn rules() -> Rules {
    Rules::builder(ISSUER, "orders").build().unwrap()
}

pub fn keys(mint: &TokenMint) -> KeySet {
    KeySet::from_json(&mint.jwks().to_string()).unwrap()
}

pub fn token(mint: &TokenMint) -> String {
    mint.token()
        .audience("orders")
        .scope("orders:read orders:write")
        .expires_in(std::time::Duration::from_secs(86_400))
        .sign()
        .unwrap()
}

/// A layer that verifies each token anew.
pub fn jwt(mint: &TokenMint) -> JwtLayer {
    let config = JwtConfig::builder(rules())
        .with_keys(keys(mint))
        .with_cached_tokens(0);
    JwtLayer::start(config.build().unwrap()).unwrap()
}

/// A layer as it is by default: it remembers what it has verified.
pub fn jwt_cached(mint: &TokenMint) -> JwtLayer {
    let config = JwtConfig::builder(rules()).with_keys(keys(mint));
    JwtLayer::start(config.build().unwrap()).unwrap()
}

pub fn mtls() -> MtlsLayer {
    MtlsLayer::builder()
        .allow_peer("spiffe://example.org/web".parse().unwrap())
        .build()
        .unwrap()
}

pub fn chain(mint: &TokenMint) -> impl Guard {
    Chain::new(mtls().guard().clone(), jwt(mint).guard().clone())
}

/// A request as a host hands it over: with the connection's entry in its extensions.
pub fn request(token: &http::HeaderValue, connection: &Connection) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/orders/7");
    request.headers_mut().insert("authorization", token.clone());
    request.extensions_mut().insert(connection.clone());
    request
}

pub fn connection() -> Connection {
    let peer = Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe("spiffe://example.org/web".parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: Box::from([1]),
        not_after: WallTime::from_unix_seconds(4_000_000_000),
    });
    Connection::from_remote("127.0.0.1:4000".parse().unwrap()).with_peer(peer)
}

/// Sends a request through a service that answers at once.
pub fn send<S, B>(service: &mut S, request: Request<Empty<Bytes>>) -> Response<B>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("the accepted path waits for nothing"),
    }
}
