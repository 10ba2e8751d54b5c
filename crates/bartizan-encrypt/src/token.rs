//! Random tokens in the place of values, and the table that leads back.

mod file;
mod vault;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ciphertext::{Ciphertext, KeyId};
use crate::error::{EncryptError, EncryptErrorKind};
use crate::key::random;
use crate::store::StoreAnswer;

#[cfg(feature = "fuzzing")]
pub(crate) use self::file::rows_of;
pub use self::file::{TokenFile, TokenFileError};
pub use self::vault::{TokenError, TokenVault};

const PREFIX: &str = "tok_";

/// A name for a value that tells nothing of it: `tok_` and 128 random bits in 22 letters.
///
/// Unlike a pseudonym it is not computed from the value: nobody who has every key can find it
/// again but through the table, and the same value has another token each time.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(Box<str>);

impl Token {
    pub(crate) fn generate() -> Result<Self, EncryptError> {
        let mut bytes = [0; 16];
        random(&mut bytes)?;
        Ok(Self::of(bytes))
    }

    fn of(bytes: [u8; 16]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.0)
    }
}

impl FromStr for Token {
    type Err = EncryptError;

    /// Reads what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, EncryptError> {
        let bytes = text
            .strip_prefix(PREFIX)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self::of)
            .ok_or(EncryptErrorKind::MalformedToken.into())
    }
}

/// A row of the table: a token, and the value that it stands for, sealed.
///
/// The ciphertext is bound to the token: under another it does not open. Who it is about is in no
/// column; the key that its ciphertext names is the person's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenRow {
    /// The token, unique in the table.
    pub token: Token,
    /// The value.
    pub value: Ciphertext,
}

/// Which rows are meant.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokenRows<'r> {
    /// Those whose values are sealed under any of these keys.
    SealedUnder(&'r [KeyId]),
    /// The one of this token.
    Token(&'r Token),
}

impl TokenRows<'_> {
    /// Whether a row is among them.
    pub fn contains(&self, row: &TokenRow) -> bool {
        match self {
            Self::SealedUnder(keys) => keys.contains(&row.value.key_id()),
            Self::Token(token) => **token == row.token,
        }
    }
}

/// Keeps the rows. Made for a table with the two columns of [`TokenRow`], and the ciphertext's key
/// id in a third with an index. An answer must be durable before it is given.
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// The row of this token.
    fn find<'s>(&'s self, token: &'s Token) -> StoreAnswer<'s, Option<TokenRow>>;

    /// Adds a row; `false` if the table is full.
    fn insert(&self, row: TokenRow) -> StoreAnswer<'_, bool>;

    /// Removes rows; how many there were.
    fn remove<'s>(&'s self, rows: TokenRows<'s>) -> StoreAnswer<'s, usize>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_what_it_writes_and_nothing_else() {
        let token = Token::generate().expect("random bytes");
        assert_eq!(token.to_string().len(), 26);
        assert_eq!(token.to_string().parse().as_ref(), Ok(&token));
        assert_ne!(Token::generate().expect("random bytes"), token);
        let text = token.as_str();
        for bad in [
            "",
            "tok_",
            &text[4..],
            &text[..25],
            &format!("{text}A"),
            &format!("{text} "),
            "tok_AAAAAAAAAAAAAAAAAAAAAB",
            "tok_AAAAAAAAAAAAAAAAAAAA==",
        ] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
