//! Admits requests that carry a valid JSON Web Token: an OAuth 2.0 resource server as a layer.
//!
//! [`JwtLayer`] takes the bearer token of a request, verifies it on `ring` with the keys that the
//! issuer publishes, and writes the [`Principal`] and the [`VerifiedClaims`] into the request's
//! [`SecurityContext`], where the layers and handlers further in find them. It works unchanged in
//! front of axum, tonic and plain hyper services; a refusal is problem details for HTTP and a
//! trailers-only status for gRPC.
//!
//! # Quick start
//!
//! Issuer and audience are all that has to be said. The keys are found through the issuer's
//! discovery document and kept fresh.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use bartizan_core::Principal;
//! use bartizan_jwt::{JwtConfig, JwtLayer, Rules};
//!
//! # #[cfg(feature = "axum")]
//! async fn orders(principal: Principal) -> String {
//!     format!("orders of {}", principal.subject())
//! }
//!
//! # #[cfg(feature = "axum")]
//! # async fn app() -> Result<Router, bartizan_jwt::ConfigError> {
//! let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
//! let jwt = JwtLayer::load(JwtConfig::builder(rules).build()?).await?;
//! let app = Router::new().route("/orders", get(orders)).layer(jwt);
//! # Ok(app)
//! # }
//! ```
//!
//! The same with keys that are at hand, in front of any tower service:
//!
//! ```
//! use bartizan_core::SecurityContext;
//! use bartizan_jwt::{JwtConfig, JwtLayer, KeySet, Rules};
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! # use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
//! # use ring::signature::{Ed25519KeyPair, KeyPair};
//! # let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|e| e.to_string())?;
//! # let x = URL_SAFE_NO_PAD.encode(pair.public_key());
//! # let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#);
//! # let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
//! # let sign = |aud: &str| {
//! #     let header = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"1"}"#;
//! #     let payload = format!(
//! #         r#"{{"iss":"https://issuer.example","sub":"alice","aud":"{aud}","jti":"1",
//! #         "client_id":"shop","iat":{now},"exp":{}}}"#, now + 300);
//! #     let signed = [header, &payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
//! #     let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
//! #     format!("{signed}.{signature}")
//! # };
//! # let token = sign("https://orders.example");
//! # let token_for_another_service = sign("https://payments.example");
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//!
//! let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
//! let config = JwtConfig::builder(rules).with_keys(KeySet::from_json(&jwks)?).build()?;
//! let service = JwtLayer::start(config)?.layer(service_fn(async |request: Request<()>| {
//!     let context = SecurityContext::of(request.extensions());
//!     let subject = context.and_then(|c| c.principal()).map(|p| p.subject().to_owned());
//!     Ok::<_, std::convert::Infallible>(Response::new(subject.unwrap_or_default()))
//! }));
//!
//! let request = |token: &str| {
//!     Request::builder().header("authorization", format!("Bearer {token}")).body(())
//! };
//! let response = service.clone().oneshot(request(&token)?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! let response = service.oneshot(request(&token_for_another_service)?).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! let challenge = response.headers()["www-authenticate"].to_str()?;
//! assert!(challenge.contains(r#"error="invalid_token""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it decides
//!
//! 1. Exactly one token: in the `Authorization` field, of scheme `Bearer` or, where proofs are
//!    checked, `DPoP` (in any case); gRPC metadata is the same field. A cookie or a WebSocket's
//!    subprotocol counts where that was chosen. A token in the query or the body is not looked
//!    for. None: 401 with a bare challenge, unless
//!    [`allow_anonymous`](JwtConfigBuilder::allow_anonymous). Two: 400.
//! 2. A token that verified a moment ago is remembered, and its signature is not verified again.
//!    Its time and whether its key is still published are checked as ever, and so are steps 10
//!    to 12.
//! 3. The token is at most 8 KiB and has three parts in canonical base64url.
//! 4. `iss` says which issuer is responsible. There is no fallback to another.
//! 5. The header and the payload are strict JSON: no member twice, no nesting deeper than 16.
//!    `crit`, `b64`, `zip`, `enc` and `epk` are refused; `jwk`, `jku`, `x5u` and `x5c` are never
//!    used. `alg` is on a closed list without `none`; symmetric algorithms are refused unless the
//!    rules name them. `typ` is `at+jwt`, or what [`Rules`] accept beside it.
//! 6. `aud` names this service, `exp` is not reached, `nbf` and `iat` are, each give or take 30 s;
//!    `sub`, `jti` and `client_id` are there. All are type-checked.
//! 7. `kid` names a key of the issuer. **The key decides the algorithm**: by its type, curve,
//!    `alg`, `use` and `key_ops`; the token's `alg` must agree.
//! 8. The signature verifies.
//! 9. If there is no such key, or not with that signature, the issuer's keys are fetched once
//!    more, at most once per cool-down; requests whose signature verifies do not wait for that. A
//!    key that may have been published since the last fetch is no fault of the token: 503.
//! 10. The token was not revoked ([`Revocations`]), and its user authenticated as this service
//!     asks for ([`require_authentication_within`](JwtConfigBuilder::require_authentication_within)).
//! 11. What the token is bound to (`cnf`) is possessed: the client certificate of the connection
//!     ([RFC 8705 §3]), or a key that signed a proof for this one request ([`Dpop`], [RFC 9449
//!     §7]). A bound token never passes as a bearer token, and a binding that is not understood
//!     never passes.
//! 12. Then, and only then, principal and claims are written down.
//! 13. A response that goes on ends with its token: when it expires or is revoked, or when its key
//!     is withdrawn; within five seconds of the latter two.
//!
//! A token that does not hold is answered 401 with `error="invalid_token"` (`UNAUTHENTICATED`). A
//! token that cannot be judged, because the keys or the issuer are away, is answered 503 with `Retry-After`
//! (`UNAVAILABLE`): never 401, and never a pass. The reason is the [`JwtErrorKind`], and its
//! [`Code`] is what decision events carry.
//!
//! In shadow mode ([`with_enforcement`](JwtConfigBuilder::with_enforcement)) the same decisions are
//! made and recorded, every request passes, no response is cut off, and only a token that holds
//! names a principal.
//!
//! # Opaque tokens
//!
//! Tokens that say nothing by themselves are introspected: their issuer is asked what they stand
//! for ([RFC 7662]), and what it answers is held to the same [`Rules`]. See [`Introspection`] for
//! which tokens are asked about, and how a flood of made-up ones is met.
//!
//! ```
//! use bartizan_jwt::{ClientAuthentication, Introspection, JwtConfig, JwtLayer, Rules};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/introspect", listener.local_addr()?);
//! # let (url, aud) = (url.as_str(), "https://orders.example");
//! # tokio::spawn(async move {
//! #     while let Ok((mut socket, _)) = listener.accept().await {
//! #         let (mut request, mut buffer) = (String::new(), [0; 4096]);
//! #         while !request.ends_with("=access_token") {
//! #             let read = socket.read(&mut buffer).await.unwrap();
//! #             request += std::str::from_utf8(&buffer[..read]).unwrap();
//! #         }
//! #         let answer = match request.contains("token=2YotnFZFEjr1zCsicMWpAA&") {
//! #             true => format!(r#"{{"active":true,"sub":"alice","aud":"{aud}",
//! #                 "iss":"https://issuer.example","exp":4000000000}}"#),
//! #             false => r#"{"active":false}"#.to_owned(),
//! #         };
//! #         let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
//! #         let length = answer.len();
//! #         let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{answer}");
//! #         socket.write_all(answer.as_bytes()).await.unwrap();
//! #     }
//! # });
//!
//! let rules = Rules::builder("https://issuer.example", "https://orders.example")
//!     .allow_missing_issued_at()
//!     .allow_missing_token_id()
//!     .allow_missing_client()
//!     .build()?;
//! let secret = ClientAuthentication::basic("orders", "s3cr3t");
//! let introspection = Introspection::builder(rules, url, secret).build()?;
//! // Or `JwtConfig::builder(..).with_introspection(introspection)`, beside tokens that are signed.
//! let config = JwtConfig::introspecting(introspection).build()?;
//! let service = JwtLayer::start(config)?.layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
//! }));
//!
//! let request = |token: &str| {
//!     Request::builder().header("authorization", format!("Bearer {token}")).body(())
//! };
//! let known = service.clone().oneshot(request("2YotnFZFEjr1zCsicMWpAA")?).await?;
//! assert_eq!(known.status(), 200);
//! let made_up = service.oneshot(request("made-up")?).await?;
//! assert_eq!(made_up.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! # Outgoing calls
//!
//! A service that calls others gives its client an [`OutgoingLayer`]: it passes the caller's token
//! on, exchanges it for a narrower one ([RFC 8693]), or obtains one of the service's own. Tokens
//! go to listed destinations alone. See there for how it decides, with a pass and a refusal.
//!
//! ```no_run
//! use bartizan_jwt::{
//!     CallerToken, ClientAuthentication, OutgoingConfig, OutgoingLayer, TokenEndpoint, TokenRequest,
//! };
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use http::{Request, Response};
//! # async fn handler(caller: CallerToken) -> Result<(), Box<dyn std::error::Error>> {
//! # let client = service_fn(async |_: Request<String>| {
//! #     Ok::<_, std::convert::Infallible>(Response::new(()))
//! # });
//!
//! // Once: what orders may do at payments on behalf of a user, and where.
//! let secret = ClientAuthentication::basic("orders", "s3cr3t");
//! let endpoint = TokenEndpoint::builder("https://issuer.example/token", secret).build()?;
//! let least = TokenRequest::new(endpoint)
//!     .with_scopes(["payments:create"])
//!     .add_audience("https://payments.example");
//! let config = OutgoingConfig::exchange(least).add_destination("https://payments.example");
//! let payments = OutgoingLayer::new(config.build()?).layer(client);
//!
//! // For each request, behind a `JwtLayer` that has `allow_forwarding`.
//! let mut call = Request::post("https://payments.example/charges").body(String::new())?;
//! call.extensions_mut().insert(caller);
//! let charged = payments.oneshot(call).await?;
//! # let _ = charged;
//! # Ok(())
//! # }
//! ```
//!
//! # Deployment notes
//!
//! What this layer does not protect against:
//!
//! * A bearer token that was stolen. Whoever has it may use it until it expires: keep lifetimes
//!   short ([`require_max_lifetime`](RulesBuilder::require_max_lifetime)), or bind tokens
//!   ([`require_binding`](JwtConfigBuilder::require_binding)).
//! * An opaque token that its issuer ended less than a minute ago, if it was used since: it is
//!   remembered for so long ([`IntrospectionBuilder::with_cache_lifetime`]).
//! * A service that was called on behalf of a user, and uses the token that it was sent for other
//!   calls: exchange tokens for the one service that is called, and do not forward them.
//! * A proof that is replayed at another replica of the service, unless the replicas share a
//!   [`ReplayStore`].
//! * A principal that may not do what it asks for: that is authorization's to decide.
//! * An issuer that signs wrongly, and an `iss` whose HTTPS discovery an attacker controls.
//! * Requests that a browser sends for another site, where tokens are taken from cookies.
//! * Routes that axum got after `.layer` was called: they are not guarded.
//! * Streams outside a tokio runtime: without one there is no timer that could end them.
//!
//! A [`SharedSecret`] in place of a public key lets everybody who can verify tokens make them as
//! well. It is for issuers that offer nothing else.
//!
//! The token stays in the request, so that a handler may pass it on. Tokens that are remembered
//! are overwritten with zeros when they leave.
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662
//! [RFC 8693]: https://www.rfc-editor.org/rfc/rfc8693
//! [RFC 8705 §3]: https://www.rfc-editor.org/rfc/rfc8705#section-3
//! [RFC 9449 §7]: https://www.rfc-editor.org/rfc/rfc9449#section-7
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `aws-lc-rs` | tokens are verified, and assertions signed, by `aws-lc-rs` in place of `ring`, RS256 in about a quarter less time, since it keeps what it prepares of a key; needs a C compiler |
//! | `axum` | `Claims<T>`, an extractor of typed claims; `CallerToken` as an extractor |
//! | `tonic` | `ClaimsRequest`, the same for tonic requests; why a call has no token, as a `Status` |
//!
//! None is on by default, and none changes how anything is decided.
//!
//! [`Code`]: bartizan_core::Code
//! [`Principal`]: bartizan_core::Principal
//! [`SecurityContext`]: bartizan_core::SecurityContext

#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod authorization_server;
mod base64url;
mod cache;
mod claims;
mod client_key;
mod config;
mod confirmation;
mod credential;
mod crypto;
mod discovery;
mod dpop;
mod ed25519;
mod error;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod extract;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod header;
mod introspection;
mod issuer;
mod json;
mod key;
mod key_set;
mod key_source;
mod layer;
mod metadata;
mod oauth_error;
mod outgoing;
mod recent;
mod revocation;
mod rules;
mod secret;
mod service;
mod step_up;
mod sync;
#[cfg(test)]
mod testing;
mod token;
mod verifier;
mod verify;

pub use bartizan_source::{HttpsFetcher, Roots, Status};

pub use self::algorithm::{Algorithm, AlgorithmSet, UnsupportedAlgorithm};
pub use self::authorization_server::ClientAuthentication;
pub use self::client_key::ClientKey;
pub use self::config::{JwtConfig, JwtConfigBuilder};
pub use self::confirmation::Confirmation;
pub use self::dpop::{
    Dpop, DpopBuilder, MemoryReplayStore, ProofId, Replay, ReplayAnswer, ReplayStore,
};
pub use self::error::{ConfigError, JwtError, JwtErrorKind};
#[cfg(feature = "axum")]
pub use self::extract::Claims;
#[cfg(feature = "tonic")]
pub use self::extract::ClaimsRequest;
pub use self::guard::{JwtGuard, JwtInquiry, JwtPass};
pub use self::introspection::{Introspection, IntrospectionBuilder};
pub use self::issuer::Issuer;
pub use self::key::{KeyProblem, Thumbprint, VerificationKey};
pub use self::key_set::{KeyNotice, KeySet, KeySetError};
pub use self::layer::{Jwt, JwtLayer};
pub use self::metadata::ResourceMetadata;
pub use self::outgoing::{
    CallerToken, Outgoing, OutgoingConfig, OutgoingConfigBuilder, OutgoingError, OutgoingFuture,
    OutgoingLayer, TokenEndpoint, TokenEndpointBuilder, TokenError, TokenErrorKind, TokenRequest,
};
pub use self::revocation::{RevocationList, RevocationListFull, Revocations};
pub use self::rules::{Rules, RulesBuilder};
pub use self::secret::SharedSecret;
pub use self::service::ResourceMetadataService;
pub use self::token::{VerifiedClaims, VerifiedToken};
pub use self::verify::{verify, verify_signature};

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
