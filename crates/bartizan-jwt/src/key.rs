//! One verification key, checked when it is loaded and prepared once.

mod parts;
mod thumbprint;

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, AlgorithmSet, Primitive};
use crate::base64url;
use crate::crypto::signature::UnparsedPublicKey;
use crate::crypto::{RsaKey, hmac};
use crate::ed25519;
use crate::error::ConfigError;
use crate::header::MAX_KEY_ID;
use crate::key::parts::{load_point, load_rsa, may_verify};

pub use self::thumbprint::Thumbprint;

/// A key of an issuer that was found fit to verify signatures: a public key, or a
/// [`SharedSecret`](crate::SharedSecret).
///
/// The key says which algorithms it may be used with: by its type and curve, and by `alg` where
/// the issuer wrote one. What the token's header says only has to agree.
#[derive(Clone)]
pub struct VerificationKey {
    key_id: Option<Box<str>>,
    algorithms: AlgorithmSet,
    material: Material,
    thumbprint: Thumbprint,
}

#[derive(Clone)]
enum Material {
    Rsa(RsaKey),
    /// Boxed, since aws-lc-rs's is large.
    Secret(Box<hmac::Key>),
    /// An uncompressed point, or an Ed25519 public key.
    Whole(Box<[u8]>),
}

/// What is wrong, or only odd, with a key of a set.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyProblem {
    /// `alg` names an algorithm that is unknown here, or does not suit the key.
    AlgorithmUnsuitable,
    /// `kid` is longer than 256 bytes, or not a string.
    InvalidKeyId,
    /// A member is missing, not of its type, or not canonical base64url.
    Malformed,
    /// The set has more keys than are loaded; this one and those after it are ignored.
    OverLimit,
    /// An elliptic-curve point that is not on its curve, or an Ed25519 key that is none, of the
    /// wrong length or not in canonical form.
    PointInvalid,
    /// The issuer published the private half. The key is used, by its public half alone; the
    /// issuer should replace it at once.
    PrivatePublished,
    /// The RSA exponent is even, below 3 or above 2^33 - 1.
    RsaExponent,
    /// The RSA modulus is shorter than 2048 or longer than 8192 bits, or even.
    RsaModulus,
    /// The Ed25519 key is of small order: signatures under it are worth nothing.
    SmallOrder,
    /// A symmetric key, which nobody may publish.
    Symmetric,
    /// A key type or curve that is not supported.
    Unsupported,
    /// `use` or `key_ops` reserve the key for something other than verifying.
    WrongUse,
}

impl VerificationKey {
    /// Loads a key of a published set, if it is published for this purpose.
    pub(crate) fn load(members: Map<String, Value>, purpose: Purpose) -> Result<Self, KeyProblem> {
        Self::load_with(members, purpose, PointCheck::Now)
    }

    /// A secret for one algorithm, which is symmetric.
    pub(crate) fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        let Primitive::Mac(mac) = algorithm.primitive() else {
            return Err(ConfigError::NotSymmetric(algorithm));
        };
        //= RFC 7518 §3.2: a key of the same size as the hash output (for instance, 256 bits for
        //= "HS256") or larger MUST be used with this algorithm.
        let least = mac.digest_algorithm().output_len();
        if secret.len() < least {
            return Err(ConfigError::SecretTooShort {
                algorithm,
                length: secret.len(),
                least,
            });
        }
        let thumbprint = Thumbprint::random().ok_or(ConfigError::NoRandomness)?;
        Ok(Self {
            key_id: None,
            algorithms: AlgorithmSet::one(algorithm),
            material: Material::Secret(Box::new(hmac::Key::new(mac, secret))),
            thumbprint,
        })
    }

    pub(crate) fn with_key_id(mut self, key_id: &str) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Loads a key that is used for one verification, which finds out whether its point is on the
    /// curve: checking that beforehand would cost as much again.
    pub(crate) fn load_unproven(members: Map<String, Value>) -> Result<Self, KeyProblem> {
        Self::load_with(members, Purpose::Signature, PointCheck::WhenUsed)
    }

    fn load_with(
        members: Map<String, Value>,
        purpose: Purpose,
        check: PointCheck,
    ) -> Result<Self, KeyProblem> {
        if members.get("kty").and_then(Value::as_str) == Some("oct") {
            return Err(KeyProblem::Symmetric);
        }
        let declared = match members.get("alg") {
            None => AlgorithmSet::ALL,
            Some(name) => {
                let algorithm = name.as_str().and_then(Algorithm::from_name);
                AlgorithmSet::one(algorithm.ok_or(KeyProblem::AlgorithmUnsuitable)?)
            }
        };
        if members
            .get("kid")
            .is_some_and(|id| id.as_str().is_none_or(|id| id.len() > MAX_KEY_ID))
        {
            return Err(KeyProblem::InvalidKeyId);
        }
        let jwk: Jwk =
            serde_json::from_value(Value::Object(members)).map_err(|_| KeyProblem::Malformed)?;
        if !may_verify(&jwk, purpose) {
            return Err(KeyProblem::WrongUse);
        }
        Self::load_jwk(&jwk, declared, check)
    }

    fn load_jwk(jwk: &Jwk, declared: AlgorithmSet, check: PointCheck) -> Result<Self, KeyProblem> {
        let (material, suitable, thumbprint) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let key = load_rsa(&rsa.n, &rsa.e)?;
                let canonical = [("e", &*rsa.e), ("kty", "RSA"), ("n", &*rsa.n)];
                (
                    Material::Rsa(key),
                    AlgorithmSet::RSA,
                    Thumbprint::of(&canonical),
                )
            }
            AlgorithmParameters::EllipticCurve(ec) => {
                let (name, algorithm) = match ec.curve {
                    EllipticCurve::P256 => ("P-256", Algorithm::Es256),
                    EllipticCurve::P384 => ("P-384", Algorithm::Es384),
                    _ => return Err(KeyProblem::Unsupported),
                };
                let point = load_point(algorithm, &ec.x, &ec.y, check)?;
                let canonical = [("crv", name), ("kty", "EC"), ("x", &*ec.x), ("y", &*ec.y)];
                let set = AlgorithmSet::one(algorithm);
                (Material::Whole(point), set, Thumbprint::of(&canonical))
            }
            AlgorithmParameters::OctetKeyPair(okp) => {
                if okp.curve != EllipticCurve::Ed25519 {
                    return Err(KeyProblem::Unsupported);
                }
                let key = base64url::decode(okp.x.as_bytes(), 32).ok_or(KeyProblem::Malformed)?;
                ed25519::check_public_key(&key, check)?;
                let canonical = [("crv", "Ed25519"), ("kty", "OKP"), ("x", &*okp.x)];
                let set = AlgorithmSet::one(Algorithm::EdDsa);
                (Material::Whole(key.into()), set, Thumbprint::of(&canonical))
            }
            _ => return Err(KeyProblem::Unsupported),
        };
        let algorithms = declared.intersection(suitable);
        if algorithms.is_empty() {
            return Err(KeyProblem::AlgorithmUnsuitable);
        }
        let key_id = jwk.common.key_id.as_deref().map(Box::from);
        Ok(Self {
            key_id,
            algorithms,
            material,
            thumbprint,
        })
    }

    /// The name that the issuer gave it, `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The algorithms that it may be used with.
    pub fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Its thumbprint.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Whether `signature` over `message` is this key's under `algorithm`, which must be one of
    /// [`algorithms`](Self::algorithms).
    ///
    /// The bare primitive, for signatures that are not those of a token and for checking this
    /// crate against test vectors. [`verify`](crate::verify) is what authenticates.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.algorithms.contains(algorithm) {
            return false;
        }
        match (&self.material, algorithm.primitive()) {
            (Material::Rsa(key), Primitive::Rsa(parameters)) => {
                key.verifies(algorithm, parameters, message, signature)
            }
            (Material::Secret(key), Primitive::Mac(_)) => {
                hmac::verify(key, message, signature).is_ok()
            }
            (Material::Whole(bytes), Primitive::Whole(parameters)) => {
                UnparsedPublicKey::new(parameters, bytes)
                    .verify(message, signature)
                    .is_ok()
            }
            _ => false,
        }
    }
}

/// What a key has to be published for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Tokens of an OAuth issuer: `use` is `sig`, or is not said.
    Signature,
    /// JWT-SVIDs: `use` is `jwt-svid`.
    Svid,
}

/// When a point is checked for being on its curve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PointCheck {
    Now,
    WhenUsed,
}

/// Two are equal if they are the same key under the same name, for the same algorithms.
impl PartialEq for VerificationKey {
    fn eq(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint
            && self.key_id == other.key_id
            && self.algorithms == other.algorithms
    }
}

impl Eq for VerificationKey {}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("key_id", &self.key_id)
            .field("algorithms", &self.algorithms)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

impl KeyProblem {
    /// Whether the key is used in spite of it.
    pub fn is_usable(self) -> bool {
        self == Self::PrivatePublished
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlgorithmUnsuitable => "alg is unknown or does not suit the key",
            Self::InvalidKeyId => "kid is not a string of at most 256 bytes",
            Self::Malformed => "a member is missing or malformed",
            Self::OverLimit => "more keys than are loaded",
            Self::PointInvalid => "not a point of the curve in its one form",
            Self::PrivatePublished => "the private half is published",
            Self::RsaExponent => "RSA exponent even, below 3 or above 2^33 - 1",
            Self::RsaModulus => "RSA modulus even, or not of 2048 to 8192 bits",
            Self::SmallOrder => "Ed25519 key of small order",
            Self::Symmetric => "a symmetric key",
            Self::Unsupported => "key type or curve not supported",
            Self::WrongUse => "reserved for something other than verifying",
        })
    }
}
