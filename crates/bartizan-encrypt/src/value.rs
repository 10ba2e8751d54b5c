//! Values in their two states: sealed, and plain.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use zeroize::Zeroize;

use crate::ciphertext::Ciphertext;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::padding::Padding;
use crate::wiped::WipedBytes;

/// Names a field, as a type: `#[derive(Encrypt)]` makes one for each.
///
/// Collection and path are part of what every ciphertext of the field is bound to: changing
/// either makes what was sealed before unreadable.
pub trait Field {
    /// What the field's records are called, such as `patient`.
    const COLLECTION: &'static str;
    /// What the field is called among them, such as `ssn`.
    const PATH: &'static str;
    /// To which lengths values are filled up.
    const PADDING: Padding = Padding::To16;
}

/// A sealed value of type `T`, of the field `F`.
///
/// It serialises as its ciphertext and deserialises from one, and neither seals nor opens by
/// that: for sealing there has to be a place, and serialisers know none. The fields of a struct
/// have different types, so that two of them cannot be swapped by mistake:
///
/// ```compile_fail
/// use bartizan_encrypt::{Encrypted, Field};
///
/// struct Ssn;
/// impl Field for Ssn {
///     const COLLECTION: &'static str = "patient";
///     const PATH: &'static str = "ssn";
/// }
/// struct Phone;
/// impl Field for Phone {
///     const COLLECTION: &'static str = "patient";
///     const PATH: &'static str = "phone";
/// }
/// fn swap(ssn: Encrypted<String, Ssn>) -> Encrypted<String, Phone> {
///     ssn
/// }
/// ```
///
/// For databases there are [`to_string`](ToString::to_string) and [`parse`](str::parse) for
/// columns of text, `ciphertext().as_bytes()` for binary ones, and [`TryFrom`] and [`From`] for
/// either: `#[sqlx(try_from = "String")]`, and the like of other mappers.
pub struct Encrypted<T, F> {
    ciphertext: Ciphertext,
    of: PhantomData<fn() -> (T, F)>,
}

impl<T, F> Encrypted<T, F> {
    /// Takes a ciphertext for a value of this type and field. Whether it is one shows when it is
    /// opened.
    pub fn from_ciphertext(ciphertext: Ciphertext) -> Self {
        let of = PhantomData;
        Self { ciphertext, of }
    }

    /// The ciphertext.
    pub fn ciphertext(&self) -> &Ciphertext {
        &self.ciphertext
    }
}

impl<T, F> Clone for Encrypted<T, F> {
    fn clone(&self) -> Self {
        Self::from_ciphertext(self.ciphertext.clone())
    }
}

impl<T, F> fmt::Debug for Encrypted<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ciphertext.fmt(f)
    }
}

impl<T, F> fmt::Display for Encrypted<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ciphertext, f)
    }
}

impl<T, F> Eq for Encrypted<T, F> {}

impl<T, F> PartialEq for Encrypted<T, F> {
    /// Whether the ciphertexts are the same. Two of one value never are.
    fn eq(&self, other: &Self) -> bool {
        self.ciphertext == other.ciphertext
    }
}

impl<T, F> Hash for Encrypted<T, F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ciphertext.hash(state);
    }
}

impl<T, F> FromStr for Encrypted<T, F> {
    type Err = EncryptError;

    fn from_str(text: &str) -> Result<Self, EncryptError> {
        text.parse().map(Self::from_ciphertext)
    }
}

impl<T, F> TryFrom<String> for Encrypted<T, F> {
    type Error = EncryptError;

    /// Reads the text form: what mappers of databases ask for.
    fn try_from(text: String) -> Result<Self, EncryptError> {
        text.parse()
    }
}

impl<T, F> From<Encrypted<T, F>> for String {
    /// The text form.
    fn from(value: Encrypted<T, F>) -> Self {
        value.to_string()
    }
}

impl<T, F> From<Encrypted<T, F>> for Vec<u8> {
    /// The binary form.
    fn from(value: Encrypted<T, F>) -> Self {
        value.ciphertext.as_bytes().to_vec()
    }
}

impl<T, F> TryFrom<Vec<u8>> for Encrypted<T, F> {
    type Error = EncryptError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, EncryptError> {
        Ciphertext::from_bytes(bytes).map(Self::from_ciphertext)
    }
}

impl<T, F> Serialize for Encrypted<T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ciphertext.serialize(serializer)
    }
}

impl<'de, T, F> Deserialize<'de> for Encrypted<T, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ciphertext::deserialize(deserializer).map(Self::from_ciphertext)
    }
}

/// An opened value: wiped when dropped, never printed, never serialised.
///
/// ```
/// use bartizan_encrypt::Plain;
///
/// let ssn = Plain::new(String::from("078-05-1120"));
/// assert_eq!(format!("{ssn:?}"), "Plain(..)");
/// assert_eq!(ssn.expose(), "078-05-1120");
/// ```
///
/// It has neither `Display` nor `Serialize`, so that it gets into no answer by accident:
///
/// ```compile_fail
/// let ssn = bartizan_encrypt::Plain::new(String::from("078-05-1120"));
/// println!("{ssn}");
/// ```
///
/// ```compile_fail
/// let ssn = bartizan_encrypt::Plain::new(String::from("078-05-1120"));
/// serde_json::to_string(&ssn)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct Plain<T: Zeroize>(T);

impl<T: Zeroize> Plain<T> {
    /// Takes a value over.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Copies of it are the caller's to wipe.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Plain<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain(..)")
    }
}

/// The JSON form of a value, in a buffer that never grows: what a growing one leaves behind is
/// not wiped.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<WipedBytes, EncryptError> {
    let invalid = |_| EncryptErrorKind::InvalidValue;
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).map_err(invalid)?;
    let mut content = WipedBytes::with_capacity(length.0);
    serde_json::to_writer(&mut *content, value).map_err(invalid)?;
    Ok(content)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
