//! Which algorithms a ciphertext is made with; the version byte says which.

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm};

/// The algorithms of a ciphertext, all of which follow from its first byte.
///
/// Both are named instantiations of [C2SP chunked encryption]: HKDF-SHA-512 derives a key, a nonce
/// and a commitment per message, AES-GCM seals it in pieces of 16 KiB. Random salts are safe for
/// 2^55 messages of up to 32 MiB under one key.
///
/// [C2SP chunked encryption]: https://c2sp.org/chunked-encryption
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Suite {
    /// HKDF-SHA-512 and AES-128-GCM: half the time of the default for short values.
    Cobblestone128,
    /// HKDF-SHA-512 and AES-256-GCM. The default: what auditors expect of data at rest.
    #[default]
    Cobblestone256,
}

impl Suite {
    /// The first byte of a ciphertext.
    pub const fn version(self) -> u8 {
        match self {
            Self::Cobblestone128 => 2,
            Self::Cobblestone256 => 1,
        }
    }

    pub(crate) const fn from_version(version: u8) -> Option<Self> {
        match version {
            1 => Some(Self::Cobblestone256),
            2 => Some(Self::Cobblestone128),
            _ => None,
        }
    }

    pub(crate) const fn key_length(self) -> usize {
        match self {
            Self::Cobblestone128 => 16,
            Self::Cobblestone256 => 32,
        }
    }

    pub(crate) fn aead(self) -> &'static Algorithm {
        match self {
            Self::Cobblestone128 => &AES_128_GCM,
            Self::Cobblestone256 => &AES_256_GCM,
        }
    }

    /// What the derivation of a message's key begins with: protocol, algorithm, and a zero.
    pub(crate) const fn label(self) -> &'static [u8] {
        match self {
            Self::Cobblestone128 => b"c2sp.org/chunked-encryption@v1+AEAD_AES_128_GCM\0",
            Self::Cobblestone256 => b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0",
        }
    }
}
