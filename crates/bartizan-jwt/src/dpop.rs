//! Proof of possession with each request: DPoP ([RFC 9449]).
//!
//! [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449

mod nonce;
mod proof;
mod replay;
mod target;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::WallTime;

use self::nonce::{NonceState, Nonces};
use self::proof::Proof;
use self::target::Target;
use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::error::{ConfigError, JwtError, JwtErrorKind};
use crate::issuer;
use crate::rules::within;

pub use self::replay::{MemoryReplayStore, ProofId, Replay, ReplayAnswer, ReplayStore};

/// How old a proof may be. It is made for the one request that it comes with, so that this is
/// the time a request may be under way, and the difference of the clocks.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);

/// How far in the future a proof may have been made: RFC 9449 §11.1 asks to forgive seconds.
const SKEW: Duration = Duration::from_secs(5);

/// How proofs of possession are checked ([RFC 9449 §4.3]).
///
/// | setting | default | reason |
/// |---|---|---|
/// | age of a proof | 60 s, and 5 s in the future | a proof is made for one request |
/// | replay store | in memory, 100000 proofs, 1000 of one key | each proof counts once |
/// | nonce | not asked for | it costs each client one more round trip |
///
/// ```
/// use bartizan_jwt::{Dpop, JwtConfig, Rules};
///
/// let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
/// let dpop = Dpop::builder("https://orders.example").build()?;
/// let config = JwtConfig::builder(rules).with_dpop(dpop).build()?;
/// # let _ = config;
/// assert!(Dpop::builder("http://orders.example").build().is_err());
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
///
/// [RFC 9449 §4.3]: https://www.rfc-editor.org/rfc/rfc9449#section-4.3
#[derive(Clone, Debug)]
pub struct Dpop {
    origins: Box<[Target]>,
    algorithms: AlgorithmSet,
    max_age: Duration,
    nonces: Option<Nonces>,
    store: Arc<dyn ReplayStore>,
}

/// Describes a [`Dpop`]; made by [`Dpop::builder`].
#[derive(Clone)]
#[must_use = "call build to get the setting"]
pub struct DpopBuilder {
    origins: Vec<String>,
    algorithms: AlgorithmSet,
    max_age: Duration,
    nonces: NonceChoice,
    store: Option<Arc<dyn ReplayStore>>,
}

#[derive(Clone)]
enum NonceChoice {
    None,
    OwnKey,
    Key([u8; 32]),
}

/// The request that a proof has to be made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProvenRequest<'r> {
    pub(crate) method: &'r str,
    /// As it was received, without query.
    pub(crate) path: &'r str,
    pub(crate) token: &'r [u8],
    /// The thumbprint of the key that the token is bound to.
    pub(crate) key: [u8; 32],
}

/// A proof that holds, if it is the first time that it is seen.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) id: ProofId,
    /// A nonce for the next request, where the one of this is about to end.
    pub(crate) next_nonce: Option<String>,
}

impl Dpop {
    /// Begins the description of how proofs for a service at `origin` are checked: scheme, host
    /// and port as clients know it, such as `https://orders.example`. It is configured, and not
    /// taken from `Host`, because that is the client's to write.
    pub fn builder(origin: &str) -> DpopBuilder {
        DpopBuilder {
            origins: vec![origin.to_owned()],
            algorithms: AlgorithmSet::SIGNATURES,
            max_age: DEFAULT_MAX_AGE,
            nonces: NonceChoice::None,
            store: None,
        }
    }

    /// Checks a proof by itself, all but whether it was seen before: for services that verify the
    /// token by other means, such as an opaque one. `path` is that of the request as it was
    /// received, and `key` the thumbprint that the token is bound to.
    ///
    /// Whoever calls it must keep the [`ProofId`] and refuse it the second time.
    ///
    /// # Errors
    ///
    /// [`JwtErrorKind::ProofInvalid`] or [`JwtErrorKind::NonceRequired`].
    pub fn check_proof(
        &self,
        proof: &str,
        method: &str,
        path: &str,
        token: &str,
        key: [u8; 32],
        now: WallTime,
    ) -> Result<ProofId, JwtError> {
        let request = ProvenRequest {
            method,
            path,
            token: token.as_bytes(),
            key,
        };
        let checked = self.check(proof.as_bytes(), &request, now)?;
        Ok(checked.id)
    }

    /// The algorithms that a proof may be signed with, as a challenge names them.
    pub(crate) fn algorithm_names(&self) -> String {
        let names = Algorithm::ALL
            .into_iter()
            .filter(|algorithm| self.algorithms.contains(*algorithm))
            .map(Algorithm::name);
        names.collect::<Vec<_>>().join(" ")
    }

    /// A nonce for a client that has none that counts.
    pub(crate) fn nonce(&self, now: WallTime) -> Option<String> {
        self.nonces.as_ref().map(|nonces| nonces.make(now))
    }

    /// Checks a proof, but for whether it was seen before. From cheap to dear; the signature
    /// comes last.
    pub(crate) fn check(
        &self,
        proof: &[u8],
        request: &ProvenRequest<'_>,
        now: WallTime,
    ) -> Result<Checked, JwtError> {
        let proof = Proof::parse(proof, self.algorithms)?;
        let invalid = |what| Err(JwtError::proof(what));
        let claims = &proof.claims;
        if claims.method != request.method {
            return invalid("htm is another method");
        }
        let target = Target::parse(&claims.target);
        if target.is_none_or(|target| !self.is_target(&target, request.path)) {
            return invalid("htu is another resource");
        }
        if claims.token_hash != proof::hash_of(request.token) {
            return invalid("ath is of another token");
        }
        let made = WallTime::from_unix_seconds(claims.issued_at);
        if made > now + SKEW || now.saturating_since(made) > self.max_age {
            return invalid("iat is too far from now");
        }
        let next_nonce = match (&self.nonces, &claims.nonce) {
            (None, _) => None,
            (Some(_), None) => return Err(JwtError::new(JwtErrorKind::NonceRequired)),
            (Some(nonces), Some(nonce)) => match nonces.state(nonce, now) {
                NonceState::Young => None,
                NonceState::Old => Some(nonces.make(now)),
                NonceState::Unknown => return Err(JwtError::new(JwtErrorKind::NonceRequired)),
            },
        };
        //= RFC 9449 §7.1: verify that the public key to which the access token is bound matches
        //= the public key from the DPoP proof.
        if *proof.key.thumbprint().as_bytes() != request.key {
            return invalid("the key is not the token's");
        }
        if !proof.verifies() {
            return invalid("the signature does not verify");
        }
        let keep_until = now + self.max_age + SKEW + Duration::from_secs(1);
        Ok(Checked {
            id: ProofId::new(request.key, &claims.id, keep_until),
            next_nonce,
        })
    }

    /// Asks whether a proof is seen for the first time, and remembers it.
    pub(crate) fn record(&self, id: &ProofId, now: WallTime) -> ReplayAnswer {
        self.store.record(id, now)
    }

    fn is_target(&self, stated: &Target, path: &str) -> bool {
        let path = target::normal_path(path);
        self.origins
            .iter()
            .any(|origin| origin.is_origin_of(stated) && stated.path() == path)
    }
}

impl DpopBuilder {
    /// Accepts proofs for another name of the service as well.
    pub fn add_origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.to_owned());
        self
    }

    /// Replaces the algorithms that a proof may be signed with; by default every one of public
    /// keys.
    pub fn with_algorithms(mut self, algorithms: impl Into<AlgorithmSet>) -> Self {
        self.algorithms = algorithms.into();
        self
    }

    /// Replaces how old a proof may be: 1 s to 300 s.
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Replaces where proofs are remembered, such as to share it among the replicas of a service.
    pub fn with_replay_store(mut self, store: Arc<dyn ReplayStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Asks clients to put a nonce of this service into their proofs ([RFC 9449 §9]), which then
    /// cannot be made in advance. The nonce is a time under a random key of this process.
    ///
    /// [RFC 9449 §9]: https://www.rfc-editor.org/rfc/rfc9449#section-9
    pub fn require_nonce(mut self) -> Self {
        self.nonces = NonceChoice::OwnKey;
        self
    }

    /// As [`require_nonce`](Self::require_nonce), with a key that all replicas of a service share.
    pub fn require_nonce_with_key(mut self, key: [u8; 32]) -> Self {
        self.nonces = NonceChoice::Key(key);
        self
    }

    /// Checks the setting.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first value that cannot work.
    pub fn build(self) -> Result<Dpop, ConfigError> {
        if self.algorithms.is_empty() {
            return Err(ConfigError::NoAlgorithm);
        }
        //= RFC 9449 §4.2: alg [...] MUST NOT be none or an identifier for a symmetric algorithm.
        if self.algorithms.intersection(AlgorithmSet::SYMMETRIC) != AlgorithmSet::from([]) {
            return Err(ConfigError::SymmetricProof);
        }
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(300));
        within("age of a proof", self.max_age, least, most)?;
        let origins = self.origins.iter().map(|origin| {
            let problem = issuer::check(origin).unwrap_or("is not an origin");
            Target::parse(origin)
                .filter(|target| issuer::check(origin).is_none() && target.path() == "/")
                .ok_or_else(|| ConfigError::InvalidOrigin {
                    origin: origin.clone(),
                    problem,
                })
        });
        Ok(Dpop {
            origins: origins.collect::<Result<_, _>>()?,
            algorithms: self.algorithms,
            max_age: self.max_age,
            nonces: match self.nonces {
                NonceChoice::None => None,
                NonceChoice::OwnKey => Some(Nonces::random()?),
                NonceChoice::Key(key) => Some(Nonces::with_key(&key)),
            },
            store: self
                .store
                .unwrap_or_else(|| Arc::new(MemoryReplayStore::default())),
        })
    }
}

impl fmt::Debug for DpopBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopBuilder")
            .field("origins", &self.origins)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
