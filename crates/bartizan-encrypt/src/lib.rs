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
//! # Structs
//!
//! [`Encrypt`](derive@Encrypt) makes the sealed twin of a struct, with a type for each field, so
//! that two of them cannot be swapped:
//!
//! ```
//! use bartizan_encrypt::{Encrypt, EncryptError, Prepared};
//!
//! #[derive(Encrypt)]
//! #[encrypt(collection = "patient", tenant = clinic, record = id)]
//! struct Patient {
//!     clinic: String,
//!     id: u64,
//!     #[encrypt]
//!     ssn: String,
//!     #[encrypt(path = "phone_number")]
//!     phone: Option<String>,
//! }
//!
//! fn store(patient: Patient, keys: &Prepared) -> Result<PatientSealed, EncryptError> {
//!     let sealed = patient.seal(keys)?;
//!     assert!(sealed.open_ssn(keys)?.expose().len() > 3);
//!     Ok(sealed)
//! }
//! ```
//!
//! ```compile_fail
//! # use bartizan_encrypt::Encrypt;
//! # #[derive(Encrypt)]
//! # #[encrypt(collection = "patient", tenant = clinic)]
//! # struct Patient {
//! #     clinic: String,
//! #     #[encrypt]
//! #     ssn: String,
//! #     #[encrypt]
//! #     phone: String,
//! # }
//! fn swap(patient: PatientSealed) -> PatientSealed {
//!     PatientSealed { ssn: patient.phone, phone: patient.ssn, ..patient }
//! }
//! ```
//!
//! # The layer
//!
//! [`EncryptLayer`] does the same to the JSON bodies of a service that knows nothing of it:
//!
//! ```
//! use bartizan_encrypt::{
//!     EncryptConfig, EncryptLayer, FieldRule, Grant, KeyFile, Keyring, Mask, Place, Shown,
//! };
//! # use bartizan_encrypt::{EncryptBody, KeyBytes, LocalKek};
//! # use bartizan_core::{Principal, Scheme, SecurityContext};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! # use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("bartizan-layer-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let kek = LocalKek::new(&KeyBytes::generate()?);
//! # let store = KeyFile::create(&folder.join("keys.json"), kek.clone())?;
//! # let keyring = Keyring::builder("clinic", store, kek).build()?;
//! let ssn = FieldRule::new("/ssn")
//!     .show(Grant::scope("pii:read"), Shown::Plain)
//!     .show(Grant::scope("support"), Shown::Masked(Mask::Last4));
//! let config = EncryptConfig::builder(keyring, "patient", |parts: &http::request::Parts, _: &_| {
//!     Place::new("acme").ok()?.with_record(parts.uri.path()).ok()
//! });
//! let layer = EncryptLayer::new(config.add_field(ssn).build()?);
//! # let stored = std::sync::Arc::new(std::sync::Mutex::new(Bytes::new()));
//! # let handler_stored = stored.clone();
//! # let handler = service_fn(move |request: Request<EncryptBody<Full<Bytes>>>| {
//! #     let stored = handler_stored.clone();
//! #     async move {
//! #         let body = request.into_body().collect().await.expect("a whole body").to_bytes();
//! #         *stored.lock().expect("no panic") = body.clone();
//! #         let response = Response::builder().header("content-type", "application/json");
//! #         Ok::<_, std::convert::Infallible>(response.body(Full::new(body)).expect("a response"))
//! #     }
//! # });
//! # let service = layer.layer(handler);
//! # let send = async |scope: &str, body: &'static str| {
//! #     let context = SecurityContext::new("/p/17".parse().expect("a path"));
//! #     let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "caller");
//! #     context.set_principal(principal.with_scopes([scope]).assert_verified()).expect("once");
//! #     let request = Request::put("/p/17").header("content-type", "application/json");
//! #     let request = request.extension(context).body(Full::new(Bytes::from(body)));
//! #     let response = service.clone().oneshot(request.expect("a request")).await.expect("one");
//! #     let status = response.status();
//! #     (status, response.into_body().collect().await.expect("whole").to_bytes())
//! # };
//!
//! // The handler stores what it gets, and answers with what it has stored.
//! let (_, answer) = send("pii:read", r#"{"ssn":"078-05-1120"}"#).await;
//! assert_eq!(answer, r#"{"ssn":"078-05-1120"}"#);
//! let (_, answer) = send("support", r#"{"ssn":"078-05-1120"}"#).await;
//! assert_eq!(answer, r#"{"ssn":"****1120"}"#);
//! assert!(stored.lock().expect("no panic").starts_with(br#"{"ssn":"fe1."#));
//!
//! // A document that parsers read differently is refused.
//! let (status, _) = send("pii:read", r#"{"ssn":"1","ssn":"2"}"#).await;
//! assert_eq!(status, 400);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # How the layer decides
//!
//! 1. [`Locate`] says whose fields they are; without an answer the request is refused.
//! 2. A request with a body must be one JSON document, not compressed, within a size (1 MiB) and
//!    a depth (64). It is refused if it names a field twice, if there is something else where a
//!    path expects an object or an array, if a field holds a ciphertext already, or if there are
//!    more values to seal than 10,000 (each grows by some 120 bytes).
//! 3. Fields are sealed in one pass; every other byte stays as it is. Escapes in names are
//!    decoded first, as the handler will.
//! 4. On the way out each field is shown by the first [`Grant`] that holds, or as the rule says
//!    for everybody else: the ciphertext, unless said otherwise. A value of a forgotten person
//!    becomes `null`. Anything else that does not open refuses the response.
//! 5. `Content-Length` is corrected; `ETag` and checksums are removed, also from trailers and from
//!    what answers `HEAD` or says "not modified"; a response that holds any of the fields is not to
//!    be stored (`Cache-Control: no-store`), since others may see it otherwise. `Range` is not
//!    passed on.
//! 6. A successful response that is no JSON document is refused: streams of events and of lines
//!    are. One that tells of a failure passes as it is.
//! 7. Each request leaves one decision, which names paths, what was done or what was wrong there,
//!    and key ids.
//!
//! In shadow mode everything passes as it is, and the decision tells what would have been done.
//!
//! # Migrating from plaintext
//!
//! 1. Put the layer in shadow mode: its decisions name the fields that would change.
//! 2. Enforce it with [`PlaintextPolicy::AcceptUntil`] a day: what is stored plain is shown by the
//!    same rules meanwhile, and decisions about it have the code `encrypt.plaintext_accepted`.
//!    Columns are read as [`Stored`], under a [`Migration`] of the same day.
//! 3. Seal what is stored: [`DocumentFields::allow_plaintext`], or `bartizan keys reseal --records`.
//! 4. When the code is not met any more, take the policy away.
//!
//! # What there is
//!
//! | what | for |
//! |---|---|
//! | [`Encrypted`], [`Plain`], [`Field`] | values in their two states, with the field in their type |
//! | [`Keyring`], [`Prepared`] | keys that are fetched, then used without waiting |
//! | [`KeyFile`], [`LocalKek`] | keys in one sealed file, under a key from a file, variable or passphrase |
//! | [`Reseal`], [`SealedValues`] | everything stored, put under the key that seals now |
//! | [`BlindIndex`], [`PseudonymDomain`] | finding sealed values; naming people otherwise |
//! | [`TokenVault`], [`TokenFile`] | random tokens in the place of values, and the way back |
//! | [`EncryptLayer`], [`FieldRule`] | JSON bodies of HTTP |
//! | [`DocumentFields`] | JSON documents elsewhere, sealed anew |
//! | [`Migration`], [`Stored`] | values that may not be sealed yet |
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
//! * JSON bodies while they are in the buffers of the connection and of the handler: only the
//!   layer's own are wiped.
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
//! | feature | gives |
//! |---|---|
//! | `aws-kms` | `AwsKms`: data keys wrapped by AWS KMS |
//! | `pkcs11` | `Pkcs11Kek`: data keys wrapped in a hardware module |
//! | `postgres` | `PostgresKeys`: key records in a table that all instances share |
//! | `vault` | `VaultTransit`: data keys wrapped by Vault's transit engine |
//! | `prost` | [`MessageFields`]: the same for fields of protobuf messages |
//!
//! [C2SP chunked encryption]: https://c2sp.org/chunked-encryption
//! [`SubjectKeyring`]: bartizan_core::SubjectKeyring
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "aws-kms")]
mod aws;
mod body;
mod ciphertext;
mod cobblestone;
mod config;
mod context;
mod document;
mod error;
mod form;
mod future;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod json;
mod kek;
mod key;
mod key_file;
mod keyring;
mod layer;
mod mask;
#[cfg(feature = "prost")]
mod message;
mod migration;
mod padding;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "postgres")]
mod postgres;
mod prepared;
#[cfg(feature = "prost")]
mod protobuf;
#[cfg(any(feature = "aws-kms", feature = "vault"))]
mod remote;
mod reseal;
mod rules;
mod salts;
mod scope_keys;
mod service;
mod store;
mod suite;
mod token;
mod transform;
mod value;
#[cfg(feature = "vault")]
mod vault;
mod wiped;

pub use bartizan_encrypt_derive::Encrypt;

#[cfg(feature = "aws-kms")]
pub use self::aws::{
    AwsCredentialSource, AwsCredentials, AwsEnvironment, AwsKms, AwsKmsBuilder, AwsWebIdentity,
};
pub use self::body::EncryptBody;
pub use self::ciphertext::{Ciphertext, KeyId, TEXT_PREFIX};
pub use self::config::{EncryptConfig, EncryptConfigBuilder, Locate};
pub use self::context::{LONGEST_PART, Place};
pub use self::document::{DocumentFields, ResealedDocument};
#[cfg(any(
    feature = "aws-kms",
    feature = "pkcs11",
    feature = "postgres",
    feature = "vault"
))]
pub use self::error::ProviderConfigError;
pub use self::error::{ConfigError, EncryptError, EncryptErrorKind};
pub use self::future::EncryptFuture;
pub use self::index::{BlindIndex, IndexValue, IndexValues, Normalizer, PseudonymDomain};
pub use self::kek::{Kek, KekAnswer, KekError, LocalKek, LocalKekError, PassphraseParameters};
pub use self::key::{KeyBytes, KeyPurpose, KeyRecord, KeyScope, KeyStage};
pub use self::key_file::{KeyFile, KeyFileError};
pub use self::keyring::{KeyChangeError, Keyring, KeyringBuilder, Rewrapped};
pub use self::layer::EncryptLayer;
pub use self::mask::{Generalizer, Mask, Redacted};
#[cfg(feature = "prost")]
pub use self::message::{MessageCall, MessageFields, MessageFieldsBuilder};
pub use self::migration::{Migration, Stored};
pub use self::padding::Padding;
#[cfg(feature = "pkcs11")]
pub use self::pkcs11::{Pkcs11Kek, Pkcs11KekBuilder};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresKeys, PostgresKeysBuilder};
pub use self::prepared::Prepared;
pub use self::reseal::{
    Replacement, Reseal, ResealError, ResealProgress, SealedValues, StoredValue,
};
pub use self::rules::{FieldRule, Grant, PlaintextPolicy, Shown};
pub use self::service::Encrypt;
pub use self::store::{KeyChange, KeyStore, StoreAnswer, StoreError};
pub use self::suite::Suite;
pub use self::token::{
    Token, TokenError, TokenFile, TokenFileError, TokenRow, TokenRows, TokenStore, TokenVault,
};
pub use self::value::{Encrypted, Field, Plain};
#[cfg(feature = "vault")]
pub use self::vault::{VaultAuth, VaultTransit, VaultTransitBuilder};
pub use self::wiped::WipedBytes;

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
