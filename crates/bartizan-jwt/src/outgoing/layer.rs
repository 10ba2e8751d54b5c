//! The layer.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tower_layer::Layer;

use super::caller::CallerToken;
use super::config::{Means, OutgoingConfig};
use super::destination::Destinations;
use super::error::{TokenError, TokenErrorKind};
use super::service::Outgoing;
use super::supply::{Issued, Obtained, Obtaining, Supply, Watch, bearer};

/// A proof of possession is of another request's making.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Gives outgoing calls the token that they need, and no more than that.
///
/// For any client that is a tower service over HTTP: hyper-util's client, a tonic channel. A call
/// without a token is not made: it fails with [`OutgoingError::Token`](crate::OutgoingError),
/// and the inner service is not called.
///
/// # How it decides
///
/// 1. An `Authorization` or `DPoP` field that the call has already is removed, and so is the
///    [`CallerToken`] from its extensions.
/// 2. The call's URI must lead to a destination of the configuration: same scheme, host and port.
///    Put this layer inside of one that follows redirects, so that each is looked at.
/// 3. The caller's token goes on as it is ([`forward`](OutgoingConfig::forward)), unless it is
///    bound to the caller's key or certificate; or it is exchanged
///    ([`exchange`](OutgoingConfig::exchange)), or replaced by one of this service's own
///    ([`client_credentials`](OutgoingConfig::client_credentials)).
/// 4. A token that was obtained is kept until shortly before it ends: at most one of this
///    service's own, and a bounded number of exchanged ones, each under the whole token of its
///    caller. From about four fifths of its lifetime on it is renewed in the background, and used
///    for as long as that fails. Who need the same token at the same time share one request.
/// 5. When the authorization server cannot be reached, or does not know this service, it is asked
///    again after growing waits, and calls that need a token fail at once meanwhile. That one
///    caller's token cannot be exchanged is remembered for ten seconds, and says nothing of
///    others.
/// 6. A response that says `invalid_token` (401, or `UNAUTHENTICATED` in a response without
///    messages) is passed on as it is, and the token is given up: the next call gets another. If
///    that is refused as well, it stays for half a minute. **No call is sent twice**: whether that
///    is safe, and whether its body can be had again, only the caller knows.
///
/// It never writes into a [`SecurityContext`](bartizan_core::SecurityContext).
///
/// # Example
///
/// ```
/// use bartizan_jwt::{OutgoingConfig, OutgoingError, OutgoingLayer, TokenErrorKind};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// # use bartizan_jwt::{CallerToken, JwtConfig, JwtLayer, KeySet, Rules};
/// # use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
/// # use ring::signature::{Ed25519KeyPair, KeyPair};
/// # let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|e| e.to_string())?;
/// # let x = URL_SAFE_NO_PAD.encode(pair.public_key());
/// # let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#);
/// # let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
/// # let header = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"1"}"#;
/// # let payload = format!(
/// #     r#"{{"iss":"https://issuer.example","sub":"alice","aud":"https://orders.example",
/// #     "jti":"1","client_id":"shop","iat":{now},"exp":{}}}"#, now + 300);
/// # let signed = [header, &payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
/// # let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())));
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
///
/// let config = OutgoingConfig::forward().add_destination("https://payments.example").build()?;
/// // In a service: hyper-util's client, or a tonic channel.
/// let payments = OutgoingLayer::new(config).layer(service_fn(async |call: Request<()>| {
///     let mut response = Response::new(String::new());
///     response.headers_mut().extend(call.headers().clone());
///     Ok::<_, std::convert::Infallible>(response)
/// }));
///
/// let handler = service_fn(|request: Request<()>| {
///     let (payments, caller) = (payments.clone(), request.extensions().get().cloned());
///     async move {
///         let mut call = Request::post("https://payments.example/charges").body(()).unwrap();
///         call.extensions_mut().insert::<CallerToken>(caller.expect("allow_forwarding"));
///         payments.oneshot(call).await
///     }
/// });
/// let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
/// let config = JwtConfig::builder(rules).with_keys(KeySet::from_json(&jwks)?).allow_forwarding();
/// let orders = JwtLayer::start(config.build()?)?.layer(handler);
///
/// let request = Request::builder().header("authorization", format!("Bearer {token}")).body(())?;
/// let seen = orders.oneshot(request).await?;
/// assert_eq!(seen.headers()["authorization"], format!("Bearer {token}"));
///
/// // Nobody's call goes nowhere.
/// let call = Request::post("https://payments.example/charges").body(())?;
/// let Err(OutgoingError::Token(error)) = payments.oneshot(call).await else { panic!() };
/// assert_eq!(error.kind(), TokenErrorKind::NoCaller);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it is put in front of a client"]
pub struct OutgoingLayer(Arc<Shared>);

pub(super) struct Shared {
    supply: Option<Arc<Supply>>,
    /// Whether a call needs the token of a caller.
    needs_caller: bool,
    destinations: Destinations,
    watch: Watch,
}

/// A token that was sent and could be given up.
pub(super) struct Sent {
    supply: Arc<Supply>,
    issued: Arc<Issued>,
}

/// A call whose head is ready, or is waited for.
pub(super) enum Prepared {
    Ready(Option<Sent>),
    Waiting(Arc<Supply>, Obtaining),
}

impl OutgoingLayer {
    /// A layer with a cache of its own, which all services that it makes share.
    pub fn new(config: OutgoingConfig) -> Self {
        let OutgoingConfig {
            means,
            destinations,
            watch,
            cached_tokens,
            concurrent_requests,
        } = config;
        let (supply, needs_caller) = match means {
            Means::Forward => (None, true),
            Means::Obtain(plan) => {
                let needs_caller = plan.kind == super::supply::Kind::Exchange;
                let watch = watch.clone();
                let supply = Supply::new(plan, watch, cached_tokens, concurrent_requests);
                (Some(Arc::new(supply)), needs_caller)
            }
        };
        Self(Arc::new(Shared {
            supply,
            needs_caller,
            destinations,
            watch,
        }))
    }

    /// How many tokens are kept.
    pub fn cached_tokens(&self) -> usize {
        self.0.supply.as_ref().map_or(0, |supply| supply.len())
    }
}

impl<S> Layer<S> for OutgoingLayer {
    type Service = Outgoing<S>;

    fn layer(&self, inner: S) -> Outgoing<S> {
        Outgoing::new(inner, Arc::clone(&self.0))
    }
}

impl Shared {
    /// Gives the head of a call its token, or says what to wait for.
    pub(super) fn prepare(&self, parts: &mut Parts) -> Result<Prepared, TokenError> {
        let caller = parts.extensions.remove::<CallerToken>();
        parts.headers.remove(AUTHORIZATION);
        parts.headers.remove(DPOP);
        if !self.destinations.allow(&parts.uri) {
            return Err(TokenError::new(TokenErrorKind::DestinationNotAllowed));
        }
        let caller = match caller {
            _ if !self.needs_caller => None,
            None => return Err(TokenError::new(TokenErrorKind::NoCaller)),
            Some(caller) if caller.has_ended(self.watch.clock.wall()) => {
                return Err(TokenError::new(TokenErrorKind::CallerExpired));
            }
            Some(caller) => Some(caller),
        };
        let subject = caller.as_ref().map(CallerToken::text).unwrap_or_default();
        match (&self.supply, &caller) {
            (None, Some(caller)) if caller.is_bound() => {
                Err(TokenError::new(TokenErrorKind::BoundToken))
            }
            (None, _) => {
                let unfit = |_| TokenError::new(TokenErrorKind::NoCaller);
                present(&mut parts.headers, bearer(subject).map_err(unfit)?);
                Ok(Prepared::Ready(None))
            }
            (Some(supply), _) => match supply.get(subject.as_bytes()) {
                Obtained::Now(issued) => {
                    let sent = Sent::new(supply, issued?);
                    sent.present(&mut parts.headers);
                    Ok(Prepared::Ready(Some(sent)))
                }
                Obtained::Later(obtaining) => Ok(Prepared::Waiting(Arc::clone(supply), obtaining)),
            },
        }
    }
}

impl Sent {
    pub(super) fn new(supply: &Arc<Supply>, issued: Arc<Issued>) -> Self {
        Self {
            supply: Arc::clone(supply),
            issued,
        }
    }

    pub(super) fn present(&self, headers: &mut HeaderMap) {
        present(headers, self.issued.header.clone());
    }

    /// Notes that the token was refused where it was sent.
    pub(super) fn refuse(&self) {
        self.supply.refuse(&self.issued);
    }
}

fn present(headers: &mut HeaderMap, value: HeaderValue) {
    headers.insert(AUTHORIZATION, value);
}

impl fmt::Debug for OutgoingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingLayer")
            .field("supply", &self.supply)
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}
