//! Exchanges values for tokens, and tokens for values.

use std::fmt;
use std::sync::Arc;

use bartizan_core::Subject;

use crate::context::Place;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::key::KeyScope;
use crate::keyring::{KeyChangeError, Keyring};
use crate::padding::Padding;
use crate::prepared::{FieldName, Prepared};
use crate::store::StoreError;
use crate::token::{Token, TokenRow, TokenRows, TokenStore};
use crate::value::Plain;

/// Exchanges values for random tokens, and those who may for the values again.
///
/// What has to know no card numbers keeps tokens of them: a token cannot be computed back, and
/// leads to nothing without the table and the keys. Two tokens of one value are not alike; to find
/// a value again there is the [blind index](crate::BlindIndex), to know somebody again the
/// [pseudonym](crate::PseudonymDomain).
///
/// ```
/// use bartizan_encrypt::{Place, TokenFile, TokenVault};
/// # use bartizan_encrypt::{KeyBytes, KeyFile, Keyring, LocalKek};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("bartizan-token-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let kek = LocalKek::new(&KeyBytes::generate()?);
/// # let store = KeyFile::create(&folder.join("keys.json"), kek.clone())?;
/// # let keyring = Keyring::builder("shop", store, kek).build()?;
/// let table = TokenFile::open(&folder.join("tokens"), 100_000)?;
/// let vault = TokenVault::new(keyring, "card", table);
///
/// let place = Place::new("acme")?.with_subject("alice")?;
/// let token = vault.exchange(&place, "4111111111111111").await?;
/// assert!(token.as_str().starts_with("tok_"));
/// assert_eq!(vault.resolve(&place, &token).await?.expose(), "4111111111111111");
///
/// // Somebody else's place does not lead there.
/// let other = Place::new("acme")?.with_subject("bob")?;
/// assert!(vault.resolve(&other, &token).await.is_err());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenVault {
    keyring: Keyring,
    collection: Arc<str>,
    store: Arc<dyn TokenStore>,
}

/// Why a value was not exchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The value cannot be sealed or opened; [`Shredded`](EncryptErrorKind::Shredded) of whoever
    /// was forgotten.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The table is full.
    #[error("the table of tokens is full")]
    Full,
    /// The keys were not destroyed.
    #[error(transparent)]
    Keys(#[from] KeyChangeError),
    /// The table cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table has no such token.
    #[error("no such token")]
    Unknown,
}

impl TokenVault {
    /// A vault for the values of this collection. Its name is part of what they are bound to.
    pub fn new(keyring: Keyring, collection: &str, store: impl TokenStore) -> Self {
        Self {
            keyring,
            collection: collection.into(),
            store: Arc::new(store),
        }
    }

    /// Takes a value in, and gives a fresh token for it.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; nothing was taken in then.
    pub async fn exchange(&self, place: &Place, value: &str) -> Result<Token, TokenError> {
        let token = Token::generate()?;
        let keys = self.keys(place).await?;
        let name = self.name(&token);
        let value = keys.seal_content(place, name, value.as_bytes(), Padding::To16)?;
        let row = TokenRow {
            token: token.clone(),
            value,
        };
        match self.store.insert(row).await? {
            true => Ok(token),
            false => Err(TokenError::Full),
        }
    }

    /// The value that a token stands for, if it was taken in at this place.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub async fn resolve(&self, place: &Place, token: &Token) -> Result<Plain<String>, TokenError> {
        let row = self.store.find(token).await?;
        let row = row.ok_or(TokenError::Unknown)?;
        let keys = self.keys(place).await?;
        let content = keys.open_content(place, self.name(token), &row.value)?;
        let text = std::str::from_utf8(&content).map_err(|_| EncryptErrorKind::InvalidValue);
        let text = text.map_err(EncryptError::from)?;
        Ok(Plain::new(text.to_owned()))
    }

    /// Removes a token and what it stood for; whether there was one.
    ///
    /// # Errors
    ///
    /// [`TokenError::Store`].
    pub async fn remove(&self, token: &Token) -> Result<bool, TokenError> {
        let removed = self.store.remove(TokenRows::Token(token)).await?;
        Ok(removed > 0)
    }

    /// Forgets a person: destroys their keys, so that none of their values can be read again by
    /// anybody, here or elsewhere, and removes their rows; how many there were.
    ///
    /// # Errors
    ///
    /// [`TokenError::Keys`] if the keys were not destroyed, [`TokenError::Store`] if they were and
    /// rows are left: repeat it.
    pub async fn forget(&self, subject: &Subject) -> Result<usize, TokenError> {
        self.keyring.erase(subject).await?;
        let scope = KeyScope::subject(subject.tenant(), subject.id());
        let keys = self.keyring.records(&scope).await?;
        let keys: Vec<_> = keys.iter().map(|record| record.id).collect();
        Ok(self.store.remove(TokenRows::SealedUnder(&keys)).await?)
    }

    async fn keys(&self, place: &Place) -> Result<Prepared, EncryptError> {
        let scope = match place.subject() {
            Some(subject) => KeyScope::subject(place.tenant(), subject),
            None => KeyScope::tenant(place.tenant()),
        };
        self.keyring.prepare(&[scope]).await
    }

    /// The token is the field: a row's value opens under its own alone.
    fn name<'n>(&'n self, token: &'n Token) -> FieldName<'n> {
        FieldName {
            collection: &self.collection,
            path: token.as_str(),
        }
    }
}

impl fmt::Debug for TokenVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVault")
            .field("collection", &self.collection)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
