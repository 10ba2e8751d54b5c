//! One rule of a policy.

use std::sync::Arc;

use crate::callers::Callers;
use crate::condition::{Condition, Reading};
use crate::error::PolicyError;
use crate::facts::Facts;
use crate::index::Clause;
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
    pub(crate) when: Vec<Condition>,
    pub(crate) shadow: bool,
    pub(crate) exact: bool,
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
            when: Vec::new(),
            shadow: false,
            exact: false,
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

    /// Only applies if this holds; called again, that as well.
    pub fn when(mut self, condition: Condition) -> Self {
        self.when.push(condition);
        self
    }

    /// Takes paths, methods and headers as they are written, and no other spelling of them: a
    /// denial of `/admin` is none of `/Admin` or `/admin/`, and one of `GET` none of `HEAD` or `get`. For
    /// rules that are to decide as another system's do; without, a denial is harder to get around.
    pub fn exactly(mut self) -> Self {
        self.exact = true;
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

    pub(crate) fn reading(&self) -> Reading {
        Reading {
            denies: self.effect == Effect::Deny,
            exact: self.exact,
        }
    }

    /// Whether the targets of this clause are the request's, but for its path.
    pub(crate) fn includes_beside_path(&self, clause: Clause, facts: &Facts<'_>) -> bool {
        let Some(number) = clause.targets else {
            return true;
        };
        let targets = self.to.get(usize::from(number));
        targets.is_some_and(|it| it.include_beside_path(facts, self.reading()))
    }

    /// Whether everything holds that is said of callers, and of requests as a whole.
    pub(crate) fn includes_caller(&self, facts: &Facts<'_>) -> bool {
        let reading = self.reading();
        (self.from.is_empty() || self.from.iter().any(|it| it.include(facts, reading)))
            && self.when.iter().all(|it| it.holds(facts, reading))
    }

    /// Whether it would apply to the caller with the right principal.
    pub(crate) fn waits_for_principal(&self, facts: &Facts<'_>) -> bool {
        let reading = self.reading();
        let asks = self.when.iter().any(Condition::needs_principal);
        let mut when = self.when.iter();
        when.all(|it| it.fact.is_of_principal() || it.holds(facts, reading))
            && match self.from.is_empty() {
                true => asks,
                false => self.from.iter().any(|it| {
                    (asks || it.need_principal()) && it.wait_for_principal(facts, reading)
                }),
            }
    }

    /// All conditions, wherever they stand.
    pub(crate) fn visit_conditions(&self, visit: &mut dyn FnMut(&Condition)) {
        self.when.iter().for_each(&mut *visit);
        self.to.iter().flat_map(|it| &it.when).for_each(&mut *visit);
        self.from.iter().for_each(|it| it.visit_conditions(visit));
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
        self.from.iter().try_for_each(|it| it.check(&self.name))?;
        self.when.iter().try_for_each(|it| it.check(&self.name))?;
        self.to
            .iter()
            .try_for_each(|targets| targets.check(&self.name))
    }
}
