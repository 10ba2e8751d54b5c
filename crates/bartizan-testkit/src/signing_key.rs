//! Keys that sign tokens.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{rsa, signature};
use serde_json::{Value, json};

use crate::algorithm::SigningAlgorithm;
use crate::der;
use crate::error::TestkitError;
use crate::rsa::RsaKey;

/// AlgorithmIdentifiers of RFC 5480 §2.1.1 (id-ecPublicKey with its curve) and RFC 8410 §3.
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// A key that signs tokens, with its `kid` and its algorithm. Cloning shares it.
///
/// Signing goes straight to ring; no process-wide provider is touched. `Debug` shows the public
/// facts alone.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    algorithm: SigningAlgorithm,
    material: Arc<Material>,
}

enum Material {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    // `pair` is absent for sizes that ring does not load.
    Rsa {
        key: RsaKey,
        pair: Option<rsa::KeyPair>,
    },
}

impl SigningKey {
    /// Makes a new key for `algorithm`; RSA keys have 2048 bits.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Random`] if the system has no random bytes.
    pub fn generate(
        algorithm: SigningAlgorithm,
        kid: impl Into<String>,
    ) -> Result<Self, TestkitError> {
        let random = SystemRandom::new();
        let material = match algorithm {
            SigningAlgorithm::EdDsa => {
                let document = Ed25519KeyPair::generate_pkcs8(&random)?;
                Material::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref())?)
            }
            SigningAlgorithm::Es256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random)?,
            SigningAlgorithm::Es384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &random)?,
            _ => return Self::from_rsa(&RsaKey::generate(2_048)?, algorithm, kid),
        };
        Ok(Self {
            kid: kid.into(),
            algorithm,
            material: Arc::new(material),
        })
    }

    /// Uses an RSA key, which several tests can share. Keys too small for ring sign RS256 alone.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Key`] if `algorithm` is not one of RSA.
    pub fn from_rsa(
        key: &RsaKey,
        algorithm: SigningAlgorithm,
        kid: impl Into<String>,
    ) -> Result<Self, TestkitError> {
        if algorithm.rsa_encoding().is_none() {
            return Err(TestkitError::key(format!(
                "{} with an RSA key",
                algorithm.name()
            )));
        }
        let pair = rsa::KeyPair::from_pkcs8(&key.private_key_pkcs8_der()).ok();
        let material = Arc::new(Material::Rsa {
            key: key.clone(),
            pair,
        });
        Ok(Self {
            kid: kid.into(),
            algorithm,
            material,
        })
    }

    /// Reads an ECDSA or Ed25519 key from DER of PKCS #8, which something else signs with as well.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Key`] if ring cannot read it, or `algorithm` is one of RSA.
    pub fn from_pkcs8_der(
        der: &[u8],
        algorithm: SigningAlgorithm,
        kid: impl Into<String>,
    ) -> Result<Self, TestkitError> {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der, &random);
        let material = match algorithm {
            SigningAlgorithm::EdDsa => Material::Ed25519(Ed25519KeyPair::from_pkcs8(der)?),
            SigningAlgorithm::Es256 => {
                Material::Ecdsa(ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?)
            }
            SigningAlgorithm::Es384 => {
                Material::Ecdsa(ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?)
            }
            _ => return Err(TestkitError::key("an RSA key is made by from_rsa")),
        };
        Ok(Self {
            kid: kid.into(),
            algorithm,
            material: Arc::new(material),
        })
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn with_kid(&self, kid: impl Into<String>) -> Self {
        Self {
            kid: kid.into(),
            ..self.clone()
        }
    }

    /// The key's identifier in header and key set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that the key was made for.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The public key as a JWK with `kid`, `use` and `alg` (RFC 7517 §4).
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.bare_public_jwk();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), json!(self.kid));
            members.insert("use".to_owned(), json!("sig"));
            members.insert("alg".to_owned(), json!(self.algorithm.name()));
        }
        jwk
    }

    /// The public key as a JWK with nothing but the members of the key itself, as an embedded
    /// `jwk` has them and a thumbprint (RFC 7638) counts them.
    pub fn bare_public_jwk(&self) -> Value {
        match &*self.material {
            Material::Ecdsa(pair) => {
                // X9.62 uncompressed: 04, then x and y of equal length.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Material::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) })
            }
            Material::Rsa { key, .. } => {
                json!({ "kty": "RSA", "n": encode(key.modulus()), "e": encode(key.exponent()) })
            }
        }
    }

    /// The public key as DER of a SubjectPublicKeyInfo.
    pub fn public_key_der(&self) -> Vec<u8> {
        match &*self.material {
            Material::Ecdsa(pair) => {
                let key = pair.public_key().as_ref();
                der::public_key_info(if key.len() == 65 { P256 } else { P384 }, key)
            }
            Material::Ed25519(pair) => der::public_key_info(ED25519, pair.public_key().as_ref()),
            Material::Rsa { key, .. } => key.public_key_der(),
        }
    }

    /// The public key as PEM (`BEGIN PUBLIC KEY`).
    pub fn public_key_pem(&self) -> String {
        der::pem("PUBLIC KEY", &self.public_key_der())
    }

    /// Whether `signature` over `message` is this key's, with its own algorithm.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (verification, key): (&dyn VerificationAlgorithm, _) =
            match (&*self.material, self.algorithm) {
                (Material::Ecdsa(pair), SigningAlgorithm::Es384) => {
                    let key = pair.public_key().as_ref().to_vec();
                    (&signature::ECDSA_P384_SHA384_FIXED, key)
                }
                (Material::Ecdsa(pair), _) => {
                    let key = pair.public_key().as_ref().to_vec();
                    (&signature::ECDSA_P256_SHA256_FIXED, key)
                }
                (Material::Ed25519(pair), _) => {
                    (&signature::ED25519, pair.public_key().as_ref().to_vec())
                }
                (Material::Rsa { key, .. }, algorithm) => (
                    match algorithm {
                        SigningAlgorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                        SigningAlgorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                        SigningAlgorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                        SigningAlgorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                        SigningAlgorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                        _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                    },
                    key.public_key_pkcs1_der(),
                ),
            };
        UnparsedPublicKey::new(verification, key)
            .verify(message, signature)
            .is_ok()
    }

    /// Signs `message` with the key's own algorithm, in the form JWS wants: fixed length for
    /// ECDSA (RFC 7518 §3.4).
    ///
    /// # Errors
    ///
    /// [`TestkitError::Random`] if the system has no random bytes, [`TestkitError::Key`] for an
    /// RSA key too small for ring with another algorithm than RS256.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TestkitError> {
        self.sign_as(self.algorithm, message)
    }

    /// Signs with another algorithm that the key can serve: an RSA key every RS and PS one, the
    /// others only their own.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign), and [`TestkitError::Key`] if the key cannot serve `algorithm`.
    pub fn sign_as(
        &self,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TestkitError> {
        let random = SystemRandom::new();
        let unfit = || {
            let (kid, own) = (&self.kid, self.algorithm.name());
            TestkitError::key(format!("{} with key {kid} of {own}", algorithm.name()))
        };
        match &*self.material {
            Material::Ecdsa(pair) if algorithm == self.algorithm => {
                Ok(pair.sign(&random, message)?.as_ref().to_vec())
            }
            Material::Ed25519(pair) if algorithm == self.algorithm => {
                Ok(pair.sign(message).as_ref().to_vec())
            }
            Material::Ecdsa(_) | Material::Ed25519(_) => Err(unfit()),
            Material::Rsa {
                pair: Some(pair), ..
            } => {
                let encoding = algorithm.rsa_encoding().ok_or_else(unfit)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Material::Rsa { key, pair: None } if algorithm == SigningAlgorithm::Rs256 => {
                Ok(key.sign_pkcs1_sha256(message))
            }
            Material::Rsa { pair: None, .. } => Err(unfit()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn ecdsa(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    random: &SystemRandom,
) -> Result<Material, TestkitError> {
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, random)?;
    Ok(Material::Ecdsa(EcdsaKeyPair::from_pkcs8(
        algorithm,
        document.as_ref(),
        random,
    )?))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(algorithm: SigningAlgorithm, verification: &'static dyn VerificationAlgorithm) {
        let key = SigningKey::generate(algorithm, "k").unwrap();
        let raw = match &*key.material {
            Material::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Material::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Material::Rsa { key, .. } => key.public_key_pkcs1_der(),
        };
        assert!(key.public_key_der().ends_with(&raw), "{algorithm:?}");
        let signature = key.sign(b"message").unwrap();
        let public = UnparsedPublicKey::new(verification, raw);
        public.verify(b"message", &signature).unwrap();
        assert!(
            public.verify(b"massage", &signature).is_err(),
            "{algorithm:?}"
        );
    }

    #[test]
    fn every_kind_of_key_signs_in_jws_form() {
        check(SigningAlgorithm::EdDsa, &signature::ED25519);
        check(SigningAlgorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED);
        check(SigningAlgorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED);
    }

    #[test]
    fn an_rsa_key_serves_every_rsa_algorithm_and_no_other() {
        let rsa = RsaKey::generate(2_048).unwrap();
        let key = SigningKey::from_rsa(&rsa, SigningAlgorithm::Rs256, "k").unwrap();
        let check = |algorithm, verification: &'static dyn VerificationAlgorithm| {
            let sealed = key.sign_as(algorithm, b"message").unwrap();
            UnparsedPublicKey::new(verification, rsa.public_key_pkcs1_der())
                .verify(b"message", &sealed)
                .unwrap();
        };
        check(
            SigningAlgorithm::Rs256,
            &signature::RSA_PKCS1_2048_8192_SHA256,
        );
        check(
            SigningAlgorithm::Rs384,
            &signature::RSA_PKCS1_2048_8192_SHA384,
        );
        check(
            SigningAlgorithm::Rs512,
            &signature::RSA_PKCS1_2048_8192_SHA512,
        );
        check(
            SigningAlgorithm::Ps256,
            &signature::RSA_PSS_2048_8192_SHA256,
        );
        check(
            SigningAlgorithm::Ps384,
            &signature::RSA_PSS_2048_8192_SHA384,
        );
        check(
            SigningAlgorithm::Ps512,
            &signature::RSA_PSS_2048_8192_SHA512,
        );
        let unfit = key.sign_as(SigningAlgorithm::Es256, b"message");
        assert!(matches!(unfit, Err(TestkitError::Key { .. })));
        let unfit = SigningKey::from_rsa(&rsa, SigningAlgorithm::EdDsa, "k");
        assert!(matches!(unfit, Err(TestkitError::Key { .. })));
    }

    #[test]
    fn a_small_rsa_key_signs_rs256_alone() {
        let rsa = RsaKey::generate(1_024).unwrap();
        let key = SigningKey::from_rsa(&rsa, SigningAlgorithm::Rs256, "k").unwrap();
        assert_eq!(key.sign(b"message").unwrap().len(), 128);
        assert!(key.sign_as(SigningAlgorithm::Ps256, b"message").is_err());
    }

    #[test]
    fn debug_shows_public_facts_alone() {
        let key = SigningKey::generate(SigningAlgorithm::EdDsa, "k1").unwrap();
        assert_eq!(
            format!("{key:?}"),
            "SigningKey { kid: \"k1\", algorithm: EdDsa, .. }"
        );
    }
}
