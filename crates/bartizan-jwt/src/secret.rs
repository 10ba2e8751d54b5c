//! Secrets that an issuer and this service share.

use std::fmt;

use crate::algorithm::Algorithm;
use crate::error::ConfigError;
use crate::key::VerificationKey;

/// A secret with which an issuer makes its tokens and this service verifies them: `HS256`,
/// `HS384` or `HS512` ([RFC 7518 §3.2]).
///
/// Whoever can verify with it can make tokens too: every service that has it, and whoever reads
/// its configuration. Prefer an issuer with a key of its own.
///
/// A secret serves one algorithm, given here and not by the token, and never one of public keys;
/// a public key never serves as a secret. It is never fetched and never read from a key set. What
/// is kept is what `ring` made of it, which `ring` does not wipe; the bytes are not copied.
///
/// ```
/// use bartizan_jwt::{Algorithm, ConfigError, JwtConfig, KeySet, Rules, SharedSecret};
///
/// # let bytes = [7; 32];
/// let secret = SharedSecret::new(Algorithm::Hs256, &bytes)?.with_key_id("2027-01");
/// let rules = Rules::builder("https://issuer.example", "https://orders.example")
///     .with_algorithms([Algorithm::Hs256])
///     .build()?;
/// let config = JwtConfig::builder(rules).with_keys(KeySet::from_secrets([secret])).build()?;
/// # let _ = config;
///
/// let short = SharedSecret::new(Algorithm::Hs256, b"a password");
/// assert!(matches!(short, Err(ConfigError::SecretTooShort { least: 32, .. })));
/// # Ok::<(), ConfigError>(())
/// ```
///
/// [RFC 7518 §3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
#[derive(Clone)]
pub struct SharedSecret(VerificationKey);

impl SharedSecret {
    /// Checks and takes over a secret: random bytes, not a password. At least as many as the hash
    /// has: 32 for `HS256`, 48 for `HS384`, 64 for `HS512`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NotSymmetric`] for an algorithm of public keys,
    /// [`ConfigError::SecretTooShort`], and [`ConfigError::NoRandomness`] if the system has no
    /// random bytes.
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        VerificationKey::from_secret(algorithm, secret).map(Self)
    }

    /// Gives it the name that tokens call it by, their `kid`: to tell two secrets apart while one
    /// takes the place of the other. A token that names none is tried with each that fits.
    #[must_use]
    pub fn with_key_id(self, key_id: &str) -> Self {
        Self(self.0.with_key_id(key_id))
    }

    pub(crate) fn into_key(self) -> VerificationKey {
        self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret")
            .field("key_id", &self.0.key_id())
            .field("algorithms", &self.0.algorithms())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac;

    use super::*;
    use crate::algorithm::AlgorithmSet;
    use crate::base64url::{decode, encode};
    use crate::key_set::KeySet;
    use crate::verify::verify_signature;

    const SYMMETRIC: [(Algorithm, hmac::Algorithm, usize); 3] = [
        (Algorithm::Hs256, hmac::HMAC_SHA256, 32),
        (Algorithm::Hs384, hmac::HMAC_SHA384, 48),
        (Algorithm::Hs512, hmac::HMAC_SHA512, 64),
    ];

    fn secret() -> Vec<u8> {
        (0..64).collect()
    }

    fn set(algorithm: Algorithm) -> KeySet {
        KeySet::from_secrets([SharedSecret::new(algorithm, &secret()).unwrap()])
    }

    fn token(name: &str, mac: hmac::Algorithm, secret: &[u8]) -> String {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        let signed = [header.as_str(), "{}"].map(|part| encode(part.as_bytes()));
        let signed = signed.join(".");
        let tag = hmac::sign(&hmac::Key::new(mac, secret), signed.as_bytes());
        format!("{signed}.{}", encode(tag.as_ref()))
    }

    #[test]
    fn a_secret_has_as_many_bytes_as_the_hash_or_more() {
        for (algorithm, _, least) in SYMMETRIC {
            for (length, is_long_enough) in
                [(0, false), (least - 1, false), (least, true), (200, true)]
            {
                let made = SharedSecret::new(algorithm, &vec![7; length]);
                assert_eq!(made.is_ok(), is_long_enough, "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn a_secret_serves_no_algorithm_of_public_keys() {
        for algorithm in AlgorithmSet::SIGNATURES.iter() {
            let refused = SharedSecret::new(algorithm, &secret());
            assert!(matches!(refused, Err(ConfigError::NotSymmetric(_))));
        }
    }

    #[test]
    fn a_secret_serves_its_one_algorithm_and_no_other() {
        for (algorithm, _, _) in SYMMETRIC {
            let keys = set(algorithm);
            for (other, mac, _) in SYMMETRIC {
                let token = token(other.name(), mac, &secret());
                let verified = verify_signature(&token, &keys, AlgorithmSet::ALL, 8192);
                assert_eq!(verified.is_ok(), other == algorithm, "{other}");
            }
        }
    }

    #[test]
    fn a_tag_that_is_cut_off_empty_or_of_another_secret_is_refused() {
        for (algorithm, mac, _) in SYMMETRIC {
            let good = token(algorithm.name(), mac, &secret());
            let (signed, tag) = good.rsplit_once('.').unwrap();
            let tag = decode(tag.as_bytes(), 64).unwrap();
            let with = |tag: &[u8]| format!("{signed}.{}", encode(tag));
            let verifies = |token: &str| {
                verify_signature(token, &set(algorithm), AlgorithmSet::ALL, 8192).is_ok()
            };
            assert!(verifies(&good));
            for length in [0, 1, tag.len() / 2, tag.len() - 1] {
                assert!(!verifies(&with(&tag[..length])), "{length}");
            }
            assert!(!verifies(&with(&[&tag[..], &[0]].concat())));
            assert!(!verifies(&token(algorithm.name(), mac, b"")));
            assert!(!verifies(&token(algorithm.name(), mac, &[9; 64])));
        }
    }

    #[test]
    fn the_example_of_rfc_7515_verifies() {
        // Appendix A.1.
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjA\
            zZr1Z9CAow";
        let secret = decode(secret.as_bytes(), 64).unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4\
            MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p\
            1r_wW1gFWFOEjXk";
        let keys = KeySet::from_secrets([SharedSecret::new(Algorithm::Hs256, &secret).unwrap()]);
        assert!(verify_signature(token, &keys, AlgorithmSet::ALL, 8192).is_ok());
    }

    #[test]
    fn nothing_printed_tells_of_the_secret() {
        let bytes = b"correct horse battery staple 123";
        let load = || SharedSecret::new(Algorithm::Hs256, bytes).unwrap();
        let (one, other) = (load(), load());
        // A thumbprint of the secret would let guesses be checked.
        assert_ne!(one.0.thumbprint(), other.0.thumbprint());
        let printed = format!("{one:?} {:?}", KeySet::from_secrets([one.clone()]));
        assert!(!printed.contains("horse") && !printed.contains(&encode(bytes)));
        let short = SharedSecret::new(Algorithm::Hs512, bytes).unwrap_err();
        assert_eq!(
            short.to_string(),
            "the secret has 32 bytes, and HS512 needs 64"
        );
    }
}
