//! What can go wrong, and how it is told.

use std::fmt;
use std::time::Duration;

use bartizan_core::{Code, Outcome, Rejection, RejectionKind};

/// A configuration that cannot work; names the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The application has no name, or one that is too long.
    #[error("the application's name has {0} bytes, which is not within 1 and 65535")]
    Application(usize),
    /// The collection has no name, or one that is too long.
    #[error("the collection's name has {0} bytes, which is not within 1 and 65535")]
    Collection(usize),
    /// A blind index of too few or too many bits.
    #[error("an index of {0} bits; 8 to 64 are possible")]
    IndexBits(u8),
    /// Keys would be kept for no time, or be due after their end.
    #[error("a ttl of {ttl:?} does not fit a hard limit of {hard:?}")]
    Lifetimes {
        /// How long keys serve.
        ttl: Duration,
        /// How long they serve at most.
        hard: Duration,
    },
    /// There is no field to seal, so that the layer would do nothing.
    #[error("no field is named")]
    NoField,
    /// A path cannot be used.
    #[error("path {path:?} {problem}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A limit is zero.
    #[error("the limit of {0} is zero")]
    Zero(&'static str),
}

/// A provider of keys that cannot work as described; names the offending value.
#[cfg(any(
    feature = "aws-kms",
    feature = "pkcs11",
    feature = "postgres",
    feature = "vault"
))]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderConfigError {
    /// Roots, limits or deadlines.
    #[cfg(any(feature = "aws-kms", feature = "vault"))]
    #[error(transparent)]
    Fetch(#[from] bartizan_source::ConfigError),
    /// Something that has no default is not set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A name that is none.
    #[error("{setting} cannot be {name:?}")]
    Name {
        /// Which name.
        setting: &'static str,
        /// The name.
        name: String,
    },
    /// A library or connection that cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Not a URL that is gone to.
    #[error("the URL cannot be used: {0}")]
    Url(String),
}

/// When a client may come back after keys could not be had.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why something could not be sealed or opened.
///
/// Its text never holds any part of a value or of a key.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct EncryptError(EncryptErrorKind);

/// The reasons for not sealing or not opening.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EncryptErrorKind {
    /// The caller may not see a field of the response.
    AccessDenied,
    /// The body of the request broke off.
    BodyFailed,
    /// A client sent a ciphertext where a value is expected.
    CiphertextInjected,
    /// The ciphertext was sealed for another place, under another key, or was changed in front.
    ContextMismatch,
    /// The ciphertext was changed.
    Corrupt,
    /// A member that is sealed is there twice.
    DuplicateMember,
    /// A part of the context is empty or too long.
    InvalidContext,
    /// The value does not have the type that it was sealed as, or none that can be sealed.
    InvalidValue,
    /// The key was disabled.
    KeyDisabled,
    /// The keys cannot be had at present.
    KeysUnavailable,
    /// What should be a ciphertext is none.
    MalformedCiphertext,
    /// The body is no JSON document.
    MalformedJson,
    /// The bytes are no protobuf message, or one in an ambiguous spelling.
    MalformedMessage,
    /// What should be a token is none.
    MalformedToken,
    /// There is no key to seal with.
    NoActiveKey,
    /// The request does not say whose fields they are.
    NoPlace,
    /// The system gave no random bytes.
    NoRandomness,
    /// The place's keys were not prepared.
    NotPrepared,
    /// A value is stored that is not sealed.
    PlaintextFound,
    /// The response is none that fields can be shown in.
    ResponseUnusable,
    /// The key was destroyed: what it sealed can never be read again.
    Shredded,
    /// The document nests deeper than 64.
    TooDeep,
    /// The body is larger than allowed.
    TooLarge,
    /// Something else is where a path expects an object or an array.
    UnexpectedShape,
    /// No key has the ciphertext's id.
    UnknownKey,
    /// The body is not JSON, or is compressed.
    UnsupportedMedia,
    /// The ciphertext is of a version that is not known.
    UnsupportedVersion,
}

impl EncryptError {
    /// The reason.
    pub fn kind(self) -> EncryptErrorKind {
        self.0
    }

    /// The stable code of the reason.
    pub fn code(self) -> Code {
        self.0.code()
    }

    /// The same, met in a response: what would be the client's fault there is the service's.
    pub(crate) fn in_response(self) -> Self {
        match self.0.rejection() {
            RejectionKind::Malformed
            | RejectionKind::TooLarge
            | RejectionKind::UnsupportedMedia => EncryptErrorKind::ResponseUnusable.into(),
            _ => self,
        }
    }

    /// How a decision calls it.
    pub(crate) fn outcome(self) -> Outcome {
        Rejection::from(self).outcome()
    }
}

impl From<EncryptError> for Rejection {
    /// The refusal that a client sees. Of what is wrong with stored values it learns nothing.
    fn from(error: EncryptError) -> Self {
        let kind = error.0.rejection();
        let rejection = Self::new(kind, error.code());
        match kind {
            RejectionKind::Internal => rejection,
            RejectionKind::Unavailable => rejection.with_retry_after(RETRY_AFTER),
            _ => rejection.with_detail(error.0.phrase()),
        }
        .with_cause(error)
    }
}

impl EncryptErrorKind {
    /// The stable code, which dashboards may rely on.
    pub const fn code(self) -> Code {
        match self {
            Self::AccessDenied => const { Code::new("encrypt.access_denied") },
            Self::BodyFailed => const { Code::new("encrypt.body_failed") },
            Self::CiphertextInjected => const { Code::new("encrypt.ciphertext_injected") },
            Self::ContextMismatch => const { Code::new("encrypt.context_mismatch") },
            Self::Corrupt => const { Code::new("encrypt.corrupt") },
            Self::DuplicateMember => const { Code::new("encrypt.duplicate_member") },
            Self::InvalidContext => const { Code::new("encrypt.invalid_context") },
            Self::InvalidValue => const { Code::new("encrypt.invalid_value") },
            Self::KeyDisabled => const { Code::new("encrypt.key_disabled") },
            Self::KeysUnavailable => const { Code::new("encrypt.keys_unavailable") },
            Self::MalformedCiphertext => const { Code::new("encrypt.malformed_ciphertext") },
            Self::MalformedJson => const { Code::new("encrypt.malformed_json") },
            Self::MalformedMessage => const { Code::new("encrypt.malformed_message") },
            Self::MalformedToken => const { Code::new("encrypt.malformed_token") },
            Self::NoActiveKey => const { Code::new("encrypt.no_active_key") },
            Self::NoPlace => const { Code::new("encrypt.no_place") },
            Self::NoRandomness => const { Code::new("encrypt.no_randomness") },
            Self::NotPrepared => const { Code::new("encrypt.not_prepared") },
            Self::PlaintextFound => const { Code::new("encrypt.plaintext_found") },
            Self::ResponseUnusable => const { Code::new("encrypt.response_unusable") },
            Self::Shredded => const { Code::new("encrypt.shredded") },
            Self::TooDeep => const { Code::new("encrypt.too_deep") },
            Self::TooLarge => const { Code::new("encrypt.too_large") },
            Self::UnexpectedShape => const { Code::new("encrypt.unexpected_shape") },
            Self::UnknownKey => const { Code::new("encrypt.unknown_key") },
            Self::UnsupportedMedia => const { Code::new("encrypt.unsupported_media") },
            Self::UnsupportedVersion => const { Code::new("encrypt.unsupported_version") },
        }
    }

    /// The code without the name of the crate, for decisions that name it elsewhere.
    pub(crate) fn word(self) -> &'static str {
        let code = self.code().as_str();
        code.strip_prefix("encrypt.").unwrap_or(code)
    }

    const fn rejection(self) -> RejectionKind {
        match self {
            Self::AccessDenied => RejectionKind::Forbidden,
            Self::BodyFailed
            | Self::CiphertextInjected
            | Self::DuplicateMember
            | Self::MalformedJson
            | Self::MalformedMessage
            | Self::MalformedToken
            | Self::TooDeep
            | Self::UnexpectedShape => RejectionKind::Malformed,
            Self::KeysUnavailable => RejectionKind::Unavailable,
            Self::TooLarge => RejectionKind::TooLarge,
            Self::UnsupportedMedia => RejectionKind::UnsupportedMedia,
            _ => RejectionKind::Internal,
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::AccessDenied => "the caller may not see the field",
            Self::BodyFailed => "the body ended too early",
            Self::CiphertextInjected => "a ciphertext where a value is expected",
            Self::ContextMismatch => "sealed for another place or under another key",
            Self::Corrupt => "the ciphertext was changed",
            Self::DuplicateMember => "a sealed member is there twice",
            Self::InvalidContext => "a part of the context is empty or too long",
            Self::InvalidValue => "the value is not of the expected type",
            Self::KeyDisabled => "the key is disabled",
            Self::KeysUnavailable => "the keys cannot be had at present",
            Self::MalformedCiphertext => "not a ciphertext",
            Self::MalformedJson => "not a JSON document",
            Self::MalformedMessage => "not a message in its usual spelling",
            Self::MalformedToken => "not a token",
            Self::NoActiveKey => "there is no key to seal with",
            Self::NoPlace => "the request does not say whose fields they are",
            Self::NoRandomness => "the system gives no random bytes",
            Self::NotPrepared => "the keys of this place were not prepared",
            Self::PlaintextFound => "a value is stored that is not sealed",
            Self::ResponseUnusable => "the response is none that fields can be shown in",
            Self::Shredded => "the key was destroyed",
            Self::TooDeep => "the document nests too deep",
            Self::TooLarge => "the body is too large",
            Self::UnexpectedShape => "something else where an object or array is expected",
            Self::UnknownKey => "no key has this id",
            Self::UnsupportedMedia => "not plain JSON",
            Self::UnsupportedVersion => "a ciphertext of an unknown version",
        }
    }
}

impl From<EncryptErrorKind> for EncryptError {
    fn from(kind: EncryptErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Debug for EncryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptError({:?})", self.0)
    }
}

impl fmt::Display for EncryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.phrase())
    }
}

impl std::error::Error for EncryptError {}
