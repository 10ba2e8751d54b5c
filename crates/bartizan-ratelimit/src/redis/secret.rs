//! What all instances know and nobody else.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use ring::hmac;

use crate::error::ConfigError;
use crate::store::Facts;

/// The least that a secret may hold, in bytes.
const SHORTEST: usize = 32;

/// What all instances of a fleet know and nobody else: subjects are named by hashes under it, so
/// that whoever reads the server's keys learns nothing of who is counted, and whoever chooses his
/// key cannot aim at another's.
///
/// Instances with different secrets do not share what they count.
#[derive(Clone)]
pub struct FleetSecret(hmac::Key);

impl FleetSecret {
    /// Takes at least 32 bytes from a good source of randomness. The hash's expanded key is not
    /// wiped when it is dropped; ring offers no way to.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Store`] if there are fewer.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let bytes = bytes.as_ref();
        if bytes.len() < SHORTEST {
            let found = bytes.len();
            let problem = format!("the fleet secret has {found} bytes, at least {SHORTEST} needed");
            return Err(ConfigError::Store(problem));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The name of a subject: half of a SHA-256 HMAC in hexadecimal.
    pub(super) fn hide(&self, facts: &dyn Facts) -> Arc<str> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut hasher = Hmac(hmac::Context::with_key(&self.0));
        let kind = facts.kind();
        hasher.write_usize(kind.len());
        hasher.write(kind.as_bytes());
        facts.write(&mut hasher);
        let tag = hasher.0.sign();
        let half = tag.as_ref().iter().take(16);
        let digit = |nibble: u8| char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        let name: String = half
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect();
        name.into()
    }
}

/// Takes numbers the same way on every machine.
struct Hmac(hmac::Context);

impl Hasher for Hmac {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // The tag is taken instead.
        0
    }
}

impl fmt::Debug for FleetSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str, &'static [u8]);

    impl Facts for Named {
        fn kind(&self) -> String {
            self.0.to_owned()
        }

        fn write(&self, hasher: &mut dyn Hasher) {
            hasher.write(self.1);
        }

        #[cfg(feature = "envoy")]
        fn entries(&self) -> Vec<(String, String)> {
            Vec::new()
        }
    }

    #[test]
    fn a_subject_has_one_name_in_the_whole_fleet() {
        let secret = |byte| FleetSecret::new([byte; 32]).unwrap();
        let name = secret(1).hide(&Named("subject", b"alice"));
        assert_eq!(name.len(), 32);
        assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(name, secret(1).hide(&Named("subject", b"alice")));
        assert_ne!(name, secret(1).hide(&Named("subject", b"bob")));
        assert_ne!(name, secret(1).hide(&Named("client", b"alice")));
        assert_ne!(name, secret(2).hide(&Named("subject", b"alice")));
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(FleetSecret::new([1; 31]).is_err());
        assert_eq!(
            format!("{:?}", FleetSecret::new([1; 32]).unwrap()),
            "FleetSecret"
        );
    }
}
