//! What is in a key file: a readable header that names its key, and the sealed records.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

use crate::kek::{Kek, LocalKek, PassphraseParameters};
use crate::key::{KeyRecord, as_base64};
use crate::key_file::KeyFileError;

const FORMAT: &str = "bartizan-keys-1";

/// The most rounds that are believed of a header, which is read before anything proves it: some
/// ten seconds. The salt and rounds need no proof: with others the file does not open.
const MOST_ROUNDS: u32 = 10_000_000;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    format: String,
    kek: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passphrase: Option<Passphrase>,
    #[serde(with = "as_base64")]
    sealed: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Passphrase {
    kdf: String,
    rounds: NonZeroU32,
    #[serde(with = "as_base64")]
    salt: Vec<u8>,
}

const KDF: &str = "pbkdf2-hmac-sha512";

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, Vec<u8>), KeyFileError> {
        let mut header: Self = serde_json::from_slice(bytes)
            .map_err(|_| KeyFileError::Malformed("its header cannot be read"))?;
        if header.format != FORMAT {
            return Err(KeyFileError::Malformed("its format is not known"));
        }
        if let Some(passphrase) = &header.passphrase
            && (passphrase.kdf != KDF
                || passphrase.salt.len() != 16
                || passphrase.rounds.get() > MOST_ROUNDS)
        {
            return Err(KeyFileError::Malformed("its passphrase parameters"));
        }
        let sealed = std::mem::take(&mut header.sealed);
        Ok((header, sealed))
    }

    pub(super) fn kek(&self) -> &str {
        &self.kek
    }

    pub(super) fn passphrase(&self) -> Option<PassphraseParameters> {
        let passphrase = self.passphrase.as_ref()?;
        Some(PassphraseParameters {
            salt: passphrase.salt.as_slice().try_into().ok()?,
            rounds: passphrase.rounds,
        })
    }
}

/// The sealed part.
pub(super) struct Sealed;

impl Sealed {
    pub(super) fn seal(kek: &LocalKek, records: &[KeyRecord]) -> Option<Vec<u8>> {
        let content = Zeroizing::new(serde_json::to_vec(records).ok()?);
        let passphrase = kek.passphrase().map(|parameters| Passphrase {
            kdf: KDF.to_owned(),
            rounds: parameters.rounds,
            salt: parameters.salt.to_vec(),
        });
        let header = Header {
            format: FORMAT.to_owned(),
            kek: kek.id().to_owned(),
            passphrase,
            sealed: kek.seal_file(&content)?,
        };
        serde_json::to_vec_pretty(&header).ok()
    }

    pub(super) fn open(kek: &LocalKek, sealed: &[u8]) -> Result<Vec<KeyRecord>, KeyFileError> {
        let content = kek
            .open_file(sealed)
            .ok_or(KeyFileError::Malformed("its seal is broken"))?;
        serde_json::from_slice(&content)
            .map_err(|_| KeyFileError::Malformed("its records cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyBytes;

    #[test]
    fn the_header_is_read_strictly() {
        let kek = LocalKek::new(&KeyBytes::from_slice(&[1; 32]).expect("32 bytes"));
        let good = Sealed::seal(&kek, &[]).expect("sealed");
        assert!(Header::parse(&good).is_ok());
        let text = String::from_utf8(good).expect("json");
        for (from, to) in [
            (FORMAT, "bartizan-keys-2"),
            ("\"kek\"", "\"key\""),
            ("{", "{\"more\": 1,"),
            (
                "{",
                "{\"passphrase\":{\"kdf\":\"none\",\"rounds\":1,\"salt\":\"AA\"},",
            ),
        ] {
            let bad = text.replacen(from, to, 1);
            assert!(Header::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
