//! What can go wrong, and how it is told.

use std::fmt;
use std::time::Duration;

use bartizan_core::Code;

/// A configuration that cannot work; names the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The application has no name, or one that is too long.
    #[error("the application's name has {0} bytes, which is not within 1 and 65535")]
    Application(usize),
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
    /// A limit is zero.
    #[error("the limit of {0} is zero")]
    Zero(&'static str),
}

/// Why something could not be sealed or opened.
///
/// Its text never holds any part of a value or of a key.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct EncryptError(EncryptErrorKind);

/// The reasons for not sealing or not opening.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EncryptErrorKind {
    /// The ciphertext was sealed for another place, under another key, or was changed in front.
    ContextMismatch,
    /// The ciphertext was changed.
    Corrupt,
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
    /// There is no key to seal with.
    NoActiveKey,
    /// The system gave no random bytes.
    NoRandomness,
    /// The place's keys were not prepared.
    NotPrepared,
    /// The key was destroyed: what it sealed can never be read again.
    Shredded,
    /// No key has the ciphertext's id.
    UnknownKey,
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
}

impl EncryptErrorKind {
    /// The stable code, which dashboards may rely on.
    pub const fn code(self) -> Code {
        match self {
            Self::ContextMismatch => const { Code::new("encrypt.context_mismatch") },
            Self::Corrupt => const { Code::new("encrypt.corrupt") },
            Self::InvalidContext => const { Code::new("encrypt.invalid_context") },
            Self::InvalidValue => const { Code::new("encrypt.invalid_value") },
            Self::KeyDisabled => const { Code::new("encrypt.key_disabled") },
            Self::KeysUnavailable => const { Code::new("encrypt.keys_unavailable") },
            Self::MalformedCiphertext => const { Code::new("encrypt.malformed_ciphertext") },
            Self::NoActiveKey => const { Code::new("encrypt.no_active_key") },
            Self::NoRandomness => const { Code::new("encrypt.no_randomness") },
            Self::NotPrepared => const { Code::new("encrypt.not_prepared") },
            Self::Shredded => const { Code::new("encrypt.shredded") },
            Self::UnknownKey => const { Code::new("encrypt.unknown_key") },
            Self::UnsupportedVersion => const { Code::new("encrypt.unsupported_version") },
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::ContextMismatch => "sealed for another place or under another key",
            Self::Corrupt => "the ciphertext was changed",
            Self::InvalidContext => "a part of the context is empty or too long",
            Self::InvalidValue => "the value is not of the expected type",
            Self::KeyDisabled => "the key is disabled",
            Self::KeysUnavailable => "the keys cannot be had at present",
            Self::MalformedCiphertext => "not a ciphertext",
            Self::NoActiveKey => "there is no key to seal with",
            Self::NoRandomness => "the system gives no random bytes",
            Self::NotPrepared => "the keys of this place were not prepared",
            Self::Shredded => "the key was destroyed",
            Self::UnknownKey => "no key has this id",
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
