//! An issuer without a server: keys, key set, discovery document and tokens.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_core::{Clock, WallTime};
use serde_json::{Value, json};

use crate::algorithm::SigningAlgorithm;
use crate::error::TestkitError;
use crate::signing_key::SigningKey;
use crate::token::TokenBuilder;

/// What a rotation does with the key that signed until now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a key stays or goes")]
pub enum OldKey {
    /// It stays in the key set, so that tokens it signed stay valid.
    Keep,
    /// It leaves the key set, so that tokens it signed become unverifiable.
    Remove,
}

/// A token issuer's keys and tokens, without a server. Cloning shares the keys.
///
/// One key signs; any number are published. For an issuer that verifiers can reach, see
/// [`TokenIssuer`](crate::TokenIssuer).
///
/// ```
/// use std::time::Duration;
///
/// use bartizan_testkit::{ManualClock, OldKey, SigningAlgorithm, TokenMint};
///
/// let clock = ManualClock::default();
/// let mint = TokenMint::new("https://issuer.example", SigningAlgorithm::Es256, clock.clone())?;
/// let good = mint.token().subject("alice").audience("orders").scope("orders:read");
/// let token = good.sign()?;
/// assert_eq!(token.split('.').count(), 3);
///
/// let expired = good.clone().expired_since(Duration::from_secs(1)).sign()?;
/// let forged = good.sign_hs256_with_public_key();
/// # let _ = (expired, forged);
///
/// mint.rotate(OldKey::Remove)?;
/// assert_eq!(mint.jwks()["keys"].as_array().map(Vec::len), Some(1));
/// # Ok::<(), bartizan_testkit::TestkitError>(())
/// ```
#[derive(Clone)]
pub struct TokenMint(Arc<State>);

struct State {
    issuer: String,
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
    keys_made: AtomicU64,
    tokens_begun: AtomicU64,
}

struct Keys {
    signing: SigningKey,
    // Published beside the signing key, oldest first.
    others: Vec<SigningKey>,
    // Published as they are, behind all others.
    raw: Vec<Value>,
    withdrawn: bool,
}

impl TokenMint {
    /// A mint with one new key, whose `kid` is `key-1`.
    ///
    /// `issuer` is the value of `iss`, a URL without a trailing slash.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Random`] if the system has no random bytes.
    pub fn new(
        issuer: impl Into<String>,
        algorithm: SigningAlgorithm,
        clock: impl Clock,
    ) -> Result<Self, TestkitError> {
        let key = SigningKey::generate(algorithm, "key-1")?;
        Ok(Self::with_key(issuer, key, Arc::new(clock)))
    }

    /// A mint that signs with a given key.
    pub fn with_key(issuer: impl Into<String>, key: SigningKey, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(State {
            issuer: issuer.into(),
            clock,
            keys: Mutex::new(Keys {
                signing: key,
                others: Vec::new(),
                raw: Vec::new(),
                withdrawn: false,
            }),
            keys_made: AtomicU64::new(1),
            tokens_begun: AtomicU64::new(0),
        }))
    }

    /// Publishes one more key, which does not sign.
    pub fn publish(&self, key: SigningKey) {
        self.keys().others.push(key);
    }

    /// Publishes any JSON value as one more key: a symmetric key, one for encryption, a point that
    /// is not on its curve.
    pub fn publish_jwk(&self, jwk: Value) {
        self.keys().raw.push(jwk);
    }

    /// Signs with a new key of the same algorithm from now on, and returns it. Its `kid` is
    /// `key-2` after the first rotation, and so on.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Random`] if the system has no random bytes.
    pub fn rotate(&self, old: OldKey) -> Result<SigningKey, TestkitError> {
        let number = self.0.keys_made.fetch_add(1, Ordering::Relaxed) + 1;
        let key = SigningKey::generate(self.signing_key().algorithm(), format!("key-{number}"))?;
        self.rotate_to(key.clone(), old);
        Ok(key)
    }

    /// Signs with the given key from now on.
    pub fn rotate_to(&self, key: SigningKey, old: OldKey) {
        let mut keys = self.keys();
        let previous = std::mem::replace(&mut keys.signing, key);
        let was_published = !std::mem::take(&mut keys.withdrawn);
        if old == OldKey::Keep && was_published {
            keys.others.push(previous);
        }
    }

    /// Takes every key with this `kid` out of the key set. The signing key goes on signing, as
    /// after a compromise that was noticed by the set's owner alone.
    pub fn withdraw(&self, kid: &str) {
        let mut keys = self.keys();
        keys.others.retain(|key| key.kid() != kid);
        if keys.signing.kid() == kid {
            keys.withdrawn = true;
        }
    }

    /// Describes a token, at the clock's present time, to be signed by the signing key.
    pub fn token(&self) -> TokenBuilder {
        let number = self.0.tokens_begun.fetch_add(1, Ordering::Relaxed) + 1;
        let now = self.0.clock.wall();
        TokenBuilder::new(
            &self.0.issuer,
            self.signing_key(),
            now,
            format!("token-{number}"),
        )
    }

    /// The issuer's URL, the value of `iss`.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The key that signs.
    pub fn signing_key(&self) -> SigningKey {
        self.keys().signing.clone()
    }

    /// The keys in the key set: oldest first, the signing key last.
    pub fn published_keys(&self) -> Vec<SigningKey> {
        let keys = self.keys();
        let signing = (!keys.withdrawn).then(|| keys.signing.clone());
        keys.others.iter().cloned().chain(signing).collect()
    }

    /// The key set (RFC 7517 §5): [`published_keys`](Self::published_keys), then the values of
    /// [`publish_jwk`](Self::publish_jwk).
    pub fn jwks(&self) -> Value {
        let keys = self.published_keys();
        let keys = keys.iter().map(SigningKey::public_jwk);
        json!({ "keys": keys.chain(self.keys().raw.iter().cloned()).collect::<Vec<_>>() })
    }

    /// Where the key set is published: `{issuer}/jwks.json`.
    pub fn jwks_uri(&self) -> String {
        format!("{}/jwks.json", self.0.issuer)
    }

    /// The metadata that serves both as OpenID Provider Configuration (OpenID Connect Discovery
    /// 1.0 §3) and as authorization server metadata (RFC 8414 §2).
    pub fn discovery(&self) -> Value {
        let issuer = &self.0.issuer;
        let mut algorithms: Vec<&str> = self
            .published_keys()
            .iter()
            .map(|key| key.algorithm().name())
            .collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        json!({
            "issuer": issuer,
            "jwks_uri": self.jwks_uri(),
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "introspection_endpoint": format!("{issuer}/introspect"),
            "response_types_supported": ["code"],
            "grant_types_supported": [
                "authorization_code",
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid"],
            "id_token_signing_alg_values_supported": algorithms,
            "code_challenge_methods_supported": ["S256"],
            "tls_client_certificate_bound_access_tokens": true,
        })
    }

    pub(crate) fn now(&self) -> WallTime {
        self.0.clock.wall()
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        // No code panics while it holds the lock.
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMint")
            .field("issuer", &self.0.issuer)
            .field("published_keys", &self.published_keys())
            .finish_non_exhaustive()
    }
}
