//! What can be wrong with a policy or a configuration, and with a request.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Challenge, Code, PathError, Rejection, RejectionKind};

use crate::pattern::PatternError;

/// The request names two hosts, or something that is none.
pub const AMBIGUOUS_HOST: Code = Code::new("authz.ambiguous_host");
/// The path of the request has more than one meaning.
pub const AMBIGUOUS_PATH: Code = Code::new("authz.ambiguous_path");
/// No rule allows the request, or one denies it.
pub const DENIED: Code = Code::new("authz.denied");
/// The policy could not be asked.
pub const ENGINE_FAILED: Code = Code::new("authz.engine_failed");
/// The principal lacks a scope that the route requires.
pub const INSUFFICIENT_SCOPE: Code = Code::new("authz.insufficient_scope");
/// There is no policy yet.
pub const NO_POLICY: Code = Code::new("authz.no_policy");
/// Nobody is authenticated, and the request is not allowed for everybody.
pub const UNAUTHENTICATED: Code = Code::new("authz.unauthenticated");

/// A policy that cannot be meant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A condition of a rule cannot be meant.
    #[error("rule {rule:?}: {problem}")]
    Condition {
        /// The rule.
        rule: String,
        /// What is wrong with the condition.
        problem: String,
    },
    /// Two rules have the same name, so that a decision would not tell which it was.
    #[error("two rules are called {0:?}")]
    DuplicateRule(String),
    /// The document is not a policy: a member is unknown, missing or of another type.
    #[error("{0}")]
    Document(String),
    /// There is no rule that allows anything: every request would be refused. If that is meant, it
    /// has to be [said](crate::PolicyBuilder::allow_nothing).
    #[error("no rule allows anything")]
    NothingAllowed,
    /// A path or host of a rule is no pattern.
    #[error("rule {rule:?}: {pattern:?}: {cause}")]
    Pattern {
        /// The rule.
        rule: String,
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        cause: PatternError,
    },
    /// A rule contradicts itself.
    #[error("rule {rule:?}: {problem}")]
    Rule {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are more than 65,535 rules.
    #[error("{0} rules are more than 65535")]
    TooManyRules(usize),
}

/// Why a request was refused. It is the cause of the [`Rejection`], and what logs show; the
/// client sees a fixed text.
#[derive(Clone, Debug)]
pub struct AuthzError(pub(crate) Reason);

#[derive(Clone, Debug)]
pub(crate) enum Reason {
    AmbiguousHost,
    AmbiguousPath(PathError),
    /// By this rule, or because none allows.
    Denied(Option<Arc<str>>),
    EngineFailed(Arc<str>),
    InsufficientScope(Arc<str>),
    NoPolicy,
    Unauthenticated,
}

/// The kind of an [`AuthzError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AuthzErrorKind {
    /// The request names two hosts, or something that is none.
    AmbiguousHost,
    /// The path of the request has more than one meaning.
    AmbiguousPath,
    /// No rule allows the request, or one denies it.
    Denied,
    /// The policy could not be asked, which is a denial.
    EngineFailed,
    /// The principal lacks a scope that the route requires.
    InsufficientScope,
    /// There is no policy yet.
    NoPolicy,
    /// Nobody is authenticated, and the request is not allowed for everybody.
    Unauthenticated,
}

impl AuthzError {
    /// What kind of refusal it is.
    pub fn kind(&self) -> AuthzErrorKind {
        match self.0 {
            Reason::AmbiguousHost => AuthzErrorKind::AmbiguousHost,
            Reason::AmbiguousPath(_) => AuthzErrorKind::AmbiguousPath,
            Reason::Denied(_) => AuthzErrorKind::Denied,
            Reason::EngineFailed(_) => AuthzErrorKind::EngineFailed,
            Reason::InsufficientScope(_) => AuthzErrorKind::InsufficientScope,
            Reason::NoPolicy => AuthzErrorKind::NoPolicy,
            Reason::Unauthenticated => AuthzErrorKind::Unauthenticated,
        }
    }

    // The one place where a reason becomes what the client sees.
    pub(crate) fn into_rejection(self, challenge: Option<&Challenge>) -> Rejection {
        let (kind, code, detail) = match self.kind() {
            AuthzErrorKind::AmbiguousHost => (
                RejectionKind::Malformed,
                AMBIGUOUS_HOST,
                "the request names more than one host",
            ),
            AuthzErrorKind::AmbiguousPath => (
                RejectionKind::Malformed,
                AMBIGUOUS_PATH,
                "the path has more than one meaning",
            ),
            AuthzErrorKind::Denied => (
                RejectionKind::Forbidden,
                DENIED,
                "the caller may not do this",
            ),
            AuthzErrorKind::EngineFailed => (
                RejectionKind::Forbidden,
                ENGINE_FAILED,
                "the caller may not do this",
            ),
            AuthzErrorKind::InsufficientScope => (
                RejectionKind::Forbidden,
                INSUFFICIENT_SCOPE,
                "the token does not cover this",
            ),
            AuthzErrorKind::NoPolicy => (
                RejectionKind::Unavailable,
                NO_POLICY,
                "what callers may do is not known at present",
            ),
            AuthzErrorKind::Unauthenticated => (
                RejectionKind::Unauthenticated,
                UNAUTHENTICATED,
                "this takes a credential",
            ),
        };
        let mut rejection = Rejection::new(kind, code).with_detail(detail);
        if let Reason::InsufficientScope(scope) = &self.0 {
            //= RFC 6750 §3.1: insufficient_scope; the "scope" attribute with the scope necessary.
            let challenge = Challenge::new("Bearer").with_param("error", "insufficient_scope");
            rejection = rejection.with_challenge(challenge.with_param("scope", scope));
        } else if let Some(challenge) = challenge {
            rejection = rejection.with_challenge(challenge.clone());
        }
        rejection.with_cause(self)
    }
}

impl fmt::Display for AuthzError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::AmbiguousHost => f.write_str("the request names more than one host"),
            Reason::AmbiguousPath(cause) => write!(f, "{cause}"),
            Reason::Denied(Some(rule)) => write!(f, "rule {rule:?} denies it"),
            Reason::Denied(None) => f.write_str("no rule allows it"),
            Reason::EngineFailed(cause) => write!(f, "the policy could not be asked: {cause}"),
            Reason::InsufficientScope(scope) => write!(f, "scope {scope:?} is missing"),
            Reason::NoPolicy => f.write_str("there is no policy yet"),
            Reason::Unauthenticated => f.write_str("nobody is authenticated"),
        }
    }
}

impl std::error::Error for AuthzError {}
