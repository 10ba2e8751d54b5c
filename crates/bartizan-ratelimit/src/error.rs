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
    /// A deadline cannot work like this.
    #[error("deadline: {0}")]
    Deadline(&'static str),
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
    /// Limits cannot be shared like this.
    #[error("sharing: {0}")]
    Sharing(&'static str),
    /// A store cannot be reached like this.
    #[error("store: {0}")]
    Store(String),
    /// A text that is no rate.
    #[error("{0:?} is no rate, such as 100/s or 5/10min burst 20")]
    RateText(String),
    /// There is no policy of this name.
    #[error("no policy is called {0:?}")]
    UnknownPolicy(String),
    /// Rules about bodies cannot work like this.
    #[error("upload: {0}")]
    Upload(&'static str),
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
    /// The client says in no known way for how long it waits.
    BadTimeout,
    /// The caller is banned for a while.
    Banned,
    /// The body is larger than allowed, or declared to be.
    BodyTooLarge,
    /// A policy has no room for new callers at present.
    Crowded,
    /// The request took too long.
    DeadlineExceeded,
    /// The caller has spent what a policy allows.
    Exceeded,
    /// The headers are larger than allowed, or more.
    HeadersTooLarge,
    /// A JSON document is deeper than allowed.
    JsonTooDeep,
    /// A JSON document has more values, or longer ones, than allowed.
    JsonTooLarge,
    /// The request lacks what it would be counted by.
    NoKey,
    /// No policy applies to the request.
    NoPolicy,
    /// There is too much to do already.
    Overloaded,
    /// The store that shares a limit does not answer, and the limit is to refuse then.
    StoreUnavailable,
    /// The body is JSON in a coding that cannot be looked into.
    UnsupportedCoding,
    /// The body is of a type that is not on the list.
    UnsupportedMedia,
    /// The body comes in too slowly.
    UploadTooSlow,
    /// Path and query are longer than allowed.
    UriTooLong,
}

/// The timeout cannot be read.
const BAD_TIMEOUT: Code = Code::new("ratelimit.bad_timeout");
/// The caller is banned.
const BANNED: Code = Code::new("ratelimit.banned");
/// The body is too large.
const BODY_TOO_LARGE: Code = Code::new("ratelimit.body_too_large");
/// There is no room for new callers.
const CROWDED: Code = Code::new("ratelimit.crowded");
/// The request took too long.
const DEADLINE_EXCEEDED: Code = Code::new("ratelimit.deadline_exceeded");
/// The caller has spent what is allowed.
const EXCEEDED: Code = Code::new("ratelimit.exceeded");
/// The headers are too large, or too many.
const HEADERS_TOO_LARGE: Code = Code::new("ratelimit.headers_too_large");
/// A JSON document is too deep.
const JSON_TOO_DEEP: Code = Code::new("ratelimit.json_too_deep");
/// A JSON document has too many values, or too long ones.
const JSON_TOO_LARGE: Code = Code::new("ratelimit.json_too_large");
/// The request lacks what it would be counted by.
const NO_KEY: Code = Code::new("ratelimit.no_key");
/// No policy applies to the request.
const NO_POLICY: Code = Code::new("ratelimit.no_policy");
/// There is too much to do already.
const OVERLOADED: Code = Code::new("ratelimit.overloaded");
/// The store does not answer.
const STORE_UNAVAILABLE: Code = Code::new("ratelimit.store_unavailable");
/// The body is JSON in a coding that cannot be looked into.
const UNSUPPORTED_CODING: Code = Code::new("ratelimit.unsupported_coding");
/// The body is of a type that is not on the list.
const UNSUPPORTED_MEDIA: Code = Code::new("ratelimit.unsupported_media");
/// The body comes in too slowly.
const UPLOAD_TOO_SLOW: Code = Code::new("ratelimit.upload_too_slow");
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
            RateLimitErrorKind::BadTimeout => BAD_TIMEOUT,
            RateLimitErrorKind::Banned => BANNED,
            RateLimitErrorKind::BodyTooLarge => BODY_TOO_LARGE,
            RateLimitErrorKind::Crowded => CROWDED,
            RateLimitErrorKind::DeadlineExceeded => DEADLINE_EXCEEDED,
            RateLimitErrorKind::Exceeded => EXCEEDED,
            RateLimitErrorKind::HeadersTooLarge => HEADERS_TOO_LARGE,
            RateLimitErrorKind::JsonTooDeep => JSON_TOO_DEEP,
            RateLimitErrorKind::JsonTooLarge => JSON_TOO_LARGE,
            RateLimitErrorKind::NoKey => NO_KEY,
            RateLimitErrorKind::NoPolicy => NO_POLICY,
            RateLimitErrorKind::Overloaded => OVERLOADED,
            RateLimitErrorKind::StoreUnavailable => STORE_UNAVAILABLE,
            RateLimitErrorKind::UnsupportedCoding => UNSUPPORTED_CODING,
            RateLimitErrorKind::UnsupportedMedia => UNSUPPORTED_MEDIA,
            RateLimitErrorKind::UploadTooSlow => UPLOAD_TOO_SLOW,
            RateLimitErrorKind::UriTooLong => URI_TOO_LONG,
        }
    }

    /// The refusal that the client sees.
    pub(crate) fn into_rejection(self) -> Rejection {
        // The code says it all: without a cause a refusal stays as cheap as an admission.
        let rejection = |kind| Rejection::new(kind, self.code());
        let rejection =
            match self.kind {
                RateLimitErrorKind::BadTimeout => {
                    rejection(RejectionKind::Malformed).with_detail("the timeout cannot be read")
                }
                RateLimitErrorKind::Banned => rejection(RejectionKind::Forbidden),
                RateLimitErrorKind::BodyTooLarge => rejection(RejectionKind::TooLarge),
                RateLimitErrorKind::DeadlineExceeded => rejection(RejectionKind::DeadlineExceeded)
                    .with_detail("the request took too long"),
                RateLimitErrorKind::HeadersTooLarge => rejection(RejectionKind::HeadersTooLarge),
                RateLimitErrorKind::JsonTooDeep => {
                    rejection(RejectionKind::Malformed).with_detail("the JSON document is too deep")
                }
                RateLimitErrorKind::JsonTooLarge => rejection(RejectionKind::TooLarge)
                    .with_detail("the JSON document has too many values, or too long ones"),
                RateLimitErrorKind::StoreUnavailable => rejection(RejectionKind::Unavailable)
                    .with_detail("the limit cannot be checked at present"),
                RateLimitErrorKind::UnsupportedCoding => rejection(RejectionKind::UnsupportedMedia)
                    .with_detail("a JSON document is taken only as it is, in UTF-8"),
                RateLimitErrorKind::UnsupportedMedia => rejection(RejectionKind::UnsupportedMedia),
                RateLimitErrorKind::UploadTooSlow => {
                    rejection(RejectionKind::Timeout).with_detail("the body comes in too slowly")
                }
                RateLimitErrorKind::UriTooLong => rejection(RejectionKind::UriTooLong),
                RateLimitErrorKind::Exceeded => rejection(RejectionKind::RateLimited),
                RateLimitErrorKind::Crowded => rejection(RejectionKind::Unavailable)
                    .with_detail("there is no room for new callers at present"),
                RateLimitErrorKind::NoKey => rejection(RejectionKind::Forbidden)
                    .with_detail("the request lacks what its limit is counted by"),
                RateLimitErrorKind::NoPolicy => rejection(RejectionKind::Forbidden)
                    .with_detail("no limit is set for this caller"),
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
            RateLimitErrorKind::BadTimeout => "the timeout cannot be read",
            RateLimitErrorKind::Banned => "banned",
            RateLimitErrorKind::BodyTooLarge => "the body is too large",
            RateLimitErrorKind::DeadlineExceeded => "the request took too long",
            RateLimitErrorKind::JsonTooDeep => "the JSON document is too deep",
            RateLimitErrorKind::JsonTooLarge => "the JSON document is too large",
            RateLimitErrorKind::UnsupportedCoding => "the JSON document is coded",
            RateLimitErrorKind::UploadTooSlow => "the body comes in too slowly",
            RateLimitErrorKind::HeadersTooLarge => "the headers are too large",
            RateLimitErrorKind::UnsupportedMedia => "the content type is not taken",
            RateLimitErrorKind::UriTooLong => "the target is too long",
            RateLimitErrorKind::Crowded => "no room for new callers",
            RateLimitErrorKind::Exceeded => "limit exceeded",
            RateLimitErrorKind::NoKey => "nothing to count the request by",
            RateLimitErrorKind::NoPolicy => "no policy applies",
            RateLimitErrorKind::Overloaded => "too much to do",
            RateLimitErrorKind::StoreUnavailable => "the store does not answer",
        })?;
        match self.wait {
            Some(wait) => write!(f, ": to be admitted in {wait:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RateLimitError {}
