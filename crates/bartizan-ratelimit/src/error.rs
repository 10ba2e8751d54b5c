//! What can go wrong: at configuration, and per request.

use std::fmt;
use std::time::Duration;

use bartizan_core::{Code, Rejection, RejectionKind};

use crate::rate::Rate;

/// A configuration that cannot work; names the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A table of bans cannot work like this.
    #[error("bans: {0}")]
    Bans(&'static str),
    /// A key rests on a header that carries a credential, which nobody has verified.
    #[error("header {0:?} carries a credential, and nothing is counted by an unverified one")]
    CredentialHeader(String),
    /// Two policies have the same name.
    #[error("two policies are called {0:?}")]
    DuplicatePolicy(String),
    /// Rules about the heads of requests cannot work like this.
    #[error("intake: {0}")]
    Intake(String),
    /// A policy is told to remember no key, or more than 2³².
    #[error("policy {policy:?} is to remember {keys} keys, which is not within 1 and 2^32")]
    Keys {
        /// The policy.
        policy: String,
        /// What was given.
        keys: usize,
    },
    /// A limit on requests at once cannot work like this.
    #[error("load limit: {0}")]
    Load(&'static str),
    /// A name cannot be sent in a header.
    #[error("policy name {0:?} is not 1 to 64 visible ascii characters or spaces")]
    Name(String),
    /// There is no policy, or there are more than eight.
    #[error("{0} policies, which is not within 1 and 8")]
    PolicyCount(usize),
    /// A rate that cannot be counted.
    #[error("rate {rate}: {problem}")]
    Rate {
        /// What was given.
        rate: Rate,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no policy of this name.
    #[error("no policy is called {0:?}")]
    UnknownPolicy(String),
}

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimitError {
    kind: RateLimitErrorKind,
    wait: Option<Duration>,
}

/// The reasons for not admitting a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RateLimitErrorKind {
    /// The caller is banned for a while.
    Banned,
    /// The body is declared to be larger than allowed.
    BodyTooLarge,
    /// A policy has no room for new callers at present.
    Crowded,
    /// The caller has spent what a policy allows.
    Exceeded,
    /// The headers are larger than allowed, or more.
    HeadersTooLarge,
    /// The request lacks what it would be counted by.
    NoKey,
    /// No policy applies to the request.
    NoPolicy,
    /// There is too much to do already.
    Overloaded,
    /// The body is of a type that is not on the list.
    UnsupportedMedia,
    /// Path and query are longer than allowed.
    UriTooLong,
}

/// The caller is banned.
const BANNED: Code = Code::new("ratelimit.banned");
/// The body is declared to be too large.
const BODY_TOO_LARGE: Code = Code::new("ratelimit.body_too_large");
/// There is no room for new callers.
const CROWDED: Code = Code::new("ratelimit.crowded");
/// The caller has spent what is allowed.
const EXCEEDED: Code = Code::new("ratelimit.exceeded");
/// The headers are too large, or too many.
const HEADERS_TOO_LARGE: Code = Code::new("ratelimit.headers_too_large");
/// The request lacks what it would be counted by.
const NO_KEY: Code = Code::new("ratelimit.no_key");
/// No policy applies to the request.
const NO_POLICY: Code = Code::new("ratelimit.no_policy");
/// There is too much to do already.
const OVERLOADED: Code = Code::new("ratelimit.overloaded");
/// The body is of a type that is not on the list.
const UNSUPPORTED_MEDIA: Code = Code::new("ratelimit.unsupported_media");
/// Path and query are too long.
const URI_TOO_LONG: Code = Code::new("ratelimit.uri_too_long");

impl RateLimitError {
    pub(crate) const fn new(kind: RateLimitErrorKind, wait: Option<Duration>) -> Self {
        Self { kind, wait }
    }

    /// The reason.
    pub fn kind(&self) -> RateLimitErrorKind {
        self.kind
    }

    /// After how long the request would be admitted, if that is known and ever happens.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The stable code of the reason.
    pub fn code(&self) -> Code {
        match self.kind {
            RateLimitErrorKind::Banned => BANNED,
            RateLimitErrorKind::BodyTooLarge => BODY_TOO_LARGE,
            RateLimitErrorKind::Crowded => CROWDED,
            RateLimitErrorKind::Exceeded => EXCEEDED,
            RateLimitErrorKind::HeadersTooLarge => HEADERS_TOO_LARGE,
            RateLimitErrorKind::NoKey => NO_KEY,
            RateLimitErrorKind::NoPolicy => NO_POLICY,
            RateLimitErrorKind::Overloaded => OVERLOADED,
            RateLimitErrorKind::UnsupportedMedia => UNSUPPORTED_MEDIA,
            RateLimitErrorKind::UriTooLong => URI_TOO_LONG,
        }
    }

    /// The refusal that the client sees.
    pub(crate) fn into_rejection(self) -> Rejection {
        // The code says it all: without a cause a refusal stays as cheap as an admission.
        let rejection = |kind| Rejection::new(kind, self.code());
        let rejection = match self.kind {
            RateLimitErrorKind::Banned => rejection(RejectionKind::Forbidden),
            RateLimitErrorKind::BodyTooLarge => rejection(RejectionKind::TooLarge),
            RateLimitErrorKind::HeadersTooLarge => rejection(RejectionKind::HeadersTooLarge),
            RateLimitErrorKind::UnsupportedMedia => rejection(RejectionKind::UnsupportedMedia),
            RateLimitErrorKind::UriTooLong => rejection(RejectionKind::UriTooLong),
            RateLimitErrorKind::Exceeded => rejection(RejectionKind::RateLimited),
            RateLimitErrorKind::Crowded => rejection(RejectionKind::Unavailable)
                .with_detail("there is no room for new callers at present"),
            RateLimitErrorKind::NoKey => rejection(RejectionKind::Forbidden)
                .with_detail("the request lacks what its limit is counted by"),
            RateLimitErrorKind::NoPolicy => {
                rejection(RejectionKind::Forbidden).with_detail("no limit is set for this caller")
            }
            RateLimitErrorKind::Overloaded => rejection(RejectionKind::Unavailable)
                .with_detail("the service has too much to do at present"),
        };
        match self.wait {
            Some(wait) => rejection.with_retry_after(wait),
            None => rejection,
        }
    }
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RateLimitErrorKind::Banned => "banned",
            RateLimitErrorKind::BodyTooLarge => "the declared body is too large",
            RateLimitErrorKind::HeadersTooLarge => "the headers are too large",
            RateLimitErrorKind::UnsupportedMedia => "the content type is not taken",
            RateLimitErrorKind::UriTooLong => "the target is too long",
            RateLimitErrorKind::Crowded => "no room for new callers",
            RateLimitErrorKind::Exceeded => "limit exceeded",
            RateLimitErrorKind::NoKey => "nothing to count the request by",
            RateLimitErrorKind::NoPolicy => "no policy applies",
            RateLimitErrorKind::Overloaded => "too much to do",
        })?;
        match self.wait {
            Some(wait) => write!(f, ": to be admitted in {wait:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RateLimitError {}
