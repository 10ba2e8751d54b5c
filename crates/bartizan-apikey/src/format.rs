//! How a key is written, and how it is read: strictly, and in one way alone.

mod new_key;
mod url;

use std::fmt;
use std::str::FromStr;

use crate::checksum;
use crate::error::ConfigError;

pub use self::new_key::{NewKey, NoRandomness};
pub(crate) use self::url::{InUrl, in_url};

/// The characters of base 62, in the order of their values. A double click selects a key whole,
/// and no URL or shell gives one of them a meaning.
pub(crate) const ALPHABET: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 71 bits: unique for as many keys as anybody has.
const ID_LENGTH: usize = 12;

/// 256 bits of randomness: 43 characters of log2(62) bits each.
const SECRET_LENGTH: usize = 43;

const TAIL_LENGTH: usize = SECRET_LENGTH + checksum::LENGTH;

/// How long the word for the product and that for the environment may be.
const WORD_LENGTH: usize = 10;

/// The longest key: two words, an identifier, a secret with its checksum, and what parts them.
pub(crate) const LONGEST: usize = 2 * WORD_LENGTH + ID_LENGTH + TAIL_LENGTH + 3;

/// How the keys of a service are written: `brt_live_` and what follows.
///
/// ```text
/// key         = product "_" environment "_" id "_" secret checksum
/// product     = word                       ; "brt" unless chosen
/// environment = word                       ; "live", "test"
/// word        = a-z 1*9( a-z / 0-9 )
/// id          = 12base62                   ; public: it is in logs and lists
/// secret      = 43base62                   ; 256 bits of randomness
/// checksum    = 6base62                    ; CRC-32 of all before it, most significant first
/// base62      = 0-9 / A-Z / a-z
/// ```
///
/// One key has one spelling: there is no other case, padding or white space. The product makes a
/// key recognisable to whoever scans repositories and logs ([`pattern`](Self::pattern)); the
/// environment keeps a test key from a live service; the checksum tells a mistyped or invented
/// key without asking anybody.
///
/// ```
/// use bartizan_apikey::KeyFormat;
///
/// let format = KeyFormat::new("shop", "test")?;
/// assert_eq!(
///     format.pattern(),
///     r"\bshop_[a-z][a-z0-9]{1,9}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b",
/// );
/// assert!(KeyFormat::new("Shop", "test").is_err());
/// # Ok::<(), bartizan_apikey::ConfigError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct KeyFormat {
    product: Box<str>,
    environment: Box<str>,
}

/// The public part of a key: its name in lists, logs and decisions.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId([u8; ID_LENGTH]);

/// A text is no identifier of a key: 12 characters of `0-9A-Za-z`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the identifier of a key: 12 characters of 0-9, A-Z and a-z")]
pub struct KeyIdError(());

/// A text of the form of a key, as somebody presented it. Nothing is known of its secret yet.
#[derive(Clone, Copy)]
pub(crate) struct PresentedKey<'k> {
    pub(crate) id: KeyId,
    /// All but the checksum: what is hashed. A hash is so bound to product, environment and
    /// identifier, and proves nothing under another.
    pub(crate) signed: &'k [u8],
}

/// Why a text is no key of this format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unfit {
    /// It does not have the form of a key.
    Malformed,
    /// It has the form, and the checksum is that of another text.
    Mistyped,
    /// It is a key of another product or environment.
    Foreign,
}

impl KeyFormat {
    /// Keys of this product in this environment: two words of 2 to 10 characters of `a-z0-9`, the
    /// first a letter.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidWord`].
    pub fn new(product: &str, environment: &str) -> Result<Self, ConfigError> {
        for word in [product, environment] {
            if !is_word(word.as_bytes()) {
                return Err(ConfigError::InvalidWord(word.to_owned()));
            }
        }
        Ok(Self {
            product: product.into(),
            environment: environment.into(),
        })
    }

    /// `brt_live_`: the default.
    #[must_use]
    pub fn live() -> Self {
        Self {
            product: "brt".into(),
            environment: "live".into(),
        }
    }

    /// `brt_test_`: for keys that must not open what is live.
    #[must_use]
    pub fn test() -> Self {
        Self {
            product: "brt".into(),
            environment: "test".into(),
        }
    }

    /// A regular expression that finds keys of this product, of any environment, in any text: for
    /// secret scanners, in the syntax that RE2, PCRE and the `regex` crate share. A scanner that
    /// can compute should ask [`is_key`](Self::is_key) as well, which leaves no false alarms.
    #[must_use]
    pub fn pattern(&self) -> String {
        format!(
            r"\b{}_[a-z][a-z0-9]{{1,{}}}_[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{TAIL_LENGTH}}}\b",
            self.product,
            WORD_LENGTH - 1,
        )
    }

    /// Whether a text is a key of this product, of any environment, with the right checksum.
    #[must_use]
    pub fn is_key(&self, text: &str) -> bool {
        match self.parse(text.as_bytes()) {
            Ok(_) => true,
            Err(Unfit::Foreign) => self.is_of_product(text.as_bytes()),
            Err(_) => false,
        }
    }

    pub(crate) fn parse<'k>(&self, text: &'k [u8]) -> Result<PresentedKey<'k>, Unfit> {
        let Parts {
            product,
            environment,
            id,
        } = shape(text).ok_or(Unfit::Malformed)?;
        let split = text.len() - checksum::LENGTH;
        let (signed, sum) = text.split_at_checked(split).ok_or(Unfit::Malformed)?;
        if checksum::of(signed) != sum {
            return Err(Unfit::Mistyped);
        }
        if product != self.product.as_bytes() || environment != self.environment.as_bytes() {
            return Err(Unfit::Foreign);
        }
        Ok(PresentedKey { id, signed })
    }

    /// Whether a text begins as keys of this product do.
    pub(crate) fn is_of_product(&self, text: &[u8]) -> bool {
        text.strip_prefix(self.product.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"_"))
    }

    pub(crate) fn prefix(&self) -> String {
        format!("{}_{}_", self.product, self.environment)
    }

    pub(crate) fn product(&self) -> &[u8] {
        self.product.as_bytes()
    }
}

impl Default for KeyFormat {
    /// `brt_live_`.
    fn default() -> Self {
        Self::live()
    }
}

impl fmt::Debug for KeyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFormat({})", self.prefix())
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({})", self.id)
    }
}

/// The words and the identifier of a text of the form of a key.
struct Parts<'k> {
    product: &'k [u8],
    environment: &'k [u8],
    id: KeyId,
}

fn shape(text: &[u8]) -> Option<Parts<'_>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parts = text.split(|byte| *byte == b'_');
    let (product, environment) = (parts.next()?, parts.next()?);
    let (id, tail) = (parts.next()?, parts.next()?);
    let fits = parts.next().is_none()
        && is_word(product)
        && is_word(environment)
        && tail.len() == TAIL_LENGTH
        && tail.iter().all(u8::is_ascii_alphanumeric);
    let id = KeyId::from_bytes(id).ok()?;
    fits.then_some(Parts {
        product,
        environment,
        id,
    })
}

fn is_word(word: &[u8]) -> bool {
    let is_lower = |byte: &u8| byte.is_ascii_lowercase();
    (2..=WORD_LENGTH).contains(&word.len())
        && word.first().is_some_and(is_lower)
        && word
            .iter()
            .all(|byte| is_lower(byte) || byte.is_ascii_digit())
}

impl KeyId {
    fn from_bytes(bytes: &[u8]) -> Result<Self, KeyIdError> {
        match <[u8; ID_LENGTH]>::try_from(bytes) {
            Ok(id) if id.iter().all(u8::is_ascii_alphanumeric) => Ok(Self(id)),
            _ => Err(KeyIdError(())),
        }
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made of ASCII alone.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests;
