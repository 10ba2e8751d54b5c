//! What can be wrong with a configuration, and the one refusal of this crate.

use bartizan_core::{Code, Rejection, RejectionKind};

/// Why a configuration cannot work.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A rule names headers or fields that its level does not record.
    #[error("a rule names headers or fields that its level does not record")]
    Level,
    /// A field is not named by a JSON pointer.
    #[error("{0:?} is no json pointer: it does not begin with a slash")]
    Pointer(String),
    /// A rule would record a secret.
    #[error("{0:?} names a secret, which no rule can record")]
    Secret(String),
    /// A limit of zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

/// The record of the request could not be made durable in time.
const NOT_DURABLE: Code = Code::new("audit.not_durable");

/// The refusal of a request whose record could not be made durable.
pub(crate) fn not_durable() -> Rejection {
    Rejection::new(RejectionKind::Unavailable, NOT_DURABLE)
        .with_detail("the request cannot be recorded at present")
}
