//! A layer, its issuer and its clock.

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bartizan_jwt::{JwtConfig, JwtConfigBuilder, JwtLayer, KeySet, Roots, Rules, RulesBuilder};
use bartizan_testkit::{
    Answer, Call, DevelopmentCa, Host, ManualClock, SigningAlgorithm, SigningKey, TokenBuilder,
    TokenIssuer, TokenMint,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer as _, ServiceExt as _, service_fn};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://orders.example";

/// A mint whose keys a layer gets by hand.
pub(crate) struct Offline {
    pub(crate) clock: ManualClock,
    pub(crate) mint: TokenMint,
}

impl Offline {
    pub(crate) fn new(algorithm: SigningAlgorithm) -> Self {
        let clock = ManualClock::default();
        let mint = TokenMint::new(ISSUER, algorithm, clock.clone()).unwrap();
        Self { clock, mint }
    }

    pub(crate) fn rules(&self) -> RulesBuilder {
        Rules::builder(ISSUER, AUDIENCE)
    }

    pub(crate) fn config(&self) -> JwtConfigBuilder {
        let keys = KeySet::from_json(&self.mint.jwks().to_string()).unwrap();
        JwtConfig::builder(self.rules().build().unwrap())
            .with_keys(keys)
            .with_clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn layer(&self) -> JwtLayer {
        JwtLayer::start(self.config().build().unwrap()).unwrap()
    }

    pub(crate) fn token(&self) -> TokenBuilder {
        self.mint.token().audience(AUDIENCE).scope("orders:read")
    }
}

/// An issuer whose keys a layer fetches over TLS.
pub(crate) struct Online {
    pub(crate) ca: DevelopmentCa,
    pub(crate) clock: ManualClock,
    pub(crate) issuer: TokenIssuer,
}

impl Online {
    pub(crate) async fn new() -> Self {
        Self::at_path("").await
    }

    pub(crate) async fn at_path(path: &str) -> Self {
        let ca = DevelopmentCa::new("example.org").unwrap();
        let clock = ManualClock::default();
        let key = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
        let builder = TokenIssuer::builder(key)
            .with_clock(clock.clone())
            .with_path(path);
        let issuer = builder.start(&ca).await.unwrap();
        Self { ca, clock, issuer }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(self.ca.certificate_pem().as_bytes()).unwrap()
    }

    pub(crate) fn config(&self) -> JwtConfigBuilder {
        let rules = Rules::builder(self.issuer.issuer(), AUDIENCE)
            .build()
            .unwrap();
        JwtConfig::builder(rules)
            .with_roots(self.roots())
            .with_clock(Arc::new(self.clock.clone()))
    }

    pub(crate) async fn layer(&self) -> JwtLayer {
        JwtLayer::load(self.config().build().unwrap())
            .await
            .unwrap()
    }

    pub(crate) fn token(&self) -> TokenBuilder {
        self.issuer.token().audience(AUDIENCE)
    }

    /// A good token whose key the issuer does not know.
    pub(crate) fn token_of_unknown_key(&self, kid: &str) -> String {
        self.token().header("kid", kid).sign().unwrap()
    }
}

/// What a client sees that sends this token to an HTTP service behind the layer.
pub(crate) async fn send(layer: &JwtLayer, token: &str) -> Answer {
    let call = Call::echo("hello").with_bearer(token).unwrap();
    Host::Hyper.send(layer, &call).await.unwrap()
}

/// Its status and code, in short.
pub(crate) async fn outcome(layer: &JwtLayer, token: &str) -> (u16, Option<String>) {
    let answer = send(layer, token).await;
    (
        answer.http_status.as_u16(),
        answer.code().filter(|_| !answer.is_success()),
    )
}

/// The status of a request that is decided without waiting for anything.
#[track_caller]
pub(crate) fn status_at_once(layer: &JwtLayer, token: &str) -> u16 {
    let service = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<Bytes>::new());
    let call = pin!(layer.layer(service).oneshot(request.unwrap()));
    match call.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => response.unwrap().status().as_u16(),
        Poll::Pending => panic!("it waits"),
    }
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

pub(crate) fn passed() -> (u16, Option<String>) {
    (200, None)
}
