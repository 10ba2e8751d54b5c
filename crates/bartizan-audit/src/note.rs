//! Signed notes ([C2SP signed-note]): a text, and who signed it.
//!
//! [C2SP signed-note]: https://c2sp.org/signed-note

mod key;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::key::{KeyError, VerifierKey};
pub(crate) use self::key::{PlainKey, SignerKey, is_signed};

/// The longest note that is read, in bytes.
const LONGEST_NOTE: usize = 64 * 1024;

/// How many signatures a note may have. Verifiers must take 16.
const MOST_SIGNATURES: usize = 64;

/// A note whose form is right. Nothing is known of its signatures before
/// [`verified_by`](Self::verified_by) is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note<'n> {
    text: &'n str,
    signatures: Vec<Signature<'n>>,
}

/// One signature of a note.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature<'n> {
    name: &'n str,
    hash: u32,
    bytes: Vec<u8>,
}

impl Signature<'_> {
    /// The name of the key, which anybody can write.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// What tells keys of the same name apart.
    #[must_use]
    pub fn key_hash(&self) -> u32 {
        self.hash
    }

    /// The signature itself, as its algorithm writes it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'n> Note<'n> {
    /// Reads a note.
    ///
    /// # Errors
    ///
    /// If it has not the form of one, is longer than 64 KiB, or has more than 64 signatures.
    pub fn parse(note: &'n [u8]) -> Result<Self, NoteError> {
        if note.len() > LONGEST_NOTE {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Text)?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Text);
        }
        // Texts may have empty lines, so that the last one is where signatures begin.
        let split = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = note.split_at_checked(split + 1).ok_or(NoteError::Form)?;
        let lines = lines.strip_prefix('\n').ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MOST_SIGNATURES {
                return Err(NoteError::TooLong);
            }
            signatures.push(signature(line).ok_or(NoteError::Form)?);
        }
        Ok(Self { text, signatures })
    }

    /// The text, with the line break it ends with.
    #[must_use]
    pub fn text(&self) -> &'n str {
        self.text
    }

    /// The signatures, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[Signature<'n>] {
        &self.signatures
    }

    /// Checks that this key signed the note.
    ///
    /// # Errors
    ///
    /// [`NoteError::Unsigned`] if there is no signature of the key, [`NoteError::BadSignature`] if
    /// there is one that does not verify.
    pub fn verified_by(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let mut found = false;
        for signature in &self.signatures {
            if signature.name == key.name() && signature.hash == key.hash() {
                found = true;
                // A second, bad signature of the same key makes the whole note suspect.
                if !key.verify(self.text.as_bytes(), &signature.bytes) {
                    return Err(NoteError::BadSignature);
                }
            }
        }
        if found {
            Ok(())
        } else {
            Err(NoteError::Unsigned)
        }
    }
}

/// `— name base64(hash || signature)`.
pub(crate) fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    if !is_key_name(name) || encoded.contains(' ') {
        return None;
    }
    let bytes = STANDARD.decode(encoded).ok()?;
    let (hash, bytes) = bytes.split_first_chunk::<4>()?;
    if bytes.is_empty() {
        return None;
    }
    Some(Signature {
        name,
        hash: u32::from_be_bytes(*hash),
        bytes: bytes.to_vec(),
    })
}

//= C2SP signed-note: key names MUST be non-empty, well-formed UTF-8 without spaces and plus.
fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

/// Appends to a note the signature line of this key name.
pub(crate) fn put_signature(out: &mut String, name: &str, hash: u32, bytes: &[u8]) {
    let mut signature = Vec::with_capacity(4 + bytes.len());
    signature.extend(hash.to_be_bytes());
    signature.extend_from_slice(bytes);
    out.push_str("\u{2014} ");
    out.push_str(name);
    out.push(' ');
    STANDARD.encode_string(signature, out);
    out.push('\n');
}

/// Why bytes are no note, or not the one that they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoteError {
    /// A signature of the key does not verify.
    BadSignature,
    /// There is no text, no signature, or a line that is none.
    Form,
    /// It is not UTF-8, or has control characters.
    Text,
    /// It is longer than any that is read.
    TooLong,
    /// The key did not sign it.
    Unsigned,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadSignature => "a signature of the note does not verify",
            Self::Form => "the note is not of the form of a signed note",
            Self::Text => "the note is not utf-8 without control characters",
            Self::TooLong => "the note is longer than allowed",
            Self::Unsigned => "the note is not signed by the key",
        })
    }
}

impl std::error::Error for NoteError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SignerKey {
        SignerKey::from_seed("example.com/log", &[7; 32]).unwrap()
    }

    #[test]
    fn a_signed_note_verifies_under_its_key_alone() {
        let note = key().sign("hello\n\nthere\n");
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(parsed.text(), "hello\n\nthere\n");
        assert_eq!(parsed.verified_by(&key().verifier()), Ok(()));
        let other = SignerKey::from_seed("example.com/log", &[8; 32]).unwrap();
        assert_eq!(
            parsed.verified_by(&other.verifier()),
            Err(NoteError::Unsigned)
        );
        let forged = note.replace("there", "where");
        let forged = Note::parse(forged.as_bytes()).unwrap();
        assert_eq!(
            forged.verified_by(&key().verifier()),
            Err(NoteError::BadSignature)
        );
    }

    #[test]
    fn what_has_not_the_form_is_refused() {
        let good = key().sign("text\n");
        for (bad, expected) in [
            (String::new(), NoteError::Form),
            ("text\n".to_owned(), NoteError::Form),
            (good.trim_end().to_owned(), NoteError::Form),
            (good.replace('\u{2014}', "-"), NoteError::Form),
            (good.replace("example.com", "example com"), NoteError::Form),
            (good.replace("example.com", "example+com"), NoteError::Form),
            (good.replace("text", "te\tt"), NoteError::Text),
            (format!("{good}\n"), NoteError::Form),
        ] {
            assert_eq!(Note::parse(bad.as_bytes()), Err(expected), "{bad:?}");
        }
        assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::Text));
        let long = "x".repeat(LONGEST_NOTE + 1);
        assert_eq!(Note::parse(long.as_bytes()), Err(NoteError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_a_note_or_an_error(text in "[a-z\n\u{2014} +=A]{0,80}") {
            if let Ok(note) = Note::parse(text.as_bytes()) {
                prop_assert!(note.verified_by(&key().verifier()).is_err());
            }
        }
    }
}
