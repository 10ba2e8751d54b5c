//! Seals and opens, without waiting for anybody.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use crate::ciphertext::Ciphertext;
use crate::cobblestone::{Failure, sealed_length};
use crate::context::{Context, Place};
use crate::error::{EncryptError, EncryptErrorKind};
use crate::key::{KeyPurpose, KeyScope};
use crate::padding::{Padding, unpad};
use crate::reseal::StoredValue;
use crate::salts::Salts;
use crate::scope_keys::ScopeKeys;
use crate::suite::Suite;
use crate::value::{Encrypted, Field, Plain, to_json};
use crate::wiped::WipedBytes;

/// The keys of some scopes at hand, got from [`Keyring::prepare`](crate::Keyring::prepare).
///
/// Cheap to clone. Meant for one request or one piece of work: it does not learn of keys that
/// were rotated, disabled or destroyed after it was got.
#[derive(Clone)]
pub struct Prepared {
    application: Arc<str>,
    suite: Suite,
    scopes: Arc<[(KeyScope, Arc<ScopeKeys>)]>,
}

/// What a field is called, for code that knows fields only at run time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldName<'f> {
    pub(crate) collection: &'f str,
    pub(crate) path: &'f str,
}

impl Prepared {
    pub(crate) fn new(
        application: Arc<str>,
        suite: Suite,
        scopes: Vec<(KeyScope, Arc<ScopeKeys>)>,
    ) -> Self {
        Self {
            application,
            suite,
            scopes: scopes.into(),
        }
    }

    /// Seals a value as this field of this place.
    ///
    /// # Errors
    ///
    /// [`NotPrepared`](EncryptErrorKind::NotPrepared) if the keys of the place are not among those
    /// at hand; [`Shredded`](EncryptErrorKind::Shredded) if the person was erased;
    /// [`InvalidValue`](EncryptErrorKind::InvalidValue) if the value has no JSON form.
    pub fn seal<T: Serialize, F: Field>(
        &self,
        place: &Place,
        value: &T,
    ) -> Result<Encrypted<T, F>, EncryptError> {
        let content = to_json(value)?;
        let name = FieldName::of::<F>();
        let sealed = self.seal_content(place, name, &content, F::PADDING)?;
        Ok(Encrypted::from_ciphertext(sealed))
    }

    /// Seals a value that is in its JSON form already, as it is: it is not looked at.
    ///
    /// # Errors
    ///
    /// See [`seal`](Self::seal).
    pub fn seal_json<T, F: Field>(
        &self,
        place: &Place,
        json: &[u8],
    ) -> Result<Encrypted<T, F>, EncryptError> {
        let sealed = self.seal_content(place, FieldName::of::<F>(), json, F::PADDING)?;
        Ok(Encrypted::from_ciphertext(sealed))
    }

    /// Opens a value and leaves it in its JSON form; wiped when dropped.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn open_json<T, F: Field>(
        &self,
        place: &Place,
        value: &Encrypted<T, F>,
    ) -> Result<Plain<WipedBytes>, EncryptError> {
        let content = self.open_content(place, FieldName::of::<F>(), value.ciphertext())?;
        Ok(Plain::new(content))
    }

    /// Opens a value of this field of this place.
    ///
    /// # Errors
    ///
    /// [`ContextMismatch`](EncryptErrorKind::ContextMismatch) if it was sealed elsewhere;
    /// [`Shredded`](EncryptErrorKind::Shredded) if its key was destroyed; see
    /// [`EncryptErrorKind`] for the rest.
    pub fn open<T: DeserializeOwned + Zeroize, F: Field>(
        &self,
        place: &Place,
        value: &Encrypted<T, F>,
    ) -> Result<Plain<T>, EncryptError> {
        let content = self.open_content(place, FieldName::of::<F>(), value.ciphertext())?;
        let value = serde_json::from_slice(&content);
        // The error of the parser may quote the value; it ends here.
        value
            .map(Plain::new)
            .map_err(|_| EncryptErrorKind::InvalidValue.into())
    }

    /// The same value under the key that seals now; `None` if that is the one it has, so that
    /// there is nothing to store.
    ///
    /// # Errors
    ///
    /// If it does not open, or cannot be sealed.
    pub fn reseal<T, F: Field>(
        &self,
        place: &Place,
        value: &Encrypted<T, F>,
    ) -> Result<Option<Encrypted<T, F>>, EncryptError> {
        if self.is_current(place, value.ciphertext())? {
            return Ok(None);
        }
        let name = FieldName::of::<F>();
        let content = self.open_content(place, name, value.ciphertext())?;
        let sealed = self.seal_content(place, name, &content, F::PADDING)?;
        Ok(Some(Encrypted::from_ciphertext(sealed)))
    }

    /// The same for a value whose field is known at run time.
    pub(crate) fn resealed(
        &self,
        stored: &StoredValue,
    ) -> Result<Option<Ciphertext>, EncryptError> {
        if self.is_current(&stored.place, &stored.value)? {
            return Ok(None);
        }
        let content = self.open_content(&stored.place, stored.field(), &stored.value)?;
        let sealed = self.seal_content(&stored.place, stored.field(), &content, stored.padding)?;
        Ok(Some(sealed))
    }

    /// Whether a ciphertext has the key and the algorithms that seal now.
    ///
    /// # Errors
    ///
    /// If there is no key that seals.
    pub fn is_current(&self, place: &Place, value: &Ciphertext) -> Result<bool, EncryptError> {
        let key = self.keys(place)?.sealing()?;
        Ok(value.key_id() == key.id && value.suite() == self.suite)
    }

    pub(crate) fn seal_content(
        &self,
        place: &Place,
        field: FieldName<'_>,
        content: &[u8],
        padding: Padding,
    ) -> Result<Ciphertext, EncryptError> {
        let mut salts = Salts::expecting(1);
        self.seal_with(&mut salts, (place, field), content, padding)
    }

    /// The same for one value of several.
    pub(crate) fn seal_with(
        &self,
        salts: &mut Salts,
        (place, field): (&Place, FieldName<'_>),
        content: &[u8],
        padding: Padding,
    ) -> Result<Ciphertext, EncryptError> {
        let key = self.keys(place)?.sealing()?;
        let context = self.context(place, field).encode(self.suite, key.id)?;
        let salt = salts.draw()?;
        let length = padding.length(content.len());
        let header = Ciphertext::header(self.suite, key.id);
        let mut sealed = Vec::with_capacity(header.len() + sealed_length(length));
        sealed.extend_from_slice(&header);
        key.input(self.suite)
            .seal(&salt, &context, content, length, &mut sealed)
            .ok_or(EncryptErrorKind::InvalidValue)?;
        Ciphertext::from_bytes(sealed)
    }

    pub(crate) fn open_content(
        &self,
        place: &Place,
        field: FieldName<'_>,
        value: &Ciphertext,
    ) -> Result<WipedBytes, EncryptError> {
        let suite = value.suite();
        let key = self.keys(place)?.opening(value.key_id())?;
        let context = self.context(place, field).encode(suite, key.id)?;
        let opened = key.input(suite).open(&context, value.body());
        let padded = opened.map_err(|failure| match failure {
            Failure::Commitment => EncryptErrorKind::ContextMismatch,
            Failure::Corrupt | Failure::Length => EncryptErrorKind::Corrupt,
        })?;
        unpad(padded).ok_or(EncryptErrorKind::Corrupt.into())
    }

    /// The keys of a tenant for another purpose than sealing.
    pub(crate) fn keys_for(
        &self,
        tenant: &str,
        purpose: KeyPurpose,
    ) -> Result<&ScopeKeys, EncryptError> {
        self.scope(|scope| scope.names(tenant, None, purpose))
    }

    fn keys(&self, place: &Place) -> Result<&ScopeKeys, EncryptError> {
        let (tenant, subject) = (place.tenant(), place.subject());
        self.scope(|scope| scope.names(tenant, subject, KeyPurpose::Fields))
    }

    fn scope(&self, wanted: impl Fn(&KeyScope) -> bool) -> Result<&ScopeKeys, EncryptError> {
        let found = self.scopes.iter().find(|(scope, _)| wanted(scope));
        found
            .map(|(_, keys)| &**keys)
            .ok_or(EncryptErrorKind::NotPrepared.into())
    }

    fn context<'c>(&'c self, place: &'c Place, field: FieldName<'c>) -> Context<'c> {
        Context {
            application: &self.application,
            place,
            collection: field.collection,
            field: field.path,
        }
    }
}

impl FieldName<'static> {
    fn of<F: Field>() -> Self {
        Self {
            collection: F::COLLECTION,
            path: F::PATH,
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("application", &self.application)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
