//! Which fields of a body are sealed, and who sees them how.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{SecurityContext, WallTime};

use crate::index::PseudonymDomain;
use crate::mask::{Generalizer, Mask};
use crate::padding::Padding;

/// One field of the bodies that pass through the layer.
///
/// The path is a JSON Pointer ([RFC 6901]) in which `*` stands for every element of an array or
/// member of an object, such as `/cards/*/number`. It is part of what the field's ciphertexts are
/// bound to.
///
/// Who sees the field how is decided by the first grant that holds; without one by
/// [`otherwise`](Self::otherwise), which leaves the ciphertext unless said otherwise.
///
/// ```
/// use bartizan_encrypt::{FieldRule, Grant, Mask, Shown};
///
/// let rule = FieldRule::new("/ssn")
///     .show(Grant::scope("pii:read"), Shown::Plain)
///     .show(Grant::scope("support"), Shown::Masked(Mask::Last4))
///     .otherwise(Shown::Omitted);
/// # let _ = rule;
/// ```
///
/// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
#[derive(Clone, Debug)]
#[must_use = "add it to a configuration"]
pub struct FieldRule {
    pub(crate) path: Box<str>,
    pub(crate) padding: Padding,
    pub(crate) accepts_ciphertext: bool,
    grants: Vec<(Grant, Shown)>,
    otherwise: Shown,
}

/// How a field is shown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Shown {
    /// As the ciphertext that it is. The default.
    #[default]
    Ciphertext,
    /// Generalised; `null` of what is not of the kind.
    Generalized(Generalizer),
    /// Masked.
    Masked(Mask),
    /// Not at all: its member is left out, and an element of an array becomes `null`.
    Omitted,
    /// Opened.
    Plain,
    /// As pseudonym of this domain.
    Pseudonym(PseudonymDomain),
    /// The whole response is refused.
    Refused,
}

impl Shown {
    /// A short stable name, for decisions.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ciphertext => "ciphertext",
            Self::Generalized(_) => "generalized",
            Self::Masked(_) => "masked",
            Self::Omitted => "omitted",
            Self::Plain => "plain",
            Self::Pseudonym(_) => "pseudonym",
            Self::Refused => "refused",
        }
    }

    /// Whether it takes the value to show it so.
    pub(crate) fn opens(&self) -> bool {
        match self {
            Self::Generalized(_) | Self::Masked(_) | Self::Plain | Self::Pseudonym(_) => true,
            Self::Ciphertext | Self::Omitted | Self::Refused => false,
        }
    }
}

/// Who is meant.
#[derive(Clone)]
#[non_exhaustive]
pub enum Grant {
    /// Whoever this is true of.
    Predicate(Arc<dyn Fn(&SecurityContext) -> bool + Send + Sync>),
    /// Principals with exactly this scope.
    Scope(Box<str>),
}

impl Grant {
    /// Principals with exactly this scope.
    pub fn scope(scope: &str) -> Self {
        Self::Scope(scope.into())
    }

    /// Whoever this is true of.
    pub fn predicate(holds: impl Fn(&SecurityContext) -> bool + Send + Sync + 'static) -> Self {
        Self::Predicate(Arc::new(holds))
    }

    fn holds(&self, context: &SecurityContext) -> bool {
        match self {
            Self::Predicate(holds) => holds(context),
            Self::Scope(scope) => context.principal().is_some_and(|p| p.has_scope(scope)),
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Predicate(_) => f.write_str("Predicate"),
            Self::Scope(scope) => write!(f, "Scope({scope})"),
        }
    }
}

impl FieldRule {
    /// A field that is sealed on the way in, and shown to nobody on the way out.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.into(),
            padding: Padding::default(),
            accepts_ciphertext: false,
            grants: Vec::new(),
            otherwise: Shown::default(),
        }
    }

    /// Shows the field so to whom this grant holds for, unless an earlier one does.
    pub fn show(mut self, grant: Grant, shown: Shown) -> Self {
        self.grants.push((grant, shown));
        self
    }

    /// Shows the field so to everybody else.
    pub fn otherwise(mut self, shown: Shown) -> Self {
        self.otherwise = shown;
        self
    }

    /// Replaces to which lengths values are filled up.
    pub fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Lets ciphertexts in: they pass as they are. Without this they are refused, since a client
    /// that sends one may have it from a place where it could not read it.
    pub fn allow_ciphertext(mut self) -> Self {
        self.accepts_ciphertext = true;
        self
    }

    pub(crate) fn shown_to(&self, context: &SecurityContext) -> &Shown {
        let granted = self.grants.iter().find(|(grant, _)| grant.holds(context));
        granted.map_or(&self.otherwise, |(_, shown)| shown)
    }

    pub(crate) fn uses_pseudonyms(&self) -> bool {
        let shown = self.grants.iter().map(|(_, shown)| shown);
        shown
            .chain([&self.otherwise])
            .any(|shown| matches!(shown, Shown::Pseudonym(_)))
    }
}

/// What is done about values that were stored before they were sealed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum PlaintextPolicy {
    /// Until this moment they are treated as if they were sealed. The decision counts them, and
    /// has the code `encrypt.plaintext_accepted`: when no more of those are met, the migration is
    /// done. Afterwards the response is refused.
    AcceptUntil(WallTime),
    /// The response is refused. The default.
    #[default]
    Refuse,
}
