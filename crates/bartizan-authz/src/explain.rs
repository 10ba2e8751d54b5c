//! Why a request is decided as it is.

use std::sync::Arc;

use crate::callers::Callers;
use crate::engine::Ruling;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::rule::{Effect, Rule};
use crate::targets::Targets;

/// What became of a request, and what each rule has to say about it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What became of it.
    pub ruling: Ruling,
    /// All rules, in the order of the policy.
    pub rules: Vec<Tried>,
}

/// One rule, and what keeps it from applying.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tried {
    /// The rule's name.
    pub rule: Arc<str>,
    /// What follows if it applies.
    pub effect: Effect,
    /// Whether it only records.
    pub shadow: bool,
    /// What does not hold, each with its place in the rule: `to[0]: method, path`. Nothing if the
    /// rule applies.
    pub misses: Vec<String>,
}

impl Tried {
    /// Whether the rule applies to the request.
    pub fn applies(&self) -> bool {
        self.misses.is_empty()
    }
}

impl Policy {
    /// Decides on a request as [`decide`](Self::decide) does, and says what each rule lacks. It
    /// looks at every rule, and is for people.
    ///
    /// ```
    /// use bartizan_authz::{Facts, Policy, Rule, Targets};
    ///
    /// let rule = Rule::allow("read").to(Targets::method("GET").path("/orders/{id}"));
    /// let policy = Policy::builder().add(rule).build()?;
    /// let explained = policy.explain(&Facts::new("POST", "/orders/7"));
    /// assert_eq!(explained.rules[0].misses, ["to[0]: method"]);
    /// # Ok::<(), bartizan_authz::PolicyError>(())
    /// ```
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        Explanation {
            ruling: self.decide(facts, &mut |_| {}),
            rules: self.rules().map(|rule| rule.tried(facts)).collect(),
        }
    }
}

impl Rule {
    fn tried(&self, facts: &Facts<'_>) -> Tried {
        let mut misses = Vec::new();
        let place =
            |name: &str, at: usize, what: &[&str]| format!("{name}[{at}]: {}", what.join(", "));
        let of_callers: Vec<_> = self.from.iter().map(|it| it.misses(facts, self)).collect();
        if !of_callers.is_empty() && of_callers.iter().all(|it| !it.is_empty()) {
            let each = of_callers.iter().enumerate();
            misses.extend(each.map(|(at, what)| place("from", at, what)));
        }
        let of_targets: Vec<_> = self.to.iter().map(|it| it.misses(facts, self)).collect();
        if !of_targets.is_empty() && of_targets.iter().all(|it| !it.is_empty()) {
            let each = of_targets.iter().enumerate();
            misses.extend(each.map(|(at, what)| place("to", at, what)));
        }
        for (at, condition) in self.when.iter().enumerate() {
            if !condition.holds(facts, self.reading()) {
                misses.push(place("when", at, &[condition.fact.word()]));
            }
        }
        Tried {
            rule: Arc::clone(&self.name),
            effect: self.effect,
            shadow: self.shadow,
            misses,
        }
    }
}

impl Callers {
    fn misses(&self, facts: &Facts<'_>, rule: &Rule) -> Vec<&'static str> {
        let reading = rule.reading();
        let mut misses = self.missing_parts(facts, reading);
        let conditions = self.when.iter().filter(|it| !it.holds(facts, reading));
        misses.extend(conditions.map(|condition| condition.fact.word()));
        let is_excepted = |others: &Self| others.include(facts, reading.turned());
        if self.except.iter().any(is_excepted) {
            misses.push("an exception");
        }
        misses
    }
}

impl Targets {
    fn misses(&self, facts: &Facts<'_>, rule: &Rule) -> Vec<&'static str> {
        let reading = rule.reading();
        let mut misses = self.missing_parts(facts, reading);
        let conditions = self.when.iter().filter(|it| !it.holds(facts, reading));
        misses.extend(conditions.map(|condition| condition.fact.word()));
        misses
    }
}
