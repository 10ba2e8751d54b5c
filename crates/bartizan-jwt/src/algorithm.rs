//! The algorithms of signatures and MACs that exist for this crate.

use std::fmt;

use crate::crypto::signature::{RsaParameters, VerificationAlgorithm};
use crate::crypto::{hmac, signature};

/// An algorithm of signatures or MACs ([RFC 7518 §3.1], [RFC 8037 §3.1], [RFC 9864 §2.2]).
///
/// The list is closed. `none` is not on it and cannot be named. The symmetric algorithms (`HS256`
/// and the like) are not allowed unless they are named, and serve with a
/// [`SharedSecret`](crate::SharedSecret) alone, so that a public key can never be taken for a
/// secret.
///
/// [RFC 7518 §3.1]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
/// [RFC 8037 §3.1]: https://www.rfc-editor.org/rfc/rfc8037#section-3.1
/// [RFC 9864 §2.2]: https://www.rfc-editor.org/rfc/rfc9864#section-2.2
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519, written `EdDSA` or `Ed25519`.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

/// How an algorithm is verified: RSA keys come as two numbers, the others as one byte string.
pub(crate) enum Primitive {
    Mac(hmac::Algorithm),
    Rsa(&'static RsaParameters),
    Whole(&'static dyn VerificationAlgorithm),
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// The algorithm of this name, which is case-sensitive ([RFC 7515 §4.1.1]).
    ///
    /// [RFC 7515 §4.1.1]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.1
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            _ => return None,
        })
    }

    /// Its name in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// Whether who verifies could sign as well.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    pub(crate) fn primitive(self) -> Primitive {
        match self {
            Self::EdDsa => Primitive::Whole(&signature::ED25519),
            Self::Es256 => Primitive::Whole(&signature::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Primitive::Whole(&signature::ECDSA_P384_SHA384_FIXED),
            Self::Hs256 => Primitive::Mac(hmac::HMAC_SHA256),
            Self::Hs384 => Primitive::Mac(hmac::HMAC_SHA384),
            Self::Hs512 => Primitive::Mac(hmac::HMAC_SHA512),
            Self::Ps256 => Primitive::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Primitive::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Primitive::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Rs256 => Primitive::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Primitive::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Primitive::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<jsonwebtoken::Algorithm> for Algorithm {
    type Error = UnsupportedAlgorithm;

    fn try_from(algorithm: jsonwebtoken::Algorithm) -> Result<Self, UnsupportedAlgorithm> {
        use jsonwebtoken::Algorithm as Theirs;
        Ok(match algorithm {
            Theirs::EdDSA => Self::EdDsa,
            Theirs::ES256 => Self::Es256,
            Theirs::ES384 => Self::Es384,
            Theirs::HS256 => Self::Hs256,
            Theirs::HS384 => Self::Hs384,
            Theirs::HS512 => Self::Hs512,
            Theirs::PS256 => Self::Ps256,
            Theirs::PS384 => Self::Ps384,
            Theirs::PS512 => Self::Ps512,
            Theirs::RS256 => Self::Rs256,
            Theirs::RS384 => Self::Rs384,
            Theirs::RS512 => Self::Rs512,
            _ => return Err(UnsupportedAlgorithm),
        })
    }
}

/// The algorithm is one that this crate does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a supported algorithm")]
pub struct UnsupportedAlgorithm;

/// A set of algorithms.
///
/// ```
/// use bartizan_jwt::{Algorithm, AlgorithmSet};
///
/// let allowed = AlgorithmSet::from([Algorithm::Es256, Algorithm::EdDsa]);
/// assert!(allowed.contains(Algorithm::Es256));
/// assert!(!allowed.contains(Algorithm::Rs256));
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// Every algorithm of [`Algorithm`].
    pub const ALL: Self = Self((1 << Algorithm::ALL.len()) - 1);

    /// Those of public keys: all but the symmetric ones.
    pub const SIGNATURES: Self = Self(Self::ALL.0 & !Self::SYMMETRIC.0);

    /// Those of shared secrets.
    pub(crate) const SYMMETRIC: Self =
        Self(Algorithm::Hs256.bit() | Algorithm::Hs384.bit() | Algorithm::Hs512.bit());

    /// Those that an RSA key can serve.
    pub(crate) const RSA: Self = Self(
        Algorithm::Ps256.bit()
            | Algorithm::Ps384.bit()
            | Algorithm::Ps512.bit()
            | Algorithm::Rs256.bit()
            | Algorithm::Rs384.bit()
            | Algorithm::Rs512.bit(),
    );

    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn one(algorithm: Algorithm) -> Self {
        Self(algorithm.bit())
    }

    /// Whether `algorithm` is in the set.
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Whether the set has no member, and so allows nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(move |algorithm| self.contains(*algorithm))
    }
}

impl<const N: usize> From<[Algorithm; N]> for AlgorithmSet {
    fn from(algorithms: [Algorithm; N]) -> Self {
        algorithms.into_iter().collect()
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(
            algorithms
                .into_iter()
                .fold(0, |bits, algorithm| bits | algorithm.bit()),
        )
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_nothing_else_is_an_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        for name in [
            "none", "None", "nOnE", "", "HS1", "hs256", "rs256", "RS256 ", "ES512", "ES256K",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn the_full_set_holds_each_and_the_empty_set_none() {
        assert_eq!(
            Algorithm::ALL.into_iter().collect::<AlgorithmSet>(),
            AlgorithmSet::ALL
        );
        assert_eq!(AlgorithmSet::ALL.iter().count(), Algorithm::ALL.len());
        assert!(AlgorithmSet::from([]).is_empty());
        let twice = AlgorithmSet::from([Algorithm::Es256, Algorithm::Es256]);
        assert_eq!(twice, AlgorithmSet::from([Algorithm::Es256]));
    }

    #[test]
    fn symmetric_algorithms_are_set_apart() {
        for algorithm in Algorithm::ALL {
            let is_symmetric = algorithm.name().starts_with("HS");
            assert_eq!(algorithm.is_symmetric(), is_symmetric);
            assert_eq!(AlgorithmSet::SYMMETRIC.contains(algorithm), is_symmetric);
            assert_eq!(AlgorithmSet::SIGNATURES.contains(algorithm), !is_symmetric);
        }
    }

    #[test]
    fn those_of_jsonwebtoken_are_the_same_by_name() {
        for ours in Algorithm::ALL {
            let theirs: jsonwebtoken::Algorithm = ours.name().parse().unwrap();
            assert_eq!(Algorithm::try_from(theirs), Ok(ours));
        }
    }
}
