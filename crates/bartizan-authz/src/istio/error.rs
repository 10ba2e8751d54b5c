//! What can be wrong with a policy of Istio.

use std::fmt;

use bartizan_source::yaml::YamlError;

use crate::error::PolicyError;

/// Why a text is not taken as policies of Istio: which document, which line, which member.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IstioError {
    /// The document within the text, counted from 1; 0 if it is about all of them.
    pub document: usize,
    /// The line within the text, counted from 1; 0 if it is about no single one.
    pub line: usize,
    /// The member, such as `spec.rules[0].when[1].key`.
    pub path: String,
    /// What is wrong there.
    pub kind: IstioErrorKind,
}

/// What is wrong with a policy of Istio.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IstioErrorKind {
    /// A member has another kind of value than it should.
    #[error("{found} where {expected} should be")]
    Expected {
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A value cannot be meant.
    #[error("{0}")]
    Invalid(String),
    /// There is no policy of action ALLOW, so that Istio would let everything pass that is not
    /// denied. Say whether that is to be so:
    /// [`allow_unmatched`](crate::IstioImport::allow_unmatched) or
    /// [`deny_unmatched`](crate::IstioImport::deny_unmatched).
    #[error(
        "no policy allows anything, and Istio then allows whatever is not denied: say whether \
         unmatched requests are to be allowed or denied"
    )]
    NoAllowPolicy,
    /// The document is no `AuthorizationPolicy`.
    #[error("not an AuthorizationPolicy of security.istio.io: {0}")]
    NotAPolicy(String),
    /// What came out is no policy of ours.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// The policy is about some workloads, and nobody said which this is.
    #[error("it is about some workloads only: say which one this is for, or that it is for any")]
    Workload,
    /// A member that is not known.
    #[error("unknown member; known here are {0}")]
    Unknown(String),
    /// Something that Istio knows and this crate does not.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// The text is no YAML that everybody reads alike.
    #[error("{0}")]
    Yaml(String),
}

impl fmt::Display for IstioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.document > 0 {
            write!(f, "document {}, ", self.document)?;
        }
        if self.line > 0 {
            write!(f, "line {}, ", self.line)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.kind)
    }
}

impl std::error::Error for IstioError {}

impl From<YamlError> for IstioError {
    fn from(error: YamlError) -> Self {
        Self {
            document: 0,
            line: error.line,
            path: String::new(),
            kind: IstioErrorKind::Yaml(error.problem),
        }
    }
}
