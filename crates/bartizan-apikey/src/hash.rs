//! What is kept of a key: a keyed hash of it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::format::{NewKey, PresentedKey};

/// How long a hash is.
const LENGTH: usize = 32;

/// The fewest bytes of a pepper: as many as the hash has.
const LEAST_PEPPER: usize = 32;

/// The longest name of a pepper.
const LONGEST_NAME: usize = 32;

/// What stands for a pepper's name where there is none.
const PLAIN: &str = "-";

/// The key of hashes without a pepper: known to everybody. It only keeps these hashes apart from
/// those that others make of the same text.
const NO_PEPPER: &[u8] = b"bartizan-apikey, hashed without a pepper";

/// What is derived of a pepper, so that its other uses, should it have some, give nothing away.
const PURPOSE: &[u8] = b"bartizan-apikey-v1";

/// A secret of the service that goes into the hashes of its keys.
///
/// Whoever reads the stored hashes cannot check a guess without it, and whoever can write to the
/// store cannot make a key that the service accepts. Keep it apart from the store: in a secret of
/// the platform, not in the database.
#[derive(Clone)]
pub struct Pepper {
    name: Box<str>,
    key: hmac::Key,
}

/// The peppers of a service: the one that new keys are hashed under, and earlier ones that are
/// still in use.
///
/// ```
/// use bartizan_apikey::{Pepper, Peppers};
///
/// # let (new, old) = ([1; 32], [2; 32]);
/// let peppers = Peppers::new(Pepper::new("2027", &new)?).add_previous(Pepper::new("2026", &old)?);
/// # let _ = peppers;
/// # Ok::<(), bartizan_apikey::ConfigError>(())
/// ```
///
/// With a pepper, hashes without one are not accepted: somebody could have put them into the store.
/// [`allow_unpeppered`](Self::allow_unpeppered) is for the time in which keys are replaced.
#[derive(Clone, Debug)]
pub struct Peppers(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    /// The first is the present one.
    peppers: Vec<Pepper>,
    plain: Option<Pepper>,
}

/// What is kept of a key: HMAC-SHA256 of its text, and the name of the pepper.
///
/// Written as `v1.<pepper>.<base64url>`, with `-` where there is no pepper. It is bound to product,
/// environment and identifier of its key: put beside another identifier it verifies nothing.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyHash {
    pepper: Box<str>,
    digest: Digest,
}

/// The hash itself.
pub(crate) type Digest = [u8; LENGTH];

/// Which of the peppers of a service a hash is under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PepperIndex(usize);

/// A text is no [`KeyHash`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the hash of a key: v1, the name of a pepper, and 43 characters of base64url")]
pub struct KeyHashError(());

impl Pepper {
    /// Takes over a pepper: at least 32 random bytes, under a name of 1 to 32 characters of
    /// `a-z0-9-` that begins with a letter or digit.
    ///
    /// What is kept is what `ring` made of it, which `ring` does not wipe; the bytes are not
    /// copied.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PepperTooShort`], [`ConfigError::InvalidPepperName`].
    pub fn new(name: &str, secret: &[u8]) -> Result<Self, ConfigError> {
        if !is_name(name) {
            return Err(ConfigError::InvalidPepperName(name.to_owned()));
        }
        if secret.len() < LEAST_PEPPER {
            return Err(ConfigError::PepperTooShort {
                length: secret.len(),
                least: LEAST_PEPPER,
            });
        }
        Ok(Self::derived(name, secret))
    }

    /// Reads a pepper from a file, as [`from_text`](Self::from_text) does.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnreadablePepper`], and those of [`new`](Self::new).
    pub fn from_file(name: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| ConfigError::UnreadablePepper {
            path: path.to_owned(),
            error,
        })?;
        Self::from_text(name, &Zeroizing::new(bytes))
    }

    /// Takes over a pepper as it is kept in a file or a variable: one line of base64url of its
    /// bytes, or the bytes themselves, without the line ends after them.
    ///
    /// Hexadecimal digits are base64url too. They make a good pepper, but need to be 43 at least:
    /// 32 of them, which are 16 random bytes, are refused.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn from_text(name: &str, text: &[u8]) -> Result<Self, ConfigError> {
        // Random bytes are hardly ever base64url by chance: 1 in 10^19 for 32 of them.
        if let Ok(decoded) = URL_SAFE_NO_PAD.decode(text.trim_ascii()) {
            return Self::new(name, &Zeroizing::new(decoded));
        }
        let mut bytes = text;
        while let [before @ .., b'\r' | b'\n'] = bytes {
            bytes = before;
        }
        Self::new(name, bytes)
    }

    fn derived(name: &str, secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, PURPOSE);
        Self {
            name: name.into(),
            key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        }
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({})", self.name)
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().all(|byte| is_plain(byte) || byte == b'-')
}

impl Peppers {
    /// No pepper. A key has 256 random bits, so that a hash of it can be published without harm to
    /// the key; what is given up is the second lock, of which a copy of the store has no key.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(Inner {
            peppers: Vec::new(),
            plain: Some(Pepper::derived(PLAIN, NO_PEPPER)),
        }))
    }

    /// New keys are hashed under this pepper, and none but such are accepted.
    #[must_use]
    pub fn new(pepper: Pepper) -> Self {
        Self(Arc::new(Inner {
            peppers: vec![pepper],
            plain: None,
        }))
    }

    /// Accepts keys that were hashed under an earlier pepper as well.
    #[must_use]
    pub fn add_previous(self, pepper: Pepper) -> Self {
        self.changed(|inner| inner.peppers.push(pepper))
    }

    /// Accepts keys that were hashed before there was a pepper as well. Whoever can write to the
    /// store can then make keys.
    #[must_use]
    pub fn allow_unpeppered(self) -> Self {
        self.changed(|inner| inner.plain = Some(Pepper::derived(PLAIN, NO_PEPPER)))
    }

    /// The hash of a new key, under the present pepper.
    pub fn hash(&self, key: &NewKey) -> KeyHash {
        self.hash_of(&key.presented())
    }

    fn changed(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    fn hash_of(&self, key: &PresentedKey<'_>) -> KeyHash {
        let (name, tag) = match self.present() {
            Some(pepper) => (&*pepper.name, hmac::sign(&pepper.key, key.signed)),
            None => (
                PLAIN,
                hmac::sign(&Pepper::derived(PLAIN, NO_PEPPER).key, key.signed),
            ),
        };
        let mut digest = [0; LENGTH];
        for (place, byte) in digest.iter_mut().zip(tag.as_ref()) {
            *place = *byte;
        }
        KeyHash {
            pepper: name.into(),
            digest,
        }
    }

    fn present(&self) -> Option<&Pepper> {
        self.0.peppers.first().or(self.0.plain.as_ref())
    }

    /// Which of these a hash is under; `None` if it cannot be checked.
    pub(crate) fn of(&self, hash: &KeyHash) -> Option<PepperIndex> {
        let mut all = self.0.peppers.iter().chain(&self.0.plain);
        let index = all.position(|pepper| pepper.name == hash.pepper)?;
        Some(PepperIndex(index))
    }

    /// Whether a key is the one that a hash is of. Takes the same time whatever differs, and
    /// without a hash as well: then the answer is no.
    pub(crate) fn verify(
        &self,
        hash: Option<(PepperIndex, &Digest)>,
        key: &PresentedKey<'_>,
    ) -> bool {
        #[cfg(test)]
        tests::COUNT.with(|count| count.set(count.get() + 1));
        let nobody = (PepperIndex(0), &[0; LENGTH]);
        let (PepperIndex(index), digest) = hash.unwrap_or(nobody);
        let mut all = self.0.peppers.iter().chain(&self.0.plain);
        let Some(pepper) = all.nth(index) else {
            return false;
        };
        // Compares in constant time.
        let matches = hmac::verify(&pepper.key, key.signed, digest).is_ok();
        matches & hash.is_some()
    }
}

impl KeyHash {
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Default for Peppers {
    /// None.
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = URL_SAFE_NO_PAD.encode(self.digest);
        write!(f, "v1.{}.{digest}", self.pepper)
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let mut parts = text.split('.');
        let (version, pepper) = (parts.next(), parts.next());
        let (digest, end) = (parts.next(), parts.next());
        let (Some("v1"), Some(pepper), Some(digest), None) = (version, pepper, digest, end) else {
            return Err(KeyHashError(()));
        };
        if pepper != PLAIN && !is_name(pepper) {
            return Err(KeyHashError(()));
        }
        let digest = URL_SAFE_NO_PAD.decode(digest);
        let digest = digest.map_err(|_| KeyHashError(()))?;
        Ok(Self {
            pepper: pepper.into(),
            digest: digest.try_into().map_err(|_| KeyHashError(()))?,
        })
    }
}

impl fmt::Debug for KeyHash {
    /// Without the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash(v1.{}...)", self.pepper)
    }
}

#[cfg(test)]
pub(crate) mod tests;
