//! Private keys of certificates.

use std::fmt;
use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::TestkitError;
use crate::rsa::RsaKey;

/// The kind of key that a certificate is made for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// ECDSA on P-256 with SHA-256: the default, because every SPIFFE implementation takes it.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
}

/// The private key of a certificate or of a CA. Cloning shares it; `Debug` shows its kind alone.
///
/// Keys of the test kit are not wiped from memory: they protect nothing.
#[derive(Clone)]
pub struct PrivateKey(Arc<KeyPair>);

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if the system has no random bytes.
    pub fn generate(kind: KeyKind) -> Result<Self, TestkitError> {
        let algorithm = match kind {
            KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
            KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        };
        Ok(Self(Arc::new(KeyPair::generate_for(algorithm)?)))
    }

    /// Uses an RSA key, which signs certificates with PKCS#1 v1.5 and SHA-256.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] for sizes that ring does not load.
    pub fn from_rsa(key: &RsaKey) -> Result<Self, TestkitError> {
        let pkcs8 = PrivatePkcs8KeyDer::from(key.private_key_pkcs8_der());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_RSA_SHA256)?;
        Ok(Self(Arc::new(pair)))
    }

    /// The key as DER of PKCS#8.
    pub fn pkcs8_der(&self) -> &[u8] {
        self.0.serialized_der()
    }

    /// The key as PEM of PKCS#8 (`BEGIN PRIVATE KEY`).
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The public half as DER of a SubjectPublicKeyInfo.
    pub fn public_key_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// The key as rustls takes it.
    pub fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8_der().to_vec()))
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("algorithm", &self.0.algorithm())
            .finish_non_exhaustive()
    }
}
