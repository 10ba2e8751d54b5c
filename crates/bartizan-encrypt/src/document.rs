//! Documents that are stored: their fields sealed anew, under the key that seals now.

use crate::ciphertext::Ciphertext;
use crate::context::Place;
use crate::error::{ConfigError, EncryptError, EncryptErrorKind};
use crate::form::{Selection, Token};
use crate::json::{Fate, Paths};
use crate::prepared::{FieldName, Prepared};
use crate::rules::{FieldRule, PlaintextPolicy};
use crate::transform::{Fields, MOST_VALUES};
use crate::wiped::WipedBytes;

/// The sealed fields of stored JSON documents, for sealing them anew in bulk: rows of a table,
/// lines of a file, messages of a topic.
///
/// ```
/// use bartizan_encrypt::{DocumentFields, FieldRule, Place, Prepared};
///
/// fn migrate(keys: &Prepared, stored: &mut String) -> Result<bool, Box<dyn std::error::Error>> {
///     let fields = DocumentFields::new("patient", [FieldRule::new("/ssn")])?;
///     let here = Place::new("acme")?.with_record("17")?;
///     let resealed = fields.reseal(keys, &here, stored)?;
///     // `None`: everything is under the present key, and there is nothing to store.
///     match resealed.document {
///         Some(document) => *stored = String::from_utf8(document)?,
///         None => return Ok(false),
///     }
///     Ok(true)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DocumentFields {
    fields: Fields,
    seals_plaintext: bool,
}

/// What became of the fields of one document.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ResealedDocument {
    /// The document to store; `None` if nothing in it changed. Values in it that are not sealed
    /// are the caller's to wipe.
    pub document: Option<Vec<u8>>,
    /// Fields that were sealed anew, or for the first time.
    pub resealed: usize,
    /// Fields that were under the present key already.
    pub current: usize,
    /// Fields that are not sealed, and stay so unless [that is
    /// allowed](DocumentFields::allow_plaintext).
    pub plaintext: usize,
    /// Fields whose key was destroyed: they stay as they are.
    pub lost: usize,
}

impl DocumentFields {
    /// Fields of the documents of this collection. Who may see them is not asked here.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming what cannot be.
    pub fn new(
        collection: &str,
        rules: impl IntoIterator<Item = FieldRule>,
    ) -> Result<Self, ConfigError> {
        let rules: Vec<_> = rules.into_iter().collect();
        let paths = Paths::new(rules.iter().map(|rule| &*rule.path))?;
        let fields = Fields {
            collection: collection.into(),
            rules,
            selection: Selection::Json(paths),
            plaintext: PlaintextPolicy::Refuse,
            max_values: MOST_VALUES,
        };
        fields.check()?;
        Ok(Self {
            fields,
            seals_plaintext: false,
        })
    }

    /// Seals values that are not sealed yet: a migration, in bulk. Without this they are counted,
    /// and stay.
    #[must_use]
    pub fn allow_plaintext(mut self) -> Self {
        self.seals_plaintext = true;
        self
    }

    /// Seals anew what is not under the key that seals now. Every other byte stays.
    ///
    /// # Errors
    ///
    /// If the document is none, if a field does not open at this place, or if the keys of the
    /// place are not at hand.
    pub fn reseal(
        &self,
        keys: &Prepared,
        place: &Place,
        document: &str,
    ) -> Result<ResealedDocument, EncryptError> {
        let mut done = ResealedDocument::default();
        let fields = &self.fields;
        let written =
            fields
                .selection
                .rewrite(document.as_bytes(), &mut |number, token, out| {
                    fields.count_one(done.resealed + done.current + done.plaintext + done.lost)?;
                    self.field(keys, place, fields.rule(number)?, token, out, &mut done)
                })?;
        done.document = (done.resealed > 0).then(|| written.into_inner());
        Ok(done)
    }

    fn field(
        &self,
        keys: &Prepared,
        place: &Place,
        rule: &FieldRule,
        token: Token<'_>,
        out: &mut WipedBytes,
        done: &mut ResealedDocument,
    ) -> Result<Fate, EncryptError> {
        let name = self.fields.name(rule);
        let Some(text) = token.claimed() else {
            if token.is_null() {
                return Ok(Fate::Keep);
            }
            if !self.seals_plaintext {
                done.plaintext += 1;
                return Ok(Fate::Keep);
            }
            return self.seal(keys, place, (rule, name), token.bytes(), out, done);
        };
        let ciphertext: Ciphertext = text.parse()?;
        let current = keys.is_current(place, &ciphertext);
        if let Ok(true) = current {
            done.current += 1;
            return Ok(Fate::Keep);
        }
        match current.and_then(|_| keys.open_content(place, name, &ciphertext)) {
            Ok(content) => self.seal(keys, place, (rule, name), &content, out, done),
            Err(error) if error.kind() == EncryptErrorKind::Shredded => {
                done.lost += 1;
                Ok(Fate::Keep)
            }
            Err(error) => Err(error),
        }
    }

    fn seal(
        &self,
        keys: &Prepared,
        place: &Place,
        (rule, name): (&FieldRule, FieldName<'_>),
        content: &[u8],
        out: &mut WipedBytes,
        done: &mut ResealedDocument,
    ) -> Result<Fate, EncryptError> {
        let sealed = keys.seal_content(place, name, content, rule.padding)?;
        self.fields.selection.write_ciphertext(&sealed, out);
        done.resealed += 1;
        Ok(Fate::Replace)
    }
}
