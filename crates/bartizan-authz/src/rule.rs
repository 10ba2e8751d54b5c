//! One rule of a policy.

use std::sync::Arc;

use crate::callers::Callers;
use crate::error::PolicyError;
use crate::targets::Targets;

/// What follows if a rule applies.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Effect {
    /// The request may pass, unless another rule denies it.
    Allow,
    /// The request is refused, whatever other rules say.
    Deny,
}

/// One rule: its effect, who it is about, and what.
///
/// It applies if one of its callers and one of its targets do. Without callers it is about
/// everybody, without targets about every request.
///
/// ```
/// use bartizan_authz::{Callers, Rule, Targets};
///
/// let rule = Rule::allow("web reads orders")
///     .from(Callers::peer("spiffe://example.org/web".parse()?).scope("orders:read"))
///     .to(Targets::method("GET").path("/orders/{id}"));
/// # let _ = rule;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule has an effect in a policy"]
pub struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) effect: Effect,
    pub(crate) from: Vec<Callers>,
    pub(crate) to: Vec<Targets>,
    pub(crate) shadow: bool,
}

impl Rule {
    /// A rule that allows. Its name, of at most 128 bytes, is what decisions are recorded under.
    pub fn allow(name: &str) -> Self {
        Self::new(name, Effect::Allow)
    }

    /// A rule that denies. It counts before every rule that allows.
    pub fn deny(name: &str) -> Self {
        Self::new(name, Effect::Deny)
    }

    pub(crate) fn new(name: &str, effect: Effect) -> Self {
        Self {
            name: name.into(),
            effect,
            from: Vec::new(),
            to: Vec::new(),
            shadow: false,
        }
    }

    /// Also applies to these callers.
    pub fn from(mut self, callers: Callers) -> Self {
        self.from.push(callers);
        self
    }

    /// Also applies to these requests.
    pub fn to(mut self, targets: Targets) -> Self {
        self.to.push(targets);
        self
    }

    /// Records what a denial would have refused, and refuses nothing. For trying a denial out; a
    /// rule that allows in shadow would be none.
    pub fn in_shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// The rule's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What follows if it applies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let named = |problem| PolicyError::Rule {
            rule: self.name.to_string(),
            problem,
        };
        if self.name.is_empty() || self.name.len() > 128 || self.name.contains(char::is_control) {
            return Err(named("a name is 1 to 128 bytes without control characters"));
        }
        if self.shadow && self.effect == Effect::Allow {
            return Err(named("a rule that allows has no effect in shadow"));
        }
        if self.from.iter().any(Callers::contradict) {
            return Err(named("nobody can be one of its callers"));
        }
        self.to
            .iter()
            .try_for_each(|targets| targets.check(&self.name))
    }
}
