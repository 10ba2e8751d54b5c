//! Which rules may apply to a request, found without looking at the others.

mod callers;
mod paths;

pub(crate) use self::callers::CallerIndex;
pub(crate) use self::paths::PathIndex;

/// One way in which a rule may apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clause {
    /// The position of the rule in its policy.
    pub(crate) rule: u16,
    /// The position of the targets in the rule; `None` for a rule that is about every request.
    pub(crate) targets: Option<u16>,
}
