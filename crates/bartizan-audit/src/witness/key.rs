//! Keys of witnesses, and what they sign ([C2SP tlog-cosignature]).
//!
//! [C2SP tlog-cosignature]: https://c2sp.org/tlog-cosignature

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::note::{KeyError, Note, PlainKey, Signature, is_signed, put_signature};

/// The algorithm byte of timestamped Ed25519 cosignatures.
const COSIGNATURE: u8 = 4;

/// The public half of a witness's key: a name, and what verifies.
///
/// Its text form is `name+hash+base64` with algorithm 4, which tells it from the key of a log.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct CosignerKey {
    name: Box<str>,
    hash: u32,
    public: [u8; 32],
}

impl CosignerKey {
    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// If it is not of that form, of another algorithm, or its parts do not fit together.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        PlainKey::parse(text, COSIGNATURE).map(|key| Self::of(&key))
    }

    fn of(key: &PlainKey<'_>) -> Self {
        Self {
            name: key.name.into(),
            hash: key.hash,
            public: key.public,
        }
    }

    /// The name of the witness.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from other keys of the same name.
    #[must_use]
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// When this witness cosigned the note, in seconds since 1970-01-01T00:00:00Z, by its own
    /// clock; the latest time if it did so more than once. `None` if it did not, or if something
    /// that claims to be its signature is none.
    #[must_use]
    pub fn cosigned(&self, note: &Note<'_>) -> Option<u64> {
        let mut latest = None;
        for signature in note.signatures() {
            if signature.name() == &*self.name && signature.key_hash() == self.hash {
                latest = latest.max(Some(self.verify(note.text(), signature)?));
            }
        }
        latest
    }

    fn verify(&self, text: &str, signature: &Signature<'_>) -> Option<u64> {
        let (time, bytes) = signature.bytes().split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        //= C2SP tlog-cosignature: [timestamp] MUST NOT exceed 2^63 - 1.
        let is_time = i64::try_from(time).is_ok();
        let signed = is_signed(&self.public, message(time, text).as_bytes(), bytes);
        (is_time && signed).then_some(time)
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = PlainKey {
            name: &self.name,
            hash: self.hash,
            public: self.public,
        };
        plain.write(COSIGNATURE, f)
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({self})")
    }
}

//= C2SP tlog-cosignature: two newline terminated lines followed by the whole note body.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The key with which a witness cosigns. Wiped when dropped, and not printed. (ring does not wipe
/// what it derives from it.)
pub struct WitnessKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: CosignerKey,
}

/// The first line of a key file.
const TITLE: &str = "bartizan-audit witness key 1";

/// The longest key file that is read, in bytes.
const LONGEST_FILE: u64 = 4096;

impl WitnessKey {
    /// Makes a key for a witness of this name, such as `payments.example.com/witness`.
    ///
    /// # Errors
    ///
    /// If the name is none that a key can have, or the system has no random bytes.
    pub fn generate(name: &str) -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        let filled = SystemRandom::new().fill(seed.as_mut_slice());
        filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
        Self::from_seed(name, seed).map_err(invalid)
    }

    /// Reads a key that was [saved](Self::save_new).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or holds no key.
    pub fn load(path: impl AsRef<Path>) -> io::Result<Self> {
        // Room for all of it from the beginning, so that no copy is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        let file = std::fs::File::open(path)?;
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST_FILE), &mut bytes)?;
        Self::parse(&bytes).ok_or_else(|| invalid("the file holds no key of a witness"))
    }

    /// Writes the key to a file that is not there yet, readable by its owner alone, and syncs it.
    ///
    /// # Errors
    ///
    /// If the file is there already, or cannot be written.
    pub fn save_new(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        let _ = write!(text, "{TITLE}\n{}\n", self.public.name);
        STANDARD.encode_string(self.seed.as_slice(), &mut text);
        text.push('\n');
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(
            &mut options,
            bartizan_source::FileMode::PRIVATE.bits(),
        );
        let mut file = options.open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (title, name, encoded) = (lines.next()?, lines.next()?, lines.next()?);
        if title != TITLE || lines.next().is_some() {
            return None;
        }
        let mut seed = Zeroizing::new([0; 32]);
        let length = STANDARD.decode_slice(encoded, seed.as_mut_slice()).ok()?;
        (length == 32).then(|| Self::from_seed(name, seed).ok())?
    }

    pub(crate) fn from_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
        let pair = pair.map_err(|_| KeyError::Form)?;
        let public = pair.public_key().as_ref().try_into();
        let public = PlainKey::new(name, COSIGNATURE, public.map_err(|_| KeyError::Form)?)?;
        Ok(Self {
            seed,
            pair,
            public: CosignerKey::of(&public),
        })
    }

    /// The public half, which verifiers are given.
    #[must_use]
    pub fn public(&self) -> &CosignerKey {
        &self.public
    }

    /// The signature line over the text of a checkpoint, at this time.
    pub(crate) fn cosign(&self, text: &str, time: u64) -> String {
        let time = time.min(i64::MAX.unsigned_abs());
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend_from_slice(self.pair.sign(message(time, text).as_bytes()).as_ref());
        let mut line = String::with_capacity(200);
        put_signature(&mut line, &self.public.name, self.public.hash, &bytes);
        line
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::SignerKey;

    #[test]
    fn a_cosignature_verifies_under_its_key_text_and_time_alone() {
        let log = SignerKey::from_seed("log.example/audit", &[7; 32]).unwrap();
        let witness = WitnessKey::generate("w.example/1").unwrap();
        let signed = log.sign("log.example/audit\n0\nAAAA\n");
        let text = Note::parse(signed.as_bytes()).unwrap().text().to_owned();
        let cosigned = signed.clone() + &witness.cosign(&text, 1_679_315_147);
        let note = Note::parse(cosigned.as_bytes()).unwrap();
        assert_eq!(witness.public().cosigned(&note), Some(1_679_315_147));
        assert_eq!(note.verified_by(&log.verifier()), Ok(()));
        let other = WitnessKey::generate("w.example/1").unwrap();
        assert_eq!(other.public().cosigned(&note), None);
        // A plain signature of the same key is no cosignature.
        let plain = SignerKey::from_seed("w.example/1", &witness.seed).unwrap();
        let note = plain.sign(&text);
        let note = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(witness.public().cosigned(&note), None);
        for changed in [
            cosigned.replacen("AAAA", "AAAB", 1),
            // Another time under the same signature: the bytes behind the key's hash.
            signed.clone() + &witness.cosign(&text, 5).replacen('A', "B", 1),
        ] {
            if let Ok(note) = Note::parse(changed.as_bytes()) {
                assert_eq!(witness.public().cosigned(&note), None, "{changed}");
            }
        }
    }

    #[test]
    fn keys_read_as_they_were_written_and_stay_out_of_debug() {
        let folder = std::env::temp_dir().join(format!("bartizan-witness-{}", std::process::id()));
        let _ = std::fs::remove_file(&folder);
        let key = WitnessKey::generate("w.example/1").unwrap();
        key.save_new(&folder).unwrap();
        assert!(key.save_new(&folder).is_err(), "never written over");
        let again = WitnessKey::load(&folder).unwrap();
        assert_eq!(again.public(), key.public());
        let text = key.public().to_string();
        assert_eq!(CosignerKey::parse(&text).as_ref(), Ok(key.public()));
        assert_eq!(
            crate::note::VerifierKey::parse(&text),
            Err(KeyError::Algorithm(4))
        );
        let seed = STANDARD.encode(key.seed.as_slice());
        assert!(!format!("{key:?}").contains(&seed));
        std::fs::write(&folder, b"bartizan-audit witness key 1\nx\nAAAA\n").unwrap();
        assert!(WitnessKey::load(&folder).is_err());
        std::fs::remove_file(&folder).unwrap();
    }
}
