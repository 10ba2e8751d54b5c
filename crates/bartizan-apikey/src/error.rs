//! What can go wrong: at configuration, and per request.

mod refusal;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::{Code, WallTime};

use crate::format::KeyId;

pub(crate) use self::refusal::Refusals;

/// A configuration that cannot work; names the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside of what makes sense for it.
    #[error("{setting} is {value}, which is not within {least} and {most}")]
    CountOutOfRange {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: usize,
        /// The least that is accepted.
        least: usize,
        /// The most that is accepted.
        most: usize,
    },
    /// A database cannot be used as it is described.
    #[error("the database: {0}")]
    InvalidDatabase(String),
    /// The name of the store is empty, too long, or holds control characters.
    #[error("{0:?} is no name of a store of keys: 1 to 256 characters that can be printed")]
    InvalidIssuer(String),
    /// The name of a pepper is none.
    #[error("{0:?} is no name of a pepper: 1 to 32 characters of a-z, 0-9 and -")]
    InvalidPepperName(String),
    /// A word of the format of keys is none.
    #[error("{0:?} is no word of a key: 2 to 10 characters of a-z and 0-9, the first a letter")]
    InvalidWord(String),
    /// The keys cannot be used as they are.
    #[error("the keys cannot be used: {0}")]
    InvalidKeys(String),
    /// The keys could not be loaded.
    #[error("the keys could not be loaded")]
    KeysNotLoaded(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing says where the keys are.
    #[error("there are no keys: give a file, a source, or the keys")]
    NoKeys,
    /// A span of time is outside of what makes sense for it.
    #[error("{setting} is {value:?}, which is not within {least:?} and {most:?}")]
    OutOfRange {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: Duration,
        /// The least that is accepted.
        least: Duration,
        /// The most that is accepted.
        most: Duration,
    },
    /// A pepper is shorter than the hash that it goes into.
    #[error("the pepper has {length} bytes, at least {least} are needed")]
    PepperTooShort {
        /// How long it is, in bytes.
        length: usize,
        /// How long it has to be, in bytes.
        least: usize,
    },
    /// A key is hashed under a pepper that is not given.
    #[error("the key {0} is hashed under a pepper that is not among those given")]
    UnknownPepper(KeyId),
    /// A file with a pepper cannot be read.
    #[error("the pepper cannot be read from {}", path.display())]
    UnreadablePepper {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// Why a key was not accepted.
///
/// Its text never holds any part of what was presented.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ApiKeyError {
    kind: ApiKeyErrorKind,
    times: Option<(WallTime, WallTime)>,
}

/// The reasons for not accepting a key.
///
/// Those that speak of one key (`Expired`, `Revoked`, ...) are told to whoever presented its
/// secret. Without it, every key is [`Invalid`](Self::Invalid), whether there is one of that
/// identifier or not.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ApiKeyErrorKind {
    /// The key may not be used from this address.
    AddressNotAllowed,
    /// The key has expired.
    Expired,
    /// A key stands in the URL.
    InUrl,
    /// There is no such key, or its secret is another.
    Invalid,
    /// The keys are not known at present, so that the key can be neither accepted nor refused.
    KeysUnavailable,
    /// The key is valid for longer than allowed.
    LifetimeTooLong,
    /// What is presented does not have the form of a key.
    Malformed,
    /// The `Authorization` field is not `ApiKey`, one space or more, and a key; or a field for
    /// keys is empty.
    MalformedCredentials,
    /// The request carries no key.
    Missing,
    /// The key was mistyped or made up: its checksum does not fit.
    Mistyped,
    /// The request carries more than one key.
    MultipleKeys,
    /// The key is not valid yet.
    NotYetValid,
    /// The key was revoked.
    Revoked,
    /// The key is of another product or environment.
    WrongEnvironment,
}

impl ApiKeyErrorKind {
    /// The stable code, which clients and dashboards may rely on.
    pub const fn code(self) -> Code {
        match self {
            Self::AddressNotAllowed => const { Code::new("apikey.address_not_allowed") },
            Self::Expired => const { Code::new("apikey.expired") },
            Self::InUrl => const { Code::new("apikey.in_url") },
            Self::Invalid => const { Code::new("apikey.invalid") },
            Self::KeysUnavailable => const { Code::new("apikey.keys_unavailable") },
            Self::LifetimeTooLong => const { Code::new("apikey.lifetime_too_long") },
            Self::Malformed => const { Code::new("apikey.malformed") },
            Self::MalformedCredentials => const { Code::new("apikey.malformed_credentials") },
            Self::Missing => const { Code::new("apikey.missing") },
            Self::Mistyped => const { Code::new("apikey.mistyped") },
            Self::MultipleKeys => const { Code::new("apikey.multiple_keys") },
            Self::NotYetValid => const { Code::new("apikey.not_yet_valid") },
            Self::Revoked => const { Code::new("apikey.revoked") },
            Self::WrongEnvironment => const { Code::new("apikey.wrong_environment") },
        }
    }

    /// What went wrong, as a phrase.
    const fn phrase(self) -> &'static str {
        match self {
            Self::AddressNotAllowed => "the key may not be used from this address",
            Self::Expired => "the key has expired",
            Self::InUrl => "a key stands in the URL",
            Self::Invalid => "no such key",
            Self::KeysUnavailable => "the keys are not available",
            Self::LifetimeTooLong => "the key is valid for too long",
            Self::Malformed => "not of the form of a key",
            Self::MalformedCredentials => "malformed field of a key",
            Self::Missing => "no key",
            Self::Mistyped => "the checksum of the key does not fit",
            Self::MultipleKeys => "more than one key",
            Self::NotYetValid => "the key is not valid yet",
            Self::Revoked => "the key was revoked",
            Self::WrongEnvironment => "the key is of another product or environment",
        }
    }
}

impl ApiKeyError {
    pub(crate) const fn new(kind: ApiKeyErrorKind) -> Self {
        Self { kind, times: None }
    }

    /// With the time of the key that was compared with the present one.
    pub(crate) const fn timed(kind: ApiKeyErrorKind, of_key: WallTime, now: WallTime) -> Self {
        Self {
            kind,
            times: Some((of_key, now)),
        }
    }

    /// Why.
    pub const fn kind(&self) -> ApiKeyErrorKind {
        self.kind
    }

    /// The stable code of the reason.
    pub const fn code(&self) -> Code {
        self.kind.code()
    }
}

impl fmt::Debug for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyError({self})")
    }
}

impl fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.phrase())?;
        match self.times {
            None => Ok(()),
            Some((of_key, now)) => {
                write!(f, ": {}, now {}", of_key.unix_seconds(), now.unix_seconds())
            }
        }
    }
}

impl std::error::Error for ApiKeyError {}
