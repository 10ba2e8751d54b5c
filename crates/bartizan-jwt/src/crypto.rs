//! The one place where this crate meets a crypto library: ring, or aws-lc-rs where feature
//! `aws-lc-rs` is on. Both have the same names for the same things; where they differ is here.

mod rsa;

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs as library;
#[cfg(not(feature = "aws-lc-rs"))]
use ring as library;

pub(crate) use self::library::{digest, hmac, rand, signature};
pub(crate) use self::rsa::RsaKey;

use self::library::agreement;
use self::library::agreement::{ECDH_P256, ECDH_P384, EphemeralPrivateKey, UnparsedPublicKey};

use self::rand::SecureRandom;
use self::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use crate::algorithm::Algorithm;

/// A private key that is ready to sign.
pub(crate) enum SigningPair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl SigningPair {
    /// Reads a key that can sign with `algorithm`.
    pub(crate) fn from_pkcs8(der: &[u8], algorithm: Algorithm) -> Option<Self> {
        let pair = match algorithm {
            Algorithm::EdDsa => {
                // OpenSSL writes no public half; there is none to compare with then.
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
                Self::Ed25519(pair)
            }
            Algorithm::Es256 => {
                Self::Ecdsa(ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, der)?)
            }
            Algorithm::Es384 => {
                Self::Ecdsa(ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, der)?)
            }
            _ if algorithm.is_symmetric() => return None,
            _ => Self::Rsa(RsaKeyPair::from_pkcs8(der).ok()?),
        };
        Some(pair)
    }

    /// The signature in the form of JWS; `None` if the key cannot sign so, or there are no random
    /// bytes.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    _ => return None,
                };
                let mut signature = vec![0; modulus_length(pair)];
                pair.sign(encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

/// Random bytes; `None` if the system has none.
pub(crate) fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether these bytes are an uncompressed point of the curve that the algorithm is on.
///
/// Has the library agree on a secret with it, which fails for anything else. ring offers no other
/// check before a verification, and a failed verification does not say whether key or signature
/// was bad.
pub(crate) fn is_point(algorithm: Algorithm, point: &[u8]) -> bool {
    let curve = match algorithm {
        Algorithm::Es256 => &ECDH_P256,
        Algorithm::Es384 => &ECDH_P384,
        _ => return false,
    };
    let theirs = UnparsedPublicKey::new(curve, point);
    EphemeralPrivateKey::generate(curve, &rand::SystemRandom::new())
        .is_ok_and(|ours| agrees(ours, &theirs))
}

#[cfg(not(feature = "aws-lc-rs"))]
fn agrees(ours: EphemeralPrivateKey, theirs: &UnparsedPublicKey<&[u8]>) -> bool {
    agreement::agree_ephemeral(ours, theirs, |_| ()).is_ok()
}

#[cfg(feature = "aws-lc-rs")]
fn agrees(ours: EphemeralPrivateKey, theirs: &UnparsedPublicKey<&[u8]>) -> bool {
    agreement::agree_ephemeral(ours, theirs, (), |_| Ok(())).is_ok()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm, der: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(algorithm, der, &rand::SystemRandom::new()).ok()
}

#[cfg(feature = "aws-lc-rs")]
fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm, der: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(algorithm, der).ok()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn modulus_length(pair: &RsaKeyPair) -> usize {
    pair.public().modulus_len()
}

#[cfg(feature = "aws-lc-rs")]
fn modulus_length(pair: &RsaKeyPair) -> usize {
    pair.public_modulus_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_the_one_that_was_asked_for() {
        let library = std::any::type_name::<hmac::Key>().split("::").next();
        let expected = if cfg!(feature = "aws-lc-rs") {
            "aws_lc_rs"
        } else {
            "ring"
        };
        assert_eq!(library, Some(expected));
    }

    #[test]
    fn only_what_is_on_the_curve_is_a_point() {
        // The generator of P-256, and the same with another y.
        let mut point = [0; 65];
        let generator = concat!(
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        );
        for (index, byte) in point.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&generator[2 * index..2 * index + 2], 16).unwrap();
        }
        assert!(is_point(Algorithm::Es256, &point));
        assert!(!is_point(Algorithm::Es384, &point));
        assert!(!is_point(Algorithm::EdDsa, &point));
        point[64] ^= 1;
        assert!(!is_point(Algorithm::Es256, &point));
        assert!(!is_point(Algorithm::Es256, &point[..33]));
    }
}
