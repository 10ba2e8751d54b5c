//! Field encryption that is hard to misuse: typed places, key commitment, rotation, erasure.
//!
//! Values are sealed before they reach a database, a queue or a log, each under a key of its own
//! that is derived from the tenant's or the person's, and bound to the place it belongs to. A
//! ciphertext opens there and nowhere else; destroying a person's key makes everything about them
//! unreadable. All cryptography is `ring`'s.
//!
//! # Quick start
//!
//! ```
//! use bartizan_encrypt::{
//!     Encrypted, EncryptErrorKind, Field, KeyBytes, KeyFile, KeyScope, Keyring, LocalKek, Place,
//! };
//!
//! /// The field, as a type: collection and path are part of what ciphertexts are bound to.
//! struct Ssn;
//!
//! impl Field for Ssn {
//!     const COLLECTION: &'static str = "patient";
//!     const PATH: &'static str = "ssn";
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("bartizan-encrypt-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("keys.json");
//! // In production the key-encryption key comes from a file: `LocalKek::from_file`.
//! let kek = LocalKek::new(&KeyBytes::generate()?);
//! let store = KeyFile::create(&path, kek.clone())?;
//! let keyring = Keyring::builder("clinic", store, kek).build()?;
//!
//! // Keys are fetched here; what follows waits for nobody.
//! let keys = keyring.prepare(&[KeyScope::tenant("acme")]).await?;
//!
//! let here = Place::new("acme")?.with_record("17")?;
//! let ssn: Encrypted<String, Ssn> = keys.seal(&here, &"078-05-1120".to_owned())?;
//! assert!(ssn.to_string().starts_with("fe1."));
//! assert_eq!(keys.open(&here, &ssn)?.expose(), "078-05-1120");
//!
//! // Copied over to another record, it does not open.
//! let there = Place::new("acme")?.with_record("18")?;
//! let refused = keys.open(&there, &ssn).expect_err("another record");
//! assert_eq!(refused.kind(), EncryptErrorKind::ContextMismatch);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it decides
//!
//! 1. A ciphertext is `version (1) | key id (8) | body`; as text, `fe1.` and base64url. Every
//!    parameter follows from the version ([`Suite`]); none is configuration.
//! 2. The body is [C2SP chunked encryption]: a random salt, a commitment to key and context, and
//!    AES-GCM under a key for this message alone. The commitment is checked before anything is
//!    opened, so that no ciphertext opens under two keys.
//! 3. The context is application, tenant, collection and field, and what [`Place`] adds: record,
//!    person, purpose, schema version. There is no sealing without one.
//! 4. The key of exactly the ciphertext's id opens it, or none does. No other is ever tried.
//! 5. What is sealed is the JSON form of a value, filled up to hide how long it is ([`Padding`]).
//! 6. Data keys are random, wrapped by a [`Kek`] and kept in a [`KeyStore`]. They are
//!    [pre-active, active, decrypt-only, disabled or destroyed](KeyStage). Nothing derives a
//!    person's key from a tenant's, so that destroying it is final.
//! 7. A [`Keyring`] keeps unwrapped keys for a while, and fetches them again in the background.
//!    When they cannot be fetched, they serve until a hard limit; then nothing is sealed or opened.
//!
//! | what | for |
//! |---|---|
//! | [`Encrypted`], [`Plain`], [`Field`] | values in their two states, with the field in their type |
//! | [`Keyring`], [`Prepared`] | keys that are fetched, then used without waiting |
//! | [`KeyFile`], [`LocalKek`] | keys in one sealed file, under a key from a file, variable or passphrase |
//! | [`BlindIndex`], [`PseudonymDomain`] | finding sealed values; naming people otherwise |
//! | [`Mask`], [`Generalizer`], [`Redacted`] | showing part of a value, or none |
//!
//! The [`Keyring`] is the [`SubjectKeyring`] of the family: audit logs and fields share one way to
//! forget a person.
//!
//! # What it does not protect against
//!
//! * Whoever can run code in this process, or read its memory. Our own buffers are wiped; `ring`
//!   does not wipe its expanded keys, and copies that a caller makes are the caller's.
//! * Whoever can write to the key store may put an older state of it in place, with keys that were
//!   destroyed since; and backups of it keep destroyed keys until they expire.
//! * An older ciphertext of the same place in place of the newer: both are genuine. Bind to a
//!   version of the record where that matters.
//! * What lengths tell beyond the steps of [`Padding`], and what a [`BlindIndex`] tells by
//!   equality.
//!
//! # Events
//!
//! Lifecycle events of the layer `encrypt`: `encrypt.key_created`, `encrypt.key_changed`,
//! `encrypt.key_destroyed`, `encrypt.subject_forgotten` and `encrypt.provider_failed`. They name
//! key ids, never people.
//!
//! # Features
//!
//! None.
//!
//! [C2SP chunked encryption]: https://c2sp.org/chunked-encryption
//! [`SubjectKeyring`]: bartizan_core::SubjectKeyring
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ciphertext;
mod cobblestone;
mod context;
mod error;
mod index;
mod kek;
mod key;
mod key_file;
mod keyring;
mod mask;
mod padding;
mod prepared;
mod scope_keys;
mod store;
mod suite;
mod value;

pub use self::ciphertext::{Ciphertext, KeyId, TEXT_PREFIX};
pub use self::context::{LONGEST_PART, Place};
pub use self::error::{ConfigError, EncryptError, EncryptErrorKind};
pub use self::index::{BlindIndex, IndexValue, IndexValues, Normalizer, PseudonymDomain};
pub use self::kek::{Kek, KekAnswer, KekError, LocalKek, LocalKekError, PassphraseParameters};
pub use self::key::{KeyBytes, KeyPurpose, KeyRecord, KeyScope, KeyStage};
pub use self::key_file::{KeyFile, KeyFileError};
pub use self::keyring::{KeyChangeError, Keyring, KeyringBuilder, Rewrapped};
pub use self::mask::{Generalizer, Mask, Redacted};
pub use self::padding::Padding;
pub use self::prepared::Prepared;
pub use self::store::{KeyChange, KeyStore, StoreAnswer, StoreError};
pub use self::suite::Suite;
pub use self::value::{Encrypted, Field, Plain};
