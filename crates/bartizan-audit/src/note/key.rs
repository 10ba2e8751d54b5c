//! Keys of notes: Ed25519, by ring.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{is_key_name, put_signature};
use crate::merkle::sha256;

/// The algorithm byte of Ed25519.
const ED25519_ALGORITHM: u8 = 1;

/// A key in its text form, taken apart: the name, the hash, and the Ed25519 public key.
pub(crate) struct PlainKey<'t> {
    pub(crate) name: &'t str,
    pub(crate) hash: u32,
    pub(crate) public: [u8; 32],
}

impl<'t> PlainKey<'t> {
    /// A key of this name and algorithm.
    pub(crate) fn new(name: &'t str, algorithm: u8, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        if is_weak(&public) {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            name,
            hash: key_hash(name, algorithm, &public),
            public,
        })
    }

    /// Reads the text form of a key of this algorithm.
    pub(crate) fn parse(text: &'t str, wanted: u8) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyError::Form);
        };
        let digits = hash.len() == 8 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
        let hash = u32::from_str_radix(hash, 16).map_err(|_| KeyError::Form)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Form)?;
        let (&algorithm, public) = bytes.split_first().ok_or(KeyError::Form)?;
        if !digits {
            return Err(KeyError::Form);
        }
        if algorithm != wanted {
            return Err(KeyError::Algorithm(algorithm));
        }
        let key = Self::new(name, wanted, public.try_into().map_err(|_| KeyError::Form)?)?;
        if key.hash == hash {
            Ok(key)
        } else {
            Err(KeyError::Hash)
        }
    }

    /// Writes the text form.
    pub(crate) fn write(&self, algorithm: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![algorithm];
        bytes.extend(self.public);
        let (name, encoded) = (self.name, STANDARD.encode(bytes));
        write!(f, "{name}+{:08x}+{encoded}", self.hash)
    }
}

/// Whether this is an Ed25519 signature of the message under the key.
pub(crate) fn is_signed(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .is_ok()
}

/// The public half of a key: a name, and what verifies.
///
/// Its text form is `name+hash+base64`, as other tools for notes read and write it.
#[derive(Clone, Eq, PartialEq)]
pub struct VerifierKey {
    name: Box<str>,
    hash: u32,
    public: [u8; 32],
}

impl VerifierKey {
    /// A key of this name.
    ///
    /// # Errors
    ///
    /// If the name is none that a key can have, or the key is one under which one signature fits
    /// many texts.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        PlainKey::new(name, ED25519_ALGORITHM, public).map(Self::of)
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// If it is not of that form, of another algorithm, or its parts do not fit together.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        PlainKey::parse(text, ED25519_ALGORITHM).map(Self::of)
    }

    fn of(key: PlainKey<'_>) -> Self {
        Self {
            name: key.name.into(),
            hash: key.hash,
            public: key.public,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from other keys of the same name.
    #[must_use]
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Whether this is a signature of the text by this key.
    #[must_use]
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        is_signed(&self.public, text, signature)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = PlainKey {
            name: &self.name,
            hash: self.hash,
            public: self.public,
        };
        plain.write(ED25519_ALGORITHM, f)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

//= C2SP signed-note: key ID = SHA-256(key name || 0x0A || signature type || public key)[:4].
fn key_hash(name: &str, algorithm: u8, public: &[u8; 32]) -> u32 {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend([b'\n', algorithm]);
    bytes.extend(public);
    let [a, b, c, d, ..] = sha256(&bytes);
    u32::from_be_bytes([a, b, c, d])
}

/// Points of small order, whichever way they are encoded: a signature under one of them fits many
/// texts. The top bit is the sign, and is left out.
const SMALL_ORDER: [[u8; 32]; 7] = {
    let mut points = [[0; 32]; 7];
    points[1][0] = 1;
    points[2] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    points[3] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ];
    let mut high = [0xff; 32];
    high[31] = 0x7f;
    // p - 1, p and p + 1.
    high[0] = 0xec;
    points[4] = high;
    high[0] = 0xed;
    points[5] = high;
    high[0] = 0xee;
    points[6] = high;
    points
};

fn is_weak(public: &[u8; 32]) -> bool {
    let mut unsigned = *public;
    if let Some(last) = unsigned.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER.contains(&unsigned)
}

/// The private half of a key.
pub(crate) struct SignerKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SignerKey {
    /// The key of this name that follows from a seed; the caller wipes the seed.
    pub(crate) fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Form)?;
        let public = pair.public_key().as_ref();
        let public = public.try_into().map_err(|_| KeyError::Form)?;
        let verifier = VerifierKey::new(name, public)?;
        Ok(Self { pair, verifier })
    }

    pub(crate) fn verifier(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// Signs a text, which ends with a line break, and gives the note.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let mut note = String::with_capacity(text.len() + 200);
        note.push_str(text);
        note.push('\n');
        put_signature(
            &mut note,
            &self.verifier.name,
            self.verifier.hash,
            signature.as_ref(),
        );
        note
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignerKey")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// The algorithm is not the one that is wanted: 1 (Ed25519) of a log, 4 of a witness.
    Algorithm(u8),
    /// It has not the form of a key.
    Form,
    /// The hash is not that of name and key.
    Hash,
    /// The name is empty, or has spaces or plus signs.
    Name,
    /// One signature under this key fits many texts.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm(byte) => write!(
                f,
                "key is of algorithm {byte}, and not of the kind that is wanted"
            ),
            Self::Form => f.write_str("text has not the form of a verifier key"),
            Self::Hash => f.write_str("hash of the key is not that of its name and bytes"),
            Self::Name => f.write_str("name of the key is empty or has spaces or plus signs"),
            Self::Weak => f.write_str("key is a point of small order"),
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_prints() {
        let key = SignerKey::from_seed("log.example/audit", &[1; 32]).unwrap();
        let text = key.verifier().to_string();
        assert_eq!(VerifierKey::parse(&text), Ok(key.verifier()));
        assert!(!format!("{key:?}").contains("seed"));
        let other_name = text.replacen("log", "lag", 1);
        assert_eq!(VerifierKey::parse(&other_name), Err(KeyError::Hash));
        for text in ["", "a", "a+b", "a+00000000+!", "a b+00000000+AQ=="] {
            assert!(VerifierKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn points_of_small_order_are_no_keys() {
        for mut point in SMALL_ORDER {
            assert_eq!(VerifierKey::new("a", point), Err(KeyError::Weak));
            point[31] |= 0x80;
            assert_eq!(VerifierKey::new("a", point), Err(KeyError::Weak));
        }
    }
}
