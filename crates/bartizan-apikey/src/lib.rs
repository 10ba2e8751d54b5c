//! Admits requests that carry an API key: hashed at rest, scoped, and rotated without an outage.
//!
//! Secret scanners recognise these keys, and a mistyped one is told by its checksum. A service keeps
//! nothing of a key but a hash, with its scopes, its end and its successor.
//!
//! [`ApiKeyLayer`] takes the key of a request, holds it against the keys that a file or a database
//! lists, and writes the [`Principal`] and the [`VerifiedKey`] into the request's
//! [`SecurityContext`], where the layers and handlers further in find them. It works unchanged in
//! front of axum, tonic and plain hyper services; a refusal is problem details for HTTP and a
//! trailers-only status for gRPC.
//!
//! # Quick start
//!
//! With keys in a file, which `bartizan apikey create` writes and the service reads again when it
//! changes:
//!
//! ```no_run
//! use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer};
//!
//! # async fn run() -> Result<(), bartizan_apikey::ConfigError> {
//! let config = ApiKeyConfig::builder("orders-keys").with_key_file("/etc/orders/keys.json");
//! let layer = ApiKeyLayer::load(config.build()?).await?;
//! // axum: Router::new().route(...).layer(layer)
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! With a key that is made on the spot, in front of any tower service:
//!
//! ```
//! use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer, KeyFormat, KeyRecord, NewKey, Peppers};
//! use bartizan_core::{Clock, SecurityContext, SystemClock};
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! let key = NewKey::generate(&KeyFormat::live())?;
//! let record = KeyRecord::builder(&key, &Peppers::none(), "reports", SystemClock.wall())
//!     .with_scopes(["orders:read"])
//!     .build()?;
//! let config = ApiKeyConfig::builder("orders-keys").with_keys([record]).build()?;
//! let service = ApiKeyLayer::start(config)?.layer(service_fn(async |request: Request<()>| {
//!     let context = SecurityContext::of(request.extensions());
//!     let subject = context.and_then(|c| c.principal()).map(|p| p.subject().to_owned());
//!     Ok::<_, std::convert::Infallible>(Response::new(subject.unwrap_or_default()))
//! }));
//!
//! let request = |key: &str| Request::builder().header("x-api-key", key).body(());
//! let response = service.clone().oneshot(request(key.expose())?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! // A key that nobody was given.
//! let other = NewKey::generate(&KeyFormat::live())?;
//! let response = service.clone().oneshot(request(other.expose())?).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! assert!(response.headers()["www-authenticate"].to_str()?.starts_with("ApiKey "));
//!
//! // A URL is no place for a key, good or bad.
//! let leaked = Request::builder().uri(format!("/?api_key={}", key.expose())).body(())?;
//! assert_eq!(service.oneshot(leaked).await?.status(), StatusCode::BAD_REQUEST);
//! # Ok(())
//! # }
//! ```
//!
//! # How it decides
//!
//! 1. A key in the URL, in path or query, is refused with 400, whatever else the request carries:
//!    it stands in logs by now. Where it is a key that exists, observers are told which
//!    (`apikey.key_leaked`), so that it can be revoked.
//! 2. Exactly one key: in the field `x-api-key`, or in `Authorization` of the scheme `ApiKey` (in
//!    any case; `Bearer` where that was chosen). gRPC metadata are the same fields. None: 401 with
//!    a bare challenge, unless [`allow_anonymous`](ApiKeyConfigBuilder::allow_anonymous). Two: 400.
//! 3. It has the form of a key ([`KeyFormat`]), its checksum fits, and it is of this product and
//!    environment. What is mistyped or made up ends here, and costs no hash.
//! 4. Its HMAC-SHA256 is the one that is kept of it, compared in constant time. A key that is
//!    unknown is compared all the same, with nothing: it takes as long and is refused in the same
//!    words as a wrong secret.
//! 5. If it is neither, a source is asked once more, for all who wait and at most once per
//!    cool-down; requests whose key is known do not wait for that. If the source cannot be asked in
//!    time, the key may be one that was made a moment ago: 503.
//! 6. The key was not revoked, has begun, has not expired, and was not made for longer than
//!    [allowed](ApiKeyConfigBuilder::require_max_lifetime). Only who has proven to have the key is
//!    told about that.
//! 7. The request comes from one of the key's networks, if it names some; otherwise 403.
//! 8. Then, and only then, principal and key are written down, and the key is taken out of the
//!    request.
//! 9. A response that goes on ends with its key: when it expires, is revoked or removed; within
//!    five seconds of the latter two.
//!
//! A key that does not hold is answered 401 with `error="invalid_key"` (`UNAUTHENTICATED`). A key
//! that cannot be judged is answered 503 with `Retry-After` (`UNAVAILABLE`): never 401, and never a
//! pass. The reason is the [`ApiKeyErrorKind`], and its [`Code`] is what decision events carry.
//!
//! In shadow mode ([`with_enforcement`](ApiKeyConfigBuilder::with_enforcement)) the same decisions
//! are made and recorded, every request passes with its key in it, no response is cut off, and only
//! a key that holds names a principal.
//!
//! # Rotation
//!
//! [`KeyRecord::rotated`] makes a key with the same rights, and lets the old one live for as long
//! as its clients need to change over: both are the same principal, and no request is refused
//! in between. The old one names its successor, and when each was last used is
//! [noted](KeyRecord::last_used), so that it can be seen when nobody needs it any more.
//!
//! # Deployment notes
//!
//! What this layer does not protect against:
//!
//! * A key that was stolen. Whoever has it may use it until it expires or is revoked: give keys an
//!   end, few scopes, and networks where clients have fixed ones. Certificates and tokens that are
//!   bound to them cannot be used by whoever copies them.
//! * Guessing, beyond the 256 bits of a key: limit addresses and charge failures to them, so that
//!   floods cost their senders (`bartizan-ratelimit`).
//! * A flood of made-up keys with good checksums, each of which waits for the store, up to the
//!   patience: bound how many requests there are at once (`bartizan-ratelimit`).
//! * Whoever can write to the store: scopes and ends stand there as they are. With a
//!   [`Pepper`] he cannot make keys, but change what those do that he has.
//! * A key that is revoked while the source is down: it is accepted until the stale limit.
//! * Routes that axum got after `.layer` was called: they are not guarded.
//! * Streams outside a tokio runtime: without one there is no timer that could end them.
//!
//! Keys that are made here are overwritten with zeros when they are dropped. What a client sent is
//! in the host's buffers, which are not ours; `ring` does not wipe what it makes of peppers.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `postgres` | `PostgresKeys`: keys in PostgreSQL, which all instances of a service share |
//!
//! It is off by default.
//!
//! [`Code`]: bartizan_core::Code
//! [`Principal`]: bartizan_core::Principal
//! [`SecurityContext`]: bartizan_core::SecurityContext

#![cfg_attr(docsrs, feature(doc_cfg))]

mod checksum;
mod config;
mod credential;
mod error;
mod file;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod hash;
mod layer;
mod origin;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod source;
mod table;
mod usage;
mod verified;

pub use bartizan_source::Status;

pub use self::config::{ApiKeyConfig, ApiKeyConfigBuilder};
pub use self::error::{ApiKeyError, ApiKeyErrorKind, ConfigError};
pub use self::file::{KeyFile, KeyFileError};
pub use self::format::{KeyFormat, KeyId, KeyIdError, NewKey, NoRandomness};
pub use self::guard::{ApiKeyGuard, ApiKeyInquiry, ApiKeyPass};
pub use self::hash::{KeyHash, KeyHashError, Pepper, Peppers};
pub use self::layer::{ApiKey, ApiKeyLayer};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresKeys, PostgresKeysBuilder};
pub use self::record::{KeyRecord, KeyRecordBuilder, KeyState, RecordError, Rotation};
pub use self::source::{IgnoredKey, KeyAnswer, KeyRead, KeySource, KeySourceError, KeyUse};
pub use self::usage::UsesFile;
pub use self::verified::VerifiedKey;

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
