//! Signing keys that live for an epoch, are signed forward, and are then wiped.
//!
//! The ledger's first key is made with the ledger. At the end of an epoch a new one is made, its
//! public half is written into the ledger under the old key's signature, and the old key is
//! wiped. Whoever breaks in later finds no key that could sign what was before.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::checkpoint::decimal;
use crate::note::{KeyError, SignerKey, VerifierKey};

/// The key of one epoch.
#[derive(Debug)]
pub(crate) struct EpochKey {
    epoch: u32,
    seed: Seed,
    signer: SignerKey,
}

/// Wiped when dropped, and not printed. (ring does not wipe what it derives from it.)
struct Seed(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl EpochKey {
    /// A new key for this epoch of the log with this origin; `None` if the system has no random
    /// bytes.
    pub(crate) fn generate(origin: &str, epoch: u32) -> Option<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(seed.as_mut_slice()).ok()?;
        Self::from_seed(origin, epoch, seed).ok()
    }

    fn from_seed(origin: &str, epoch: u32, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let signer = SignerKey::from_seed(origin, &seed)?;
        Ok(Self {
            epoch,
            seed: Seed(seed),
            signer,
        })
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn verifier(&self) -> VerifierKey {
        self.signer.verifier()
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        self.signer.sign(text)
    }
}

/// The first line of a key file.
const TITLE: &str = "bartizan-audit keys 1";

/// What a key file holds: the key of the epoch, and while epochs change, that of the next.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) current: EpochKey,
    pub(crate) next: Option<EpochKey>,
}

impl KeyFile {
    /// The content of the file. Wiped by whoever holds it.
    pub(crate) fn print(current: &EpochKey, next: Option<&EpochKey>) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(256));
        text.push_str(TITLE);
        text.push('\n');
        for key in std::iter::once(current).chain(next) {
            let _ = write!(text, "{} ", key.epoch);
            STANDARD.encode_string(key.seed.0.as_slice(), &mut text);
            text.push('\n');
        }
        text
    }

    /// Reads the content of a file.
    pub(crate) fn parse(origin: &str, bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next() != Some(TITLE) {
            return None;
        }
        let current = key_of_line(origin, lines.next()?)?;
        let next = match lines.next() {
            Some(line) => Some(key_of_line(origin, line)?),
            None => None,
        };
        let follows = |next: &EpochKey| current.epoch.checked_add(1) == Some(next.epoch);
        if lines.next().is_some() || next.as_ref().is_some_and(|next| !follows(next)) {
            return None;
        }
        Some(Self { current, next })
    }

    /// The key of the epoch that the ledger is in, by what the ledger says: a change of epochs
    /// counts once it is durable there.
    pub(crate) fn into_key_of(self, epoch: u32, public: &[u8; 32]) -> Option<EpochKey> {
        std::iter::once(self.current)
            .chain(self.next)
            .find(|key| key.epoch == epoch && key.verifier().public() == public)
    }
}

/// `epoch base64(seed)`.
fn key_of_line(origin: &str, line: &str) -> Option<EpochKey> {
    let (epoch, encoded) = line.split_once(' ')?;
    let epoch = u32::try_from(decimal(epoch)?).ok()?;
    let mut seed = Zeroizing::new([0; 32]);
    let length = STANDARD.decode_slice(encoded, seed.as_mut_slice()).ok()?;
    (length == 32).then(|| EpochKey::from_seed(origin, epoch, seed).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "log.example/audit";

    #[test]
    fn keys_read_as_they_were_written() {
        let one = EpochKey::generate(ORIGIN, 3).unwrap();
        let two = EpochKey::generate(ORIGIN, 4).unwrap();
        let text = KeyFile::print(&one, Some(&two));
        for (epoch, key) in [(3, &one), (4, &two)] {
            let file = KeyFile::parse(ORIGIN, text.as_bytes()).unwrap();
            let public = *key.verifier().public();
            let found = file.into_key_of(epoch, &public).unwrap();
            assert_eq!(found.verifier(), key.verifier());
            let file = KeyFile::parse(ORIGIN, text.as_bytes()).unwrap();
            assert!(file.into_key_of(epoch + 2, &public).is_none());
        }
        let alone = KeyFile::print(&one, None);
        assert!(
            KeyFile::parse(ORIGIN, alone.as_bytes())
                .unwrap()
                .next
                .is_none()
        );
        let seed = STANDARD.encode(one.seed.0.as_slice());
        assert!(!format!("{one:?}").contains(&seed));
    }

    #[test]
    fn a_damaged_key_file_is_no_key_file() {
        let one = EpochKey::generate(ORIGIN, 3).unwrap();
        let far = EpochKey::generate(ORIGIN, 9).unwrap();
        let good = KeyFile::print(&one, None);
        for bad in [
            String::new(),
            good.trim_end().to_owned(),
            good.replacen(TITLE, "keys", 1),
            good.replacen("\n3", "\n-3", 1),
            good.replacen('=', "", 1),
            format!("{}x\n", good.as_str()),
            KeyFile::print(&one, Some(&far)).to_string(),
        ] {
            assert!(KeyFile::parse(ORIGIN, bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
