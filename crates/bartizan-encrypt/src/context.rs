//! What a ciphertext is bound to: the one place in which it opens.

use crate::ciphertext::{Ciphertext, KeyId};
use crate::error::{EncryptError, EncryptErrorKind};
use crate::suite::Suite;

/// The longest a part of a context may be, in bytes: what its length field holds.
pub const LONGEST_PART: usize = 65_535;

const FORMAT: u8 = 1;

/// The place a value belongs to, short of the field: tenant, and what the caller knows beyond.
///
/// A ciphertext opens only where every part is the same as when it was sealed. The more is named,
/// the less a ciphertext can be moved: without a record, one patient's number can be copied over
/// another's by whoever may write to the database.
///
/// ```
/// use bartizan_encrypt::Place;
///
/// let place = Place::new("acme")?.with_record("order-17")?.with_subject("alice")?;
/// assert_eq!(place.tenant(), "acme");
/// assert!(Place::new("").is_err());
/// # Ok::<(), bartizan_encrypt::EncryptError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Place {
    tenant: Box<str>,
    record: Option<Box<str>>,
    subject: Option<Box<str>>,
    schema: Option<u32>,
    purpose: Option<Box<str>>,
}

impl Place {
    /// A place of this tenant. A service without tenants names itself.
    ///
    /// # Errors
    ///
    /// If a part is empty or longer than [`LONGEST_PART`]; so for the methods below.
    pub fn new(tenant: &str) -> Result<Self, EncryptError> {
        Ok(Self {
            tenant: part(tenant)?,
            record: None,
            subject: None,
            schema: None,
            purpose: None,
        })
    }

    /// Binds to one record, such as a row's primary key.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn with_record(mut self, record: &str) -> Result<Self, EncryptError> {
        self.record = Some(part(record)?);
        Ok(self)
    }

    /// Binds to one person, and takes the key that is theirs alone: destroying that key makes
    /// everything about them unreadable.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn with_subject(mut self, subject: &str) -> Result<Self, EncryptError> {
        self.subject = Some(part(subject)?);
        Ok(self)
    }

    /// Binds to a purpose, such as `billing`.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn with_purpose(mut self, purpose: &str) -> Result<Self, EncryptError> {
        self.purpose = Some(part(purpose)?);
        Ok(self)
    }

    /// Binds to a version of the schema, so that a value of an older shape is not taken for one
    /// of the newer.
    #[must_use]
    pub fn with_schema_version(mut self, version: u32) -> Self {
        self.schema = Some(version);
        self
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The person, if there is one.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

impl std::fmt::Debug for Place {
    /// The person is left out: their name is what must not linger in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("tenant", &self.tenant)
            .field("record", &self.record.as_ref().map(|_| ".."))
            .field("subject", &self.subject.as_ref().map(|_| ".."))
            .field("schema", &self.schema)
            .field("purpose", &self.purpose)
            .finish()
    }
}

/// A place and the field in it: everything that a ciphertext is bound to, but for its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'c> {
    pub(crate) application: &'c str,
    pub(crate) place: &'c Place,
    pub(crate) collection: &'c str,
    pub(crate) field: &'c str,
}

impl Context<'_> {
    /// The one spelling of this context for this key: version, key, count, and the parts in
    /// ascending order of their tags, each with its length. Nothing can be read in two ways.
    pub(crate) fn encode(&self, suite: Suite, key: KeyId) -> Result<Vec<u8>, EncryptError> {
        for text in [self.application, self.collection, self.field] {
            check(text)?;
        }
        let schema = self.place.schema.map(u32::to_be_bytes);
        let parts: [(u8, Option<&[u8]>); 8] = [
            (1, Some(self.application.as_bytes())),
            (2, Some(self.place.tenant.as_bytes())),
            (3, Some(self.collection.as_bytes())),
            (4, Some(self.field.as_bytes())),
            (5, self.place.record.as_deref().map(str::as_bytes)),
            (6, self.place.subject.as_deref().map(str::as_bytes)),
            (7, schema.as_ref().map(<[u8; 4]>::as_slice)),
            (8, self.place.purpose.as_deref().map(str::as_bytes)),
        ];
        let present = || {
            parts
                .iter()
                .filter_map(|(tag, part)| Some((*tag, (*part)?)))
        };
        let (count, bytes) = present().fold((0_u8, 0), |(count, bytes), (_, part)| {
            (count + 1, bytes + part.len())
        });
        let mut encoded = Vec::with_capacity(11 + usize::from(count) * 3 + bytes);
        encoded.push(FORMAT);
        encoded.extend_from_slice(&Ciphertext::header(suite, key));
        encoded.push(count);
        for (tag, part) in present() {
            let length = u16::try_from(part.len()).map_err(|_| EncryptErrorKind::InvalidContext)?;
            encoded.push(tag);
            encoded.extend_from_slice(&length.to_be_bytes());
            encoded.extend_from_slice(part);
        }
        Ok(encoded)
    }
}

fn check(part: &str) -> Result<(), EncryptError> {
    if part.is_empty() || part.len() > LONGEST_PART {
        return Err(EncryptErrorKind::InvalidContext.into());
    }
    Ok(())
}

fn part(text: &str) -> Result<Box<str>, EncryptError> {
    check(text)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: KeyId = KeyId::from_bytes([9; 8]);

    fn encode(texts: &[Option<String>; 7], schema: Option<u32>) -> Vec<u8> {
        let text = |index: usize| texts[index].as_deref().unwrap_or("x");
        let mut place = Place::new(text(1)).expect("a part");
        if let Some(record) = &texts[4] {
            place = place.with_record(record).expect("a part");
        }
        if let Some(subject) = &texts[5] {
            place = place.with_subject(subject).expect("a part");
        }
        if let Some(purpose) = &texts[6] {
            place = place.with_purpose(purpose).expect("a part");
        }
        if let Some(schema) = schema {
            place = place.with_schema_version(schema);
        }
        let context = Context {
            application: text(0),
            place: &place,
            collection: text(2),
            field: text(3),
        };
        context.encode(Suite::default(), KEY).expect("encodable")
    }

    #[test]
    fn the_encoding_is_as_documented() {
        let place = Place::new("t").expect("a part").with_schema_version(2);
        let context = Context {
            application: "a",
            place: &place,
            collection: "c",
            field: "/f",
        };
        let expected = [
            b"\x01\x01\x09\x09\x09\x09\x09\x09\x09\x09\x05".as_slice(),
            b"\x01\0\x01a\x02\0\x01t\x03\0\x01c\x04\0\x02/f\x07\0\x04\0\0\0\x02",
        ];
        let encoded = context
            .encode(Suite::Cobblestone256, KEY)
            .expect("encodable");
        assert_eq!(encoded, expected.concat());
    }

    #[test]
    fn empty_and_endless_parts_are_refused() {
        let long = "x".repeat(LONGEST_PART);
        assert!(Place::new(&long).is_ok());
        assert!(Place::new(&(long + "x")).is_err());
        let place = Place::new("t").expect("a part");
        assert!(place.clone().with_record("").is_err());
        assert!(place.clone().with_subject("").is_err());
        assert!(place.clone().with_purpose("").is_err());
        let context = Context {
            application: "a",
            place: &place,
            collection: "",
            field: "f",
        };
        let error = context
            .encode(Suite::default(), KEY)
            .expect_err("no collection");
        assert_eq!(error.kind(), EncryptErrorKind::InvalidContext);
    }

    #[test]
    fn the_person_is_not_printed() {
        let place = Place::new("acme")
            .and_then(|p| p.with_subject("alice"))
            .expect("parts");
        let printed = format!("{place:?}");
        assert!(
            printed.contains("acme") && !printed.contains("alice"),
            "{printed}"
        );
    }

    prop_compose! {
        fn texts()(
            required in prop::array::uniform4("[ab\\x00-\\x03]{1,3}"),
            optional in prop::array::uniform3(prop::option::of("[ab\\x00-\\x08]{1,3}")),
        ) -> [Option<String>; 7] {
            let [a, b, c, d] = required.map(Some);
            let [e, f, g] = optional;
            [a, b, c, d, e, f, g]
        }
    }

    proptest! {
        #[test]
        fn different_contexts_never_encode_alike(
            left in texts(), right in texts(),
            schemas in prop::array::uniform2(prop::option::of(0_u32..2)),
        ) {
            let same = (&left, schemas[0]) == (&right, schemas[1]);
            prop_assert_eq!(encode(&left, schemas[0]) == encode(&right, schemas[1]), same);
        }
    }
}
