//! C2SP chunked encryption: salt, commitment, and chunks of 16 KiB.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA512, KeyType, Prk};
use zeroize::Zeroizing;

use crate::suite::Suite;
use crate::wiped::WipedBytes;

/// Random bytes in front of each message.
pub(crate) const SALT: usize = 24;

/// What binds a message to its key, its salt and its context.
pub(crate) const COMMITMENT: usize = 32;

const CHUNK: usize = 16 * 1024;
const TAG: usize = 16;
const SEALED_CHUNK: usize = CHUNK + TAG;

/// What stands behind the content of a message that is filled up.
pub(crate) const MARK: u8 = 0x80;

/// The shortest body there is: that of an empty message.
pub(crate) const LEAST: usize = SALT + COMMITMENT + TAG;

/// The key that the keys of messages are derived from. It must be uniformly random.
pub(crate) struct InputKey {
    prk: Prk,
    suite: Suite,
}

/// Why a body did not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The commitment says: another key, another context or another salt.
    Commitment,
    /// A chunk was changed, or they were moved.
    Corrupt,
    /// No message has this length: it was cut, or something was added.
    Length,
}

impl InputKey {
    /// Takes the key; of another length than the suite's there is none.
    pub(crate) fn new(suite: Suite, key: &[u8]) -> Option<Self> {
        (key.len() == suite.key_length()).then(|| Self {
            prk: Prk::new_less_safe(HKDF_SHA512, key),
            suite,
        })
    }

    /// Appends the sealed body of `message` to `out`. `None` only for what cannot be sealed at
    /// all: a message of 2^38 chunks.
    ///
    /// The message is `content`, and up to `length` a mark and zeros behind it. It is written
    /// into `out` before it is sealed in place. Room is made first, so that no half of it is left
    /// behind by a vector that grows.
    pub(crate) fn seal(
        &self,
        salt: &[u8; SALT],
        context: &[u8],
        content: &[u8],
        length: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let material = self.derive(salt, context)?;
        let length = length.max(content.len());
        out.reserve(sealed_length(length));
        out.extend_from_slice(salt);
        out.extend_from_slice(&material.commitment);
        // The last chunk is always short, and empty if it has to be.
        for number in 0..=length / CHUNK {
            let (from, to) = (number * CHUNK, length.min((number + 1) * CHUNK));
            let begin = out.len();
            let within = content.get(from.min(content.len())..to.min(content.len()));
            out.extend_from_slice(within?);
            if (from..to).contains(&content.len()) {
                out.push(MARK);
            }
            out.resize(begin + (to - from), 0);
            let tag = material.key.seal_in_place_separate_tag(
                material.nonce(number)?,
                Aad::empty(),
                out.get_mut(begin..)?,
            );
            out.extend_from_slice(tag.ok()?.as_ref());
        }
        Some(())
    }

    /// The message of a sealed body.
    pub(crate) fn open(&self, context: &[u8], body: &[u8]) -> Result<WipedBytes, Failure> {
        let (salt, rest) = body.split_first_chunk::<SALT>().ok_or(Failure::Length)?;
        let (commitment, sealed) = rest
            .split_first_chunk::<COMMITMENT>()
            .ok_or(Failure::Length)?;
        let last = sealed.len() % SEALED_CHUNK;
        if last < TAG {
            return Err(Failure::Length);
        }
        let material = self.derive(salt, context).ok_or(Failure::Corrupt)?;
        // Before any chunk is looked at: a ciphertext that opens under two keys stops here.
        if !equal(&material.commitment, commitment) {
            return Err(Failure::Commitment);
        }
        material.open(sealed)
    }

    fn derive(&self, salt: &[u8; SALT], context: &[u8]) -> Option<Material> {
        let length = self.suite.key_length();
        let info = [self.suite.label(), salt.as_slice(), context];
        let mut output = Zeroizing::new([0; 32 + NONCE_LEN + COMMITMENT]);
        let output = output.get_mut(..length + NONCE_LEN + COMMITMENT)?;
        expand(&self.prk, &info, output)?;
        let (key, rest) = output.split_at_checked(length)?;
        let (base_nonce, commitment) = rest.split_first_chunk::<NONCE_LEN>()?;
        Some(Material {
            key: LessSafeKey::new(UnboundKey::new(self.suite.aead(), key).ok()?),
            base_nonce: *base_nonce,
            commitment: commitment.try_into().ok()?,
        })
    }
}

/// How long a body of a message of this length is.
pub(crate) const fn sealed_length(message: usize) -> usize {
    SALT + COMMITMENT + message + (message / CHUNK + 1) * TAG
}

struct Material {
    key: LessSafeKey,
    base_nonce: [u8; NONCE_LEN],
    commitment: [u8; COMMITMENT],
}

impl Material {
    /// The message in sealed chunks.
    fn open(&self, sealed: &[u8]) -> Result<WipedBytes, Failure> {
        let mut message = WipedBytes::with_capacity(sealed.len());
        for (number, chunk) in sealed.chunks(SEALED_CHUNK).enumerate() {
            let begin = message.len();
            message.extend_from_slice(chunk);
            let nonce = self.nonce(number).ok_or(Failure::Corrupt)?;
            let place = message.get_mut(begin..).ok_or(Failure::Corrupt)?;
            let opened = self.key.open_in_place(nonce, Aad::empty(), place);
            let opened = opened.map_err(|_| Failure::Corrupt)?.len();
            message.truncate(begin + opened);
        }
        Ok(message)
    }

    fn nonce(&self, chunk: usize) -> Option<Nonce> {
        let counter = u64::try_from(chunk).ok().filter(|&n| n < 1 << 38)?;
        let mut nonce = self.base_nonce;
        let low = nonce.last_chunk_mut::<8>()?;
        *low = (u64::from_be_bytes(*low) ^ counter).to_be_bytes();
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

/// HKDF-Expand: fills `output`, unless it is longer than a derivation can be.
fn expand(prk: &Prk, info: &[&[u8]], output: &mut [u8]) -> Option<()> {
    prk.expand(info, Length(output.len()))
        .and_then(|okm| okm.fill(output))
        .ok()
}

/// How many bytes a derivation gives.
pub(crate) struct Length(pub(crate) usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Compares without telling by time where they differ.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |difference, (l, r)| difference | (l ^ r))
            == 0
}

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
