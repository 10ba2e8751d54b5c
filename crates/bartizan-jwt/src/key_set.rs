//! A set of keys as an issuer publishes it ([RFC 7517 §5]).
//!
//! [RFC 7517 §5]: https://www.rfc-editor.org/rfc/rfc7517#section-5

use std::fmt;

use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::json;
use crate::key::{KeyProblem, Purpose, Thumbprint, VerificationKey};
use crate::secret::SharedSecret;

/// How many keys of a set are loaded.
///
/// Issuers publish two to ten. The bound keeps a hostile or broken set from costing memory.
const MAX_KEYS: usize = 100;

/// How many keys are tried for one token, where more than one fits.
///
/// More than one fits where an issuer gave two keys the same name, or a token names none. Each
/// costs a signature verification, so that a forged token must not be able to ask for many.
const MAX_CANDIDATES: usize = 4;

/// The members of a key that only its owner may have.
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The keys of one issuer.
///
/// One bad key never spoils the set: it is left out, and [`notices`](Self::notices) says so.
///
/// ```
/// use bartizan_jwt::{KeyProblem, KeySet};
///
/// let keys = KeySet::from_json(r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}]}"#)?;
/// assert!(keys.is_empty());
/// assert_eq!(keys.notices()[0].problem(), KeyProblem::Symmetric);
/// # Ok::<(), bartizan_jwt::KeySetError>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct KeySet {
    // Sorted by name, those without one first.
    keys: Box<[VerificationKey]>,
    notices: Box<[KeyNotice]>,
}

/// A remark about one key of a set, for logs and health pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyNotice {
    index: usize,
    key_id: Option<Box<str>>,
    problem: KeyProblem,
}

/// A document that is no key set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The document is not JSON, or breaks the rules that this crate holds JSON to.
    #[error("the key set is not strict JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The document has no list named `keys`.
    #[error("the key set has no list of keys")]
    NoList,
}

impl KeySet {
    /// Reads a key set.
    ///
    /// The first 100 keys are loaded. What is not a key fit to verify is left out, so that the
    /// result may be empty.
    ///
    /// # Errors
    ///
    /// If the document as a whole is not a key set: not JSON, a member twice, nested deeper than
    /// 16, or without a list `keys`.
    pub fn from_json(document: &str) -> Result<Self, KeySetError> {
        Self::read(document, Purpose::Signature)
    }

    /// Reads the bundle of a SPIFFE trust domain, of which the keys for JWT-SVIDs are loaded
    /// ([SPIFFE Trust Domain and Bundle §4]).
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json).
    ///
    /// [SPIFFE Trust Domain and Bundle §4]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md#4-spiffe-bundle-format
    pub fn from_spiffe_bundle(document: &str) -> Result<Self, KeySetError> {
        Self::read(document, Purpose::Svid)
    }

    pub(crate) fn read(document: &str, purpose: Purpose) -> Result<Self, KeySetError> {
        let document =
            json::read_tree(document).map_err(|error| KeySetError::Json(error.into()))?;
        let Value::Object(mut members) = document else {
            return Err(KeySetError::NoList);
        };
        let Some(Value::Array(list)) = members.remove("keys") else {
            return Err(KeySetError::NoList);
        };
        Ok(Self::from_list(list, purpose))
    }

    /// Takes over a key set that was read with `jsonwebtoken`, holding it to the same rules.
    ///
    /// # Errors
    ///
    /// If it cannot be written as JSON, which does not happen with what `jsonwebtoken` has read.
    pub fn from_jwk_set(set: &jsonwebtoken::jwk::JwkSet) -> Result<Self, KeySetError> {
        let keys = set
            .keys
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<Vec<_>, _>>();
        keys.map(|list| Self::from_list(list, Purpose::Signature))
            .map_err(|error| KeySetError::Json(error.into()))
    }

    /// The secrets that an issuer and this service share, for `HS256` and the like.
    ///
    /// Rules have to name the algorithm ([`RulesBuilder::with_algorithms`]). There is no other way
    /// for a secret to get into a set: what was published or lies in a file of keys never is one.
    ///
    /// [`RulesBuilder::with_algorithms`]: crate::RulesBuilder::with_algorithms
    pub fn from_secrets(secrets: impl IntoIterator<Item = SharedSecret>) -> Self {
        let keys = secrets.into_iter().map(SharedSecret::into_key).collect();
        Self::sorted(keys, Vec::new())
    }

    fn from_list(list: Vec<Value>, purpose: Purpose) -> Self {
        let (mut keys, mut notices) = (Vec::new(), Vec::new());
        for (index, entry) in list.into_iter().enumerate() {
            let Value::Object(mut entry) = entry else {
                notices.push(KeyNotice {
                    index,
                    key_id: None,
                    problem: KeyProblem::Malformed,
                });
                continue;
            };
            let key_id = entry.get("kid").and_then(Value::as_str).map(Box::from);
            if keys.len() >= MAX_KEYS || notices.len() >= MAX_KEYS {
                notices.push(KeyNotice {
                    index,
                    key_id,
                    problem: KeyProblem::OverLimit,
                });
                break;
            }
            let is_private = remove_private_members(&mut entry);
            let problem = match VerificationKey::load(entry, purpose) {
                Ok(key) => {
                    keys.push(key);
                    is_private.then_some(KeyProblem::PrivatePublished)
                }
                Err(problem) => Some(problem),
            };
            notices.extend(problem.map(|problem| KeyNotice {
                index,
                key_id,
                problem,
            }));
        }
        Self::sorted(keys, notices)
    }

    fn sorted(mut keys: Vec<VerificationKey>, notices: Vec<KeyNotice>) -> Self {
        keys.sort_by(|one, other| one.key_id().cmp(&other.key_id()));
        Self {
            keys: keys.into(),
            notices: notices.into(),
        }
    }

    /// The keys that may verify tokens.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// What was remarkable about keys of the document: those left out, and why.
    pub fn notices(&self) -> &[KeyNotice] {
        &self.notices
    }

    /// Whether there is no key, so that no token can pass.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether some key can serve one of these algorithms.
    pub(crate) fn has_key_for(&self, algorithms: AlgorithmSet) -> bool {
        self.keys
            .iter()
            .any(|key| !key.algorithms().intersection(algorithms).is_empty())
    }

    /// Whether a key with this thumbprint is in the set; for whoever remembers that a token was
    /// verified, and has to know whether its key still counts.
    pub fn trusts(&self, thumbprint: Thumbprint) -> bool {
        self.keys.iter().any(|key| key.thumbprint() == thumbprint)
    }

    /// The keys to try for a token.
    pub(crate) fn candidates(&self, key_id: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        match key_id {
            Some(_) => {
                let start = self.keys.partition_point(|key| key.key_id() < key_id);
                let named = self.keys.get(start..).unwrap_or_default();
                let end = named.partition_point(|key| key.key_id() == key_id);
                Candidates::Named(named.get(..end.min(MAX_CANDIDATES)).unwrap_or_default())
            }
            None => {
                let fitting = |key: &&VerificationKey| key.algorithms().contains(algorithm);
                let count = self
                    .keys
                    .iter()
                    .filter(fitting)
                    .take(MAX_CANDIDATES + 1)
                    .count();
                let keys = if count > MAX_CANDIDATES {
                    &[]
                } else {
                    &*self.keys
                };
                Candidates::Unnamed(keys)
            }
        }
    }
}

/// The keys to try for a token: those of its name, or, if it names none, those of the whole set,
/// of which at most four fit the algorithm.
#[derive(Clone, Copy)]
pub(crate) enum Candidates<'k> {
    Named(&'k [VerificationKey]),
    Unnamed(&'k [VerificationKey]),
}

fn remove_private_members(entry: &mut Map<String, Value>) -> bool {
    let before = entry.len();
    entry.retain(|name, _| !PRIVATE_MEMBERS.contains(&name.as_str()));
    entry.len() < before
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.keys)
            .field("notices", &self.notices)
            .finish()
    }
}

impl KeyNotice {
    /// The place of the key in the document, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The name of the key, if it has one.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What is remarkable about it.
    pub fn problem(&self) -> KeyProblem {
        self.problem
    }
}

impl fmt::Display for KeyNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name is quoted and escaped: it may hold line breaks.
        write!(
            f,
            "key {} ({:?}): {}",
            self.index, self.key_id, self.problem
        )
    }
}

#[cfg(test)]
mod tests;
