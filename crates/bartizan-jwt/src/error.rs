//! What can go wrong: at configuration (in a room of its own), and per request.

mod config;
mod refusal;

use std::fmt;
use std::time::Duration;

use bartizan_core::{Code, WallTime};
#[cfg(any(feature = "axum", feature = "tonic"))]
use bartizan_core::{Rejection, RejectionKind};

pub use self::config::ConfigError;
pub(crate) use self::refusal::{DPOP_NONCE, Refusals};

/// Why a token was not accepted.
///
/// Its text never holds any part of the token, only numbers that were compared and the names of
/// claims.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct JwtError {
    kind: JwtErrorKind,
    detail: Detail,
}

/// The reasons for not accepting a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum JwtErrorKind {
    /// The algorithm is unknown, not allowed here, or not the key's.
    AlgorithmNotAllowed,
    /// The signature does not verify.
    BadSignature,
    /// The token is bound to a key or certificate (`cnf`), which cannot be checked here.
    BoundToken,
    /// The token is bound to a client certificate, and the connection proves another or none.
    CertificateMismatch,
    /// The verified claims do not have the shape that the handler asked for.
    ClaimsMismatch,
    /// The token has expired.
    Expired,
    /// The token's issuer says that it does not hold.
    Inactive,
    /// The user did not authenticate as this service asks for, or too long ago.
    InsufficientAuthentication,
    /// A claim is missing, or not of the type that its specification gives it.
    InvalidClaim,
    /// The token's issuer cannot be asked about more tokens at present.
    IntrospectionOverloaded,
    /// The token's issuer could not be asked about it, or did not answer.
    IntrospectionUnavailable,
    /// The token was issued in the future.
    IssuedInFuture,
    /// The issuer's keys are not known at present, or a key that may be newer than those known
    /// cannot be asked for yet, so that the token can be neither accepted nor refused.
    KeysUnavailable,
    /// The token is valid for longer than allowed.
    LifetimeTooLong,
    /// The token is not a well-formed signed JSON Web Token.
    Malformed,
    /// The `Authorization` field is not `Bearer`, one space or more, and a token.
    MalformedCredentials,
    /// The request carries no bearer token.
    Missing,
    /// The request carries more than one token.
    MultipleTokens,
    /// The proof of possession has no nonce of this service, or one that has ended.
    NonceRequired,
    /// The token is not valid yet.
    NotYetValid,
    /// The proof of possession does not hold, or there is more than one.
    ProofInvalid,
    /// The token is bound to a key, and the request proves possession of none.
    ProofMissing,
    /// The proof of possession was used before.
    ProofReplayed,
    /// Whether the proof of possession was used before cannot be told at present.
    ProofUnchecked,
    /// The token was revoked.
    Revoked,
    /// The token is larger than allowed.
    TooLarge,
    /// The token is not bound to the key that the request proves, or to any where it must be.
    UnboundToken,
    /// No key of the issuer fits the token.
    UnknownKey,
    /// The header asks for something that this verifier does not do (`crit`, `b64`, `zip`, `enc`).
    UnsupportedHeader,
    /// The token is meant for somebody else.
    WrongAudience,
    /// The token was issued to a client that is not accepted here.
    WrongClient,
    /// The token comes from another issuer.
    WrongIssuer,
    /// The token is of a type that is not accepted here.
    WrongType,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Detail {
    None,
    Claim(&'static str, &'static str),
    Size {
        size: usize,
        limit: usize,
    },
    Text(&'static str),
    Time {
        claim: &'static str,
        value: u64,
        now: u64,
    },
    /// When it may be tried again.
    Wait(Duration),
}

impl JwtErrorKind {
    /// The stable code, which clients and dashboards may rely on.
    pub const fn code(self) -> Code {
        match self {
            Self::AlgorithmNotAllowed => const { Code::new("jwt.algorithm_not_allowed") },
            Self::BadSignature => const { Code::new("jwt.bad_signature") },
            Self::BoundToken => const { Code::new("jwt.bound_token") },
            Self::CertificateMismatch => const { Code::new("jwt.certificate_mismatch") },
            Self::ClaimsMismatch => const { Code::new("jwt.claims_mismatch") },
            Self::Expired => const { Code::new("jwt.expired") },
            Self::Inactive => const { Code::new("jwt.inactive") },
            Self::InsufficientAuthentication => {
                const { Code::new("jwt.insufficient_authentication") }
            }
            Self::InvalidClaim => const { Code::new("jwt.invalid_claim") },
            Self::IntrospectionOverloaded => const { Code::new("jwt.introspection_overloaded") },
            Self::IntrospectionUnavailable => const { Code::new("jwt.introspection_unavailable") },
            Self::IssuedInFuture => const { Code::new("jwt.issued_in_future") },
            Self::KeysUnavailable => const { Code::new("jwt.keys_unavailable") },
            Self::LifetimeTooLong => const { Code::new("jwt.lifetime_too_long") },
            Self::Malformed => const { Code::new("jwt.malformed") },
            Self::MalformedCredentials => const { Code::new("jwt.malformed_credentials") },
            Self::Missing => const { Code::new("jwt.missing") },
            Self::MultipleTokens => const { Code::new("jwt.multiple_tokens") },
            Self::NonceRequired => const { Code::new("jwt.nonce_required") },
            Self::NotYetValid => const { Code::new("jwt.not_yet_valid") },
            Self::ProofInvalid => const { Code::new("jwt.proof_invalid") },
            Self::ProofMissing => const { Code::new("jwt.proof_missing") },
            Self::ProofReplayed => const { Code::new("jwt.proof_replayed") },
            Self::ProofUnchecked => const { Code::new("jwt.proof_unchecked") },
            Self::Revoked => const { Code::new("jwt.revoked") },
            Self::TooLarge => const { Code::new("jwt.too_large") },
            Self::UnboundToken => const { Code::new("jwt.unbound_token") },
            Self::UnknownKey => const { Code::new("jwt.unknown_key") },
            Self::UnsupportedHeader => const { Code::new("jwt.unsupported_header") },
            Self::WrongAudience => const { Code::new("jwt.wrong_audience") },
            Self::WrongClient => const { Code::new("jwt.wrong_client") },
            Self::WrongIssuer => const { Code::new("jwt.wrong_issuer") },
            Self::WrongType => const { Code::new("jwt.wrong_type") },
        }
    }

    /// What went wrong, as a phrase.
    const fn phrase(self) -> &'static str {
        match self {
            Self::AlgorithmNotAllowed => "algorithm not allowed",
            Self::BadSignature => "the signature does not verify",
            Self::BoundToken => "the token is bound to a key, which cannot be checked here",
            Self::CertificateMismatch => "the token is bound to another certificate",
            Self::ClaimsMismatch => "the claims do not have the wanted shape",
            Self::Expired => "token expired",
            Self::Inactive => "the issuer says that the token does not hold",
            Self::InsufficientAuthentication => "the user's authentication does not suffice",
            Self::InvalidClaim => "invalid claim",
            Self::IntrospectionOverloaded => "the issuer cannot be asked about more tokens",
            Self::IntrospectionUnavailable => "the issuer could not be asked about the token",
            Self::IssuedInFuture => "token issued in the future",
            Self::KeysUnavailable => "the keys of the issuer are not available",
            Self::LifetimeTooLong => "token valid for too long",
            Self::Malformed => "not a well-formed token",
            Self::MalformedCredentials => "malformed authorization field",
            Self::Missing => "no bearer token",
            Self::MultipleTokens => "more than one token",
            Self::NonceRequired => "the proof has no nonce that counts",
            Self::NotYetValid => "token not valid yet",
            Self::ProofInvalid => "the proof of possession does not hold",
            Self::ProofMissing => "no proof of possession",
            Self::ProofReplayed => "the proof of possession was used before",
            Self::ProofUnchecked => "replays cannot be told at present",
            Self::Revoked => "the token was revoked",
            Self::TooLarge => "token too large",
            Self::UnboundToken => "the token is not bound",
            Self::UnknownKey => "no key fits the token",
            Self::UnsupportedHeader => "unsupported header parameter",
            Self::WrongAudience => "the token is for another audience",
            Self::WrongClient => "the token is of a client that is not accepted",
            Self::WrongIssuer => "the token is from another issuer",
            Self::WrongType => "token type not accepted",
        }
    }
}

impl JwtError {
    pub(crate) const fn new(kind: JwtErrorKind) -> Self {
        Self {
            kind,
            detail: Detail::None,
        }
    }

    pub(crate) const fn with_detail(kind: JwtErrorKind, detail: Detail) -> Self {
        Self { kind, detail }
    }

    pub(crate) const fn malformed(part: &'static str) -> Self {
        Self::with_detail(JwtErrorKind::Malformed, Detail::Text(part))
    }

    pub(crate) const fn proof(problem: &'static str) -> Self {
        Self::with_detail(JwtErrorKind::ProofInvalid, Detail::Text(problem))
    }

    pub(crate) const fn claim(name: &'static str, problem: &'static str) -> Self {
        Self::with_detail(JwtErrorKind::InvalidClaim, Detail::Claim(name, problem))
    }

    pub(crate) const fn expired(expires: WallTime, now: WallTime) -> Self {
        Self::with_detail(
            JwtErrorKind::Expired,
            Detail::Time {
                claim: "exp",
                value: expires.unix_seconds(),
                now: now.unix_seconds(),
            },
        )
    }

    /// Why.
    pub const fn kind(&self) -> JwtErrorKind {
        self.kind
    }

    /// When it may be tried again, if that is known.
    pub(crate) const fn wait(&self) -> Option<Duration> {
        match self.detail {
            Detail::Wait(span) => Some(span),
            _ => None,
        }
    }

    /// The stable code of the reason.
    pub const fn code(&self) -> Code {
        self.kind.code()
    }
}

#[cfg(any(feature = "axum", feature = "tonic"))]
impl JwtError {
    /// The refusal of a handler that needs claims which a good token does not carry.
    pub(crate) fn into_handler_rejection(self) -> Rejection {
        Rejection::new(RejectionKind::Forbidden, self.code())
            .with_detail("the token does not carry the claims that this needs")
            .with_cause(self)
    }
}

impl fmt::Debug for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtError({self})")
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.phrase())?;
        match self.detail {
            Detail::None => Ok(()),
            Detail::Claim(name, problem) => write!(f, ": {name} {problem}"),
            Detail::Size { size, limit } => write!(f, ": {size} bytes, at most {limit}"),
            Detail::Text(text) => write!(f, ": {text}"),
            Detail::Wait(span) => write!(f, ": again in {} s", span.as_secs()),
            Detail::Time { claim, value, now } => write!(f, ": {claim} {value}, now {now}"),
        }
    }
}

impl std::error::Error for JwtError {}
