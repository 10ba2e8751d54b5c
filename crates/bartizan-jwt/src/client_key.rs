//! The private key by which this service proves to an authorization server who it is.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::crypto::SigningPair;
use crate::error::ConfigError;

/// A private key that signs client assertions ([RFC 7523 §2.2]).
///
/// Cloning shares it. `Debug` prints the algorithm and the key's name alone. ring does not wipe
/// the key when it is dropped; what this type reads it from, it does.
///
/// ```
/// use bartizan_jwt::{Algorithm, ClientKey};
///
/// let refused = ClientKey::from_pem("no key", Algorithm::Es256);
/// assert!(refused.is_err());
/// ```
///
/// [RFC 7523 §2.2]: https://www.rfc-editor.org/rfc/rfc7523#section-2.2
#[derive(Clone)]
pub struct ClientKey {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    pair: Arc<SigningPair>,
}

impl ClientKey {
    /// Reads a key from PEM (`BEGIN PRIVATE KEY`), to sign with `algorithm`. An RSA key serves
    /// every RS and PS algorithm, the others only their own.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidClientKey`] if there is no such key in it, or it cannot sign so.
    pub fn from_pem(pem: &str, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let der = unwrap_pem(pem).ok_or(ConfigError::InvalidClientKey(
            "there is no PEM section PRIVATE KEY",
        ))?;
        Self::from_pkcs8_der(&der, algorithm)
    }

    /// Reads a key from DER of PKCS #8, to sign with `algorithm`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidClientKey`] if it cannot be read, or cannot sign so.
    pub fn from_pkcs8_der(der: &[u8], algorithm: Algorithm) -> Result<Self, ConfigError> {
        let pair = SigningPair::from_pkcs8(der, algorithm).ok_or(ConfigError::InvalidClientKey(
            "it cannot be read, or does not suit the algorithm",
        ))?;
        Ok(Self {
            algorithm,
            key_id: None,
            pair: Arc::new(pair),
        })
    }

    /// Sets the name under which the authorization server knows the key, `kid`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: &str) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The signature in the form of JWS; `None` if the system has no random bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.pair.sign(self.algorithm, message)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// The first section `PRIVATE KEY` ([RFC 7468 §10](https://www.rfc-editor.org/rfc/rfc7468#section-10)).
fn unwrap_pem(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
    text.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    STANDARD.decode(&*text).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_key_of_another_kind_or_none_at_all_is_refused() {
        let der = testing::p256_pkcs8();
        assert!(ClientKey::from_pkcs8_der(&der, Algorithm::Es256).is_ok());
        for algorithm in Algorithm::ALL {
            if algorithm != Algorithm::Es256 {
                let refused = ClientKey::from_pkcs8_der(&der, algorithm);
                assert!(
                    matches!(refused, Err(ConfigError::InvalidClientKey(_))),
                    "{algorithm}"
                );
            }
        }
        let text = STANDARD.encode(&der);
        let pem = format!("x\n-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        assert!(ClientKey::from_pem(&pem, Algorithm::Es256).is_ok());
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----",
            &text,
            &pem.replace(&text, "!"),
        ] {
            assert!(ClientKey::from_pem(bad, Algorithm::Es256).is_err());
        }
    }

    #[test]
    fn what_it_signs_verifies_under_its_public_half() {
        let (pair, public) = testing::ed25519_pkcs8();
        let key = ClientKey::from_pkcs8_der(&pair, Algorithm::EdDsa).unwrap();
        let signature = key.sign(b"message").unwrap();
        let verifier = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
        assert!(verifier.verify(b"message", &signature).is_ok());
        assert!(verifier.verify(b"massage", &signature).is_err());
    }
}
