//! What tells one key from another under any name.

use std::fmt;

use crate::base64url;
use crate::crypto::{self, digest};

/// The SHA-256 thumbprint of a public key ([RFC 7638]): the same key has the same one under any
/// name. That of a secret is drawn at random when it is loaded, so that it tells nothing of it.
///
/// [RFC 7638]: https://www.rfc-editor.org/rfc/rfc7638#section-3
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Of what no key signed. No key has it, and so no key set trusts it.
    pub(crate) const NONE: Self = Self([0; 32]);

    /// Under which no other key is: of a secret, of which it is to tell nothing.
    pub(super) fn random() -> Option<Self> {
        crypto::random_bytes().map(Self)
    }

    /// The members are in the order that RFC 7638 §3.2 asks for, and were decoded before, so that
    /// they hold nothing that JSON would escape.
    pub(super) fn of(members: &[(&str, &str)]) -> Self {
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        let document = format!("{{{}}}", members.join(","));
        let mut bytes = [0; 32];
        let hash = digest::digest(&digest::SHA256, document.as_bytes());
        bytes
            .iter_mut()
            .zip(hash.as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}
