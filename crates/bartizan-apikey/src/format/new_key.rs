//! A key that was just made: the only moment at which its text is known.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use crate::checksum;
use crate::format::{ALPHABET, ID_LENGTH, KeyFormat, KeyId, LONGEST, PresentedKey, SECRET_LENGTH};

/// A key that was just made, with its secret: shown once to whoever asked for it, and kept
/// nowhere. The text is overwritten with zeros when this is dropped.
///
/// ```
/// use bartizan_apikey::{KeyFormat, NewKey};
///
/// let key = NewKey::generate(&KeyFormat::test())?;
/// assert!(key.expose().starts_with("brt_test_"));
/// assert!(KeyFormat::test().is_key(key.expose()));
/// assert!(!format!("{key:?}").contains(key.expose()));
/// # Ok::<(), bartizan_apikey::NoRandomness>(())
/// ```
pub struct NewKey {
    id: KeyId,
    text: Zeroizing<String>,
}

/// The system has no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the system has no random bytes")]
pub struct NoRandomness(());

impl NewKey {
    /// Makes a key: an identifier of 71 random bits, and a secret of 256.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`].
    pub fn generate(format: &KeyFormat) -> Result<Self, NoRandomness> {
        let random = SystemRandom::new();
        let mut id = [0; ID_LENGTH];
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        draw(&random, &mut id)?;
        draw(&random, &mut *secret)?;
        let id = KeyId(id);
        // Of its full size from the beginning, so that no copy is left behind.
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        text.push_str(&format.prefix());
        text.push_str(id.as_str());
        text.push('_');
        text.extend(secret.iter().copied().map(char::from));
        let sum = checksum::of(text.as_bytes());
        text.extend(sum.map(char::from));
        Ok(Self { id, text })
    }

    /// The public part.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The whole key, secret and all: to be shown once, to its owner.
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn presented(&self) -> PresentedKey<'_> {
        let split = self.text.len().saturating_sub(checksum::LENGTH);
        PresentedKey {
            id: self.id,
            signed: self.text.as_bytes().get(..split).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Fills `characters` with random ones of base 62, each as likely as any other.
fn draw(random: &SystemRandom, characters: &mut [u8]) -> Result<(), NoRandomness> {
    /// The largest multiple of 62 that a byte holds: what lies beyond would favour some.
    const FAIR: u8 = 248;
    let mut bytes = [0; 64];
    let mut places = characters.iter_mut();
    'fill: loop {
        random.fill(&mut bytes).map_err(|_| NoRandomness(()))?;
        for byte in bytes.iter().filter(|byte| **byte < FAIR) {
            let Some(place) = places.next() else {
                break 'fill;
            };
            let character = ALPHABET.get(usize::from(byte % 62));
            *place = character.copied().unwrap_or_default();
        }
    }
    bytes.zeroize();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_drawn_alike() {
        let mut characters = vec![0; 62 * 2000];
        draw(&SystemRandom::new(), &mut characters).unwrap();
        for character in ALPHABET {
            let count = characters.iter().filter(|it| *it == character).count();
            // Eight standard deviations: one run in 10^13 fails by chance.
            assert!((1645..2355).contains(&count), "{character}: {count}");
        }
    }
}
