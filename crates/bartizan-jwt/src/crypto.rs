//! The one place where this crate meets a crypto library.

pub(crate) use ring::{rand, signature};

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

fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm, der: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(algorithm, der, &rand::SystemRandom::new()).ok()
}

fn modulus_length(pair: &RsaKeyPair) -> usize {
    pair.public().modulus_len()
}
