//! A sealed value as it is stored: version, key id, body; as bytes and as text.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::cobblestone::LEAST;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::suite::Suite;

/// What the text form of every ciphertext begins with.
pub const TEXT_PREFIX: &str = "fe1.";

const HEADER: usize = 1 + KeyId::LENGTH;

/// Names one data key, for good: ids are random and never used again.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId([u8; Self::LENGTH]);

impl KeyId {
    /// How many bytes an id has.
    pub const LENGTH: usize = 8;

    /// The id of these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = EncryptError;

    /// Reads what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, EncryptError> {
        let id = u64::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes()));
        id.ok()
            .filter(|id| id.to_string() == text)
            .ok_or(EncryptErrorKind::MalformedCiphertext.into())
    }
}

/// A sealed value, parsed but not opened.
///
/// Its bytes are `version (1) | key id (8) | C2SP chunked-encryption body`; its text is `fe1.` and
/// the base64url of the bytes without padding. Either form is made for storing: a column of text
/// takes `to_string()`, a binary one [`as_bytes`](Self::as_bytes). Serialising gives the text
/// for formats that people read, and the bytes for others.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Ciphertext {
    bytes: Box<[u8]>,
    suite: Suite,
    key: KeyId,
}

impl Ciphertext {
    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// If these bytes cannot be a ciphertext, or are of a version that is not known.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Result<Self, EncryptError> {
        let bytes = bytes.into();
        let malformed = EncryptErrorKind::MalformedCiphertext;
        let (version, rest) = bytes.split_first().ok_or(malformed)?;
        let suite = Suite::from_version(*version).ok_or(EncryptErrorKind::UnsupportedVersion)?;
        let (key, body) = rest.split_first_chunk().ok_or(malformed)?;
        if body.len() < LEAST {
            return Err(malformed.into());
        }
        let key = KeyId(*key);
        Ok(Self { bytes, suite, key })
    }

    /// The binary form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which key sealed it, as it says itself.
    pub fn key_id(&self) -> KeyId {
        self.key
    }

    /// Which algorithms sealed it.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether a text claims to be a ciphertext, by its prefix.
    pub fn is_claimed_by(text: &str) -> bool {
        text.starts_with(TEXT_PREFIX)
    }

    /// Appends the text form.
    pub(crate) fn append_text(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(TEXT_PREFIX.as_bytes());
        let begin = out.len();
        let length = base64::encoded_len(self.bytes.len(), false).unwrap_or_default();
        out.resize(begin + length, 0);
        // The room is of exactly this length.
        let place = out.get_mut(begin..).unwrap_or_default();
        let _written = URL_SAFE_NO_PAD.encode_slice(&self.bytes, place);
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The bytes in front of the body.
    pub(crate) fn header(suite: Suite, key: KeyId) -> [u8; HEADER] {
        let mut header = [suite.version(); HEADER];
        if let Some(place) = header.last_chunk_mut() {
            *place = key.0;
        }
        header
    }
}

impl fmt::Display for Ciphertext {
    /// The text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TEXT_PREFIX)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.bytes))
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ciphertext")
            .field("suite", &self.suite)
            .field("key", &self.key)
            .field("length", &self.bytes.len())
            .finish()
    }
}

impl FromStr for Ciphertext {
    type Err = EncryptError;

    /// Reads the text form; base64url in its one canonical spelling.
    fn from_str(text: &str) -> Result<Self, EncryptError> {
        let encoded = text.strip_prefix(TEXT_PREFIX);
        let bytes = encoded.and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
        Self::from_bytes(bytes.ok_or(EncryptErrorKind::MalformedCiphertext)?)
    }
}

impl Serialize for Ciphertext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.bytes)
        }
    }
}

impl<'de> Deserialize<'de> for Ciphertext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Form)
        } else {
            deserializer.deserialize_bytes(Form)
        }
    }
}

/// Reads either form. Errors never quote what was read: it may be plaintext.
struct Form;

impl Visitor<'_> for Form {
    type Value = Ciphertext;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ciphertext")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ciphertext, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Ciphertext, E> {
        Ciphertext::from_bytes(bytes).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> Vec<u8> {
        let header = Ciphertext::header(Suite::Cobblestone256, KeyId(*b"\0key-id\xff"));
        [header.as_slice(), &[5; LEAST]].concat()
    }

    #[test]
    fn both_forms_read_what_they_write() {
        let ciphertext = Ciphertext::from_bytes(bytes()).expect("well formed");
        assert_eq!(ciphertext.as_bytes(), bytes());
        assert_eq!(ciphertext.key_id().to_string(), "006b65792d6964ff");
        assert_eq!(
            "006b65792d6964ff".parse::<KeyId>().ok(),
            Some(ciphertext.key_id())
        );
        let text = ciphertext.to_string();
        assert!(text.starts_with("fe1.AQ") && Ciphertext::is_claimed_by(&text));
        assert_eq!(text.parse::<Ciphertext>().ok(), Some(ciphertext.clone()));
        let json = serde_json::to_string(&ciphertext).expect("a text");
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(
            serde_json::from_str::<Ciphertext>(&json).ok(),
            Some(ciphertext)
        );
    }

    #[test]
    fn what_is_no_ciphertext_is_refused() {
        let kind = |bytes: &[u8]| Ciphertext::from_bytes(bytes).map_err(|e| e.kind());
        let malformed = Err(EncryptErrorKind::MalformedCiphertext);
        assert_eq!(kind(&[]), malformed);
        assert_eq!(kind(&bytes()[..8]), malformed);
        assert_eq!(kind(&bytes()[..bytes().len() - 1]), malformed);
        let mut other = bytes();
        other[0] = 3;
        assert_eq!(kind(&other), Err(EncryptErrorKind::UnsupportedVersion));
        let text = Ciphertext::from_bytes(bytes())
            .expect("well formed")
            .to_string();
        for text in [
            &text[4..],
            &text[..60],
            &format!("{text}="),
            &format!("{text} "),
            "fe1.",
        ] {
            assert!(text.parse::<Ciphertext>().is_err(), "{text}");
        }
        for id in ["", "6b65792d6964ff", "006B65792d6964ff", "+06b65792d6964ff"] {
            assert!(id.parse::<KeyId>().is_err(), "{id}");
        }
    }

    #[test]
    fn an_error_does_not_quote_what_was_read() {
        let error = serde_json::from_str::<Ciphertext>("\"078-05-1120\"").expect_err("plaintext");
        assert!(!error.to_string().contains("078"), "{error}");
        let error = serde_json::from_str::<Ciphertext>("7805").expect_err("a number");
        assert!(error.to_string().contains("a ciphertext"), "{error}");
    }

    proptest! {
        #[test]
        fn a_text_that_parses_is_the_one_spelling(text in "fe1\\.[A-Za-z0-9_-]{100,140}|.{0,200}") {
            if let Ok(ciphertext) = text.parse::<Ciphertext>() {
                prop_assert_eq!(ciphertext.to_string(), text);
            }
        }
    }
}
